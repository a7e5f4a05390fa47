import json
from itertools import pairwise, zip_longest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.errors import refused

from tfner.data.conll import DOCUMENT_MARK, read_columns
from tfner.data.files import read_text
from tfner.data.inputs import Record, guess_format, read_records, together, valid
from tfner.data.jsonl import read_jsonl
from tfner.errors import UserError


def read_inputs(lines, kind, name="standard input"):
    """The texts and sentences of lines, as `predict` reads them."""
    return (record.item for record in valid(read_records(lines, kind, name)))


def test_every_line_of_text_is_an_input_even_if_it_is_empty():
    assert list(read_inputs(["Anna works.\r\n", "\n", "Bob  rests.\n"], "text")) == ["Anna works.", "", "Bob  rests."]


def test_json_lines_give_texts_or_words_and_blank_lines_are_passed_over():
    lines = ['{"text": "Anna works."}\n', " \n", '{"tokens": ["Anna", "works", "."]}\n', '{"text": ""}', '{"tokens": []}']
    assert list(read_inputs(lines, "jsonl")) == ["Anna works.", ("Anna", "works", "."), "", ()]


def test_conll_columns_give_the_first_column_without_document_marks():
    lines = ["-DOCSTART- -X- O O\n", "\n", "EU NNP I-NP I-ORG\n", "rejects VBZ I-VP O\r\n", " \n", "Peter NNP I-NP I-PER"]
    assert list(read_inputs(lines, "conll")) == [("EU", "rejects"), ("Peter",)]


def test_conll_columns_need_no_tags():
    assert list(read_inputs(["Anna\n", "works\n", "\n", "."], "conll")) == [("Anna", "works"), (".",)]


@pytest.mark.parametrize(("kind", "first"), [("text", "Anna"), ("jsonl", '{"text": "Anna"}'), ("conll", "Anna O")])
def test_a_byte_order_mark_is_no_part_of_the_first_input(kind, first):
    assert list(read_inputs([f"\ufeff{first}\n"], kind)) == [("Anna",) if kind == "conll" else "Anna"]


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("not_json", "plain text"),
        ("not_an_object", "[1]"),
        ("neither_text_nor_tokens", '{"words": ["a"]}'),
        ("token_not_a_string", '{"tokens": [1]}'),
        ("text_not_a_string", '{"text": 3}'),
    ],
)
def test_a_json_line_that_is_no_input_is_refused_with_its_number(key, line):
    with refused(f"inputs_{key}", path="in", line=3):
        list(read_inputs(['{"text": "fine"}', "", line], "jsonl", "in"))


def test_an_unknown_format_is_refused():
    with refused("inputs_unknown_format", setting="format"):
        list(read_inputs([], "xml"))


@pytest.mark.parametrize("kind", ["text", "jsonl"])
def test_input_is_read_no_further_than_asked(kind):
    def lines():
        yield '{"text": "one"}\n'
        raise AssertionError("read ahead")

    assert next(read_inputs(lines(), kind)) == ('{"text": "one"}' if kind == "text" else "one")


def test_formats_follow_file_names():
    names = ("a.jsonl", "a.json", "eng.conll", "a.iob2", "a.txt", "", "esp.testa")
    assert [guess_format(name) for name in names] == ["jsonl", "jsonl", "conll", "conll", "text", "text", "text"]


# Corpora and inputs

CHARACTERS = st.characters(codec="utf-8", exclude_characters="\n\t\0") | st.sampled_from("\r\x85\u2028\u00a0\ufeff a")
WORDS = st.text(CHARACTERS, max_size=4) | st.just(DOCUMENT_MARK)
SOLID_WORDS = st.text(CHARACTERS.filter(lambda c: c not in " \r\ufeff"), min_size=1, max_size=4) | st.just(DOCUMENT_MARK)
SPACES = st.text(" ", max_size=2)
COLUMN_LINES = st.one_of(
    WORDS.map("{}\tO".format),
    st.builds("{}{} {}O{}".format, SPACES, SOLID_WORDS, SPACES, st.text(" \t", max_size=2)),
    st.sampled_from(["", " ", "\t", "\u00a0", "\u2028 "]),
)
ENDS = st.sampled_from(["\n", "\r\n"])


def of_file(path, content, kind):
    """The words that `predict` reads from a file, and the document of each sentence."""
    path.write_bytes(content.encode())
    with path.open(encoding="utf-8", newline="\n") as lines:
        records = list(valid(read_records(lines, kind, path)))
    return [record.item for record in records], [record.document for record in records]


def joined(documents):
    """Whether each sentence but the first is of the document of the one before it."""
    return [one is not None and one == other for one, other in pairwise(documents)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("inputs")


def test_a_line_with_an_empty_word_is_in_its_sentence_for_corpora_and_inputs(folder):
    text = "a\tO\n\tO\nb\tO"
    assert of_file(folder / "in.conll", text, "conll")[0] == [("a", "", "b")]
    assert [s.words for s in read_columns(text, "in.conll", "ner")] == [("a", "", "b")]


@settings(deadline=None)  # a busy machine is no failure
@given(lines=st.lists(COLUMN_LINES), end=ENDS)
def test_corpora_and_inputs_have_the_same_sentences_in_conll_columns(folder, lines, end):
    path = folder / "in.conll"
    found, documents = of_file(path, end.join(lines), "conll")
    try:
        expected = read_columns(read_text(path)[0], path, "ner")
    except UserError as error:
        assert error.line is None, error  # no sentence, which is no mistake in an input
        expected = []
    assert found == [s.words for s in expected]
    before = sum(document is None for document in documents)  # sentences before the first mark, which are a document too
    assert joined(documents[before:]) == joined([s.document for s in expected[before:]])


@settings(deadline=None)  # a busy machine is no failure
@given(
    sentences=st.lists(st.none() | st.lists(st.text(CHARACTERS, max_size=4), min_size=1)),
    named=st.lists(st.dictionaries(st.sampled_from(["document", "document_id"]), st.sampled_from([None, 1, "1"]))),
    end=ENDS,
    escape=st.booleans(),
)
def test_corpora_and_inputs_have_the_same_sentences_in_json_lines(folder, sentences, named, end, escape):
    path = folder / "in.jsonl"
    pairs = zip_longest(sentences, named[: len(sentences)], fillvalue={})
    rows = [{"tokens": words, "tags": ["O"] * len(words), **more} if words else None for words, more in pairs]
    content = end.join(" " if row is None else json.dumps(row, ensure_ascii=escape) for row in rows)
    found, documents = of_file(path, content, "jsonl")
    assert found == [tuple(words) for words in sentences if words]
    if found:
        expected = read_jsonl(read_text(path)[0], path, "ner")
        assert found == [s.words for s in expected]
        assert joined(documents) == joined([s.document for s in expected])


def test_a_document_is_tagged_together_up_to_a_limit():
    def lengths(documents, most=4):
        records = [Record(("x",), i, document=one and ("file", one)) for i, one in enumerate(documents)]
        return [len(some) for some in together(records, 2, most)]

    assert lengths([None] * 5) == [2, 2, 1]
    assert lengths("abbbcc") == [4, 2]
    assert lengths("aabbb") == [2, 3]
    assert lengths("aaaaaaabb") == [4, 3, 2]
    assert lengths(["a", None, None]) == [2, 1]
    assert lengths("aaa", most=1) == [1, 1, 1]


def test_records_are_not_held_back_for_the_document_of_the_next():
    def records(document):
        yield Record(("x",), 1, document=document)
        raise AssertionError("read too far")

    assert len(next(together(records(None), 1, 2))) == len(next(together(records(("file", "a")), 1, 1))) == 1


def test_comments_and_numbers_of_words_are_no_words():
    text = "# id 1\nAda\tB-PER\n\n#\tO\n"
    assert list(read_inputs(text.splitlines(keepends=True), "conll")) == [("Ada",), ("#",)]
    text = "1\tAda\tB-PER\tO\n\n# x\n1\tin\tO\tO\n2\tNice\tB-LOC\tO\n\n1\t.\tO\tO\n"
    assert list(read_inputs(text.splitlines(keepends=True), "conll")) == [("Ada",), ("in", "Nice"), (".",)]
    text = "1 CD O\n2 CD O\n\nNice NNP B-LOC\nis VBZ O\n"
    assert list(read_inputs(text.splitlines(keepends=True), "conll")) == [("1", "2"), ("Nice", "is")]


def test_sentences_of_one_word_are_not_held_back():
    def lines():
        yield from ("Nice\n", "\n")
        raise AssertionError("read too far")

    assert next(read_inputs(lines(), "conll")) == ("Nice",)
