import json

import pytest
from support.errors import refused

from tfner.data.files import RawSentence
from tfner.data.jsonl import json_objects, read_jsonl
from tfner.errors import UserError


def text_of(*rows):
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def tags(path, text, label_list=None, task="ner"):
    return [s.tags for s in read_jsonl(text, path, task, label_list)]


def test_sentences_have_names_documents_and_lines(tmp_path):
    text = text_of(
        {"tokens": ["Ada", "a\u2028b"], "ner_tags": ["I-PER", "O"], "document": "x"},
        " \r",
        {"tokens": [], "ner_tags": [], "document": "x"},
        {"tokens": ["b"], "tags": ["O"], "document": "x"},
        {"tokens": ["c"], "ner_tags": ["O"], "document": 7},
    )
    assert read_jsonl(text, tmp_path / "train.jsonl", "ner") == [
        RawSentence(("Ada", "a\u2028b"), ("I-PER", "O"), 0, 1, 0),
        RawSentence(("b",), ("O",), 0, 4, 0),
        RawSentence(("c",), ("O",), 1, 5, 0),
    ]


def test_a_string_may_contain_a_line_separator_that_is_not_escaped(tmp_path):
    (sentence,) = read_jsonl('{"tokens": ["a\u2028b\x85"], "tags": ["O"]}\r\n', tmp_path, "ner")
    assert sentence.words == ("a\u2028b\x85",)


def test_the_task_selects_the_tags(tmp_path):
    text = text_of({"tokens": ["a"], "ner_tags": ["O"], "pos_tags": ["NN"], "chunk_tags": ["B-NP"]})
    found = [tags(tmp_path, text, task=task) for task in ("ner", "pos", "chunk")]
    assert found == [[("O",)], [("NN",)], [("B-NP",)]]


def test_ids_take_their_names_from_the_argument_or_from_labels_json(tmp_path):
    path, text = tmp_path / "test.jsonl", text_of({"tokens": ["Ada", "x"], "ner_tags": [1, 0]})
    with refused("jsonl_ids_without_names", path=path, line=1):
        tags(path, text)
    assert tags(path, text, ["O", "B-PER"]) == [("B-PER", "O")]
    (tmp_path / "labels.json").write_text('["O", "B-ORG"]', "utf-8")
    assert tags(path, text) == [("B-ORG", "O")]


@pytest.mark.parametrize(("key", "content"), [("not_json", "{"), ("object", '{"O": 0}'), ("numbers", "[1]")])
def test_a_damaged_label_list_is_refused(tmp_path, key, content):
    (tmp_path / "labels.json").write_text(content, "utf-8")
    with refused(f"jsonl_label_list_{key}", path=tmp_path / "labels.json"):
        tags(tmp_path / "test.jsonl", text_of({"tokens": ["a"], "ner_tags": [0]}))


@pytest.mark.parametrize(
    ("key", "row"),
    [
        ("not_json", '{"tokens": ['),
        ("two_objects", '{"tokens": []} {"tokens": []}'),
        ("not_an_object", "[1]"),
        ("no_tokens", {"words": ["a"], "ner_tags": ["O"]}),
        ("no_tags", {"tokens": ["a"]}),
        ("not_a_list", {"tokens": "a", "ner_tags": ["O"]}),
        ("more_tags_than_tokens", {"tokens": ["a"], "ner_tags": ["O", "O"]}),
        ("fewer_tags_than_tokens", {"tokens": ["a", "b"], "ner_tags": ["O"]}),
        ("token_not_a_string", {"tokens": [5], "ner_tags": ["O"]}),
        ("id_too_large", {"tokens": ["a"], "ner_tags": [2]}),
        ("id_negative", {"tokens": ["a"], "ner_tags": [-1]}),
        ("tag_of_another_type", {"tokens": ["a"], "ner_tags": [None]}),
        ("tag_true", {"tokens": ["a"], "ner_tags": [True]}),
    ],
)
def test_a_line_that_is_not_a_tagged_sentence_is_refused_with_its_number(tmp_path, key, row):
    path = tmp_path / "train.jsonl"
    with refused(f"jsonl_{key}", path=path, line=2):
        tags(path, text_of({"tokens": ["a"], "ner_tags": ["O"]}, row), ["O", "B-PER"])


def test_a_file_without_sentences_is_refused(tmp_path):
    with refused("jsonl_no_sentence", path=tmp_path / "train.jsonl"):
        tags(tmp_path / "train.jsonl", "\n")


def test_objects_are_read_no_further_than_asked():
    def lines():
        yield '{"a": 1}\n'
        raise AssertionError("read ahead")

    assert next(json_objects(lines(), "in", "{}")) == (1, {"a": 1})


def test_an_array_of_objects_is_read_as_lines_are(tmp_path):
    lines = text_of({"tokens": ["a"], "ner_tags": ["O"]}, {"tokens": ["b", "c"], "ner_tags": ["B-X", "O"]})
    array = "[" + ",\n ".join(lines.splitlines()) + "]"
    assert read_jsonl(array, tmp_path / "train.json", "ner") == read_jsonl(lines, tmp_path / "train.json", "ner")


@pytest.mark.parametrize(
    ("key", "text"),
    [("jsonl_array_half", '[{"tokens": ["a"]}'), ("jsonl_array_of_numbers", "[1]"), ("jsonl_array_deep", "[" * 100_000)],
)
def test_an_array_of_anything_else_is_refused(tmp_path, key, text):
    with refused(key, path=tmp_path / "train.json"):
        read_jsonl(text, tmp_path / "train.json", "ner")


@pytest.mark.parametrize("row", [{"tokens": ["a\ud83d"], "tags": ["O"]}, {"tokens": ["a"], "tags": ["B-\udc00"]}])
def test_half_of_a_surrogate_pair_is_refused_with_its_line(tmp_path, row):
    with pytest.raises(UserError, match="half of a surrogate pair") as caught:
        read_jsonl(text_of({"tokens": ["a"], "tags": ["O"]}, row), tmp_path / "train.jsonl", "ner")
    assert caught.value.line == 2
