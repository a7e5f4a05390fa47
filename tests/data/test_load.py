import json
import subprocess
import sys

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value, load_dataset

from tfner.corpus import Sentence
from tfner.data.hub import raw_splits
from tfner.data.load import load_corpus
from tfner.errors import UserError
from tfner.labels import CONLL_LABELS


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def read(tmp_path, text, **options):
    """The train sentences of a file of that text."""
    return load_corpus(write(tmp_path / "train.txt", text), **options).splits["train"]


def refusal(spec, **options):
    """The message with which a corpus is refused."""
    with pytest.raises(UserError) as caught:
        load_corpus(spec, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


# The real corpora


def totals(counts):
    return [(of["sentences"], of["documents"], of["words"], sum(of["entities"].values())) for of in counts.values()]


def test_conll2003_has_its_known_counts(assets):
    corpus = load_corpus(assets / "data/conll2003")
    counts = corpus.counts()
    assert list(counts) == ["train", "validation", "test"]
    assert totals(counts) == [(14041, 946, 203621, 23499), (3250, 216, 51362, 5942), (3453, 231, 46435, 5648)]
    assert counts["test"]["entities"] == {"PER": 1617, "ORG": 1661, "LOC": 1668, "MISC": 702}
    assert corpus.labels == CONLL_LABELS
    first = corpus.splits["train"][0]
    assert " ".join(first.words) == "EU rejects German call to boycott British lamb ."
    assert first.tags == ("B-ORG", "O", "B-MISC", "O", "O", "O", "B-MISC", "O", "O")
    assert "test: tags converted from IOB1 to IOB2" in corpus.notes


def test_conll2003_has_pos_and_chunk_tags(assets):
    pos = load_corpus(assets / "data/conll2003", task="pos")
    assert pos.splits["train"][0].tags == ("NNP", "VBZ", "JJ", "NN", "TO", "VB", "JJ", "NN", ".")
    assert pos.labels.plain
    assert sum(pos.counts()["test"]["entities"].values()) == 46435
    chunk = load_corpus(assets / "data/conll2003", task="chunk")
    assert chunk.splits["train"][0].tags == ("B-NP", "B-VP", "B-NP", "I-NP", "B-VP", "I-VP", "B-NP", "I-NP", "O")


def test_wnut17_has_its_known_counts(assets):
    counts = load_corpus(assets / "data/wnut17").counts()
    assert [(s, d, e) for s, d, _, e in totals(counts)] == [(3394, None, 1975), (1009, None, 836), (1287, None, 1079)]


def test_spanish_is_read_as_latin_1_with_a_note_that_says_so(assets):
    corpus = load_corpus(assets / "data/conll2002_esp")
    assert [len(sentences) for sentences in corpus.splits.values()] == [8323, 1915, 1517]
    assert max(len(s.words) for s in corpus.splits["train"]) == 1238
    assert corpus.splits["test"][0].words[1] == "Coruña"
    assert "esp.testb: is not UTF-8, read as ISO-8859-1; name another encoding by --text-encoding" in corpus.notes
    same = load_corpus(assets / "data/conll2002_esp", text_encoding="latin-1")
    assert same.splits == corpus.splits
    assert not any("UTF-8" in note for note in same.notes)


# Columns


def test_blank_lines_may_hold_white_space_and_lines_may_end_in_crlf(tmp_path):
    sentences = read(tmp_path, "\ufeffAda\tB-PER\r\n\t\r\n \nruns\tO\n\n\n\u00a0 \n.\tO")
    assert sentences == (Sentence(("Ada",), ("B-PER",)), Sentence(("runs",), ("O",)), Sentence((".",), ("O",)))


def test_words_may_hold_line_separators_and_spaces_that_are_not_ascii(tmp_path):
    words = ("a\u2028b", "c\u0085", "\u00a0", "\u200b", "New York", "")
    (sentence,) = read(tmp_path, "".join(f"{word}\tO\n" for word in words))
    assert sentence.words == words


def test_several_spaces_separate_like_one(tmp_path):
    assert read(tmp_path, "Ada   NNP  B-PER \n") == (Sentence(("Ada",), ("B-PER",)),)


def test_a_document_mark_starts_a_document_and_is_no_sentence(tmp_path):
    mark = "-DOCSTART- -X- O O\n"
    text = f"a X O O\n\n{mark}\n{mark}\nb X O O\n\nc X O O\n{mark}d X O O\n"
    assert [(s.words, s.document) for s in read(tmp_path, text)] == [(("a",), 0), (("b",), 1), (("c",), 1), (("d",), 2)]


@pytest.mark.parametrize(("one_document", "document"), [(False, None), (True, 0)])
def test_without_marks_the_file_is_sentences_or_on_request_one_document(tmp_path, one_document, document):
    assert [s.document for s in read(tmp_path, "a O\n\nb O\n", one_document=one_document)] == [document] * 2


def test_one_document_leaves_marked_documents_apart(tmp_path):
    text = "-DOCSTART- O\n\na O\n\n-DOCSTART- O\n\nb O\n"
    assert [s.document for s in read(tmp_path, text, one_document=True)] == [0, 1]


@pytest.mark.parametrize(
    ("text", "options", "tag"),
    [
        ("w NN B-NP B-PER\n", {}, "B-PER"),
        ("w NN B-NP B-PER\n", {"task": "pos"}, "NN"),
        ("w NN B-NP B-PER\n", {"task": "chunk"}, "B-NP"),
        ("w NN B-PER\n", {"task": "pos"}, "NN"),
        ("w B-PER\n", {}, "B-PER"),
        ("w B-X lemma NN more\n", {"tag_column": 2}, "B-X"),
        ("w B-X lemma NN more\n", {"tag_column": -2, "task": "pos"}, "NN"),
    ],
)
def test_the_task_or_the_tag_column_picks_the_column(tmp_path, text, options, tag):
    assert read(tmp_path, text, **options)[0].tags == (tag,)


@pytest.mark.parametrize("task", ["pos", "chunk"])
def test_a_task_without_a_known_column_asks_for_the_tag_column(tmp_path, task):
    message = refusal(write(tmp_path / "train.txt", "w B-PER\n"), task=task)
    assert "train.txt:1 has 2" in message
    assert "--tag-column" in message


@pytest.mark.parametrize("tag_column", [0, 1, 4, -3])
def test_a_tag_column_out_of_range_is_refused_with_the_range(tmp_path, tag_column):
    message = refusal(write(tmp_path / "train.txt", "w NN O\n"), tag_column=tag_column)
    assert f"--tag-column {tag_column}" in message
    assert "expected 2 to 3, or -1 to -2" in message


def test_ragged_columns_are_refused_with_file_and_line(tmp_path):
    message = refusal(write(tmp_path / "train.txt", "EU NNP I-NP I-ORG\n\nrejects VBZ O\n"))
    assert "train.txt:3: expected 4 columns as in line 1, found 3: 'rejects VBZ O'" in message


def test_a_word_without_a_tag_is_refused(tmp_path):
    assert "train.txt:2: expected 2 columns" in refusal(write(tmp_path / "train.txt", "a\tO\nb\t\n"))
    assert "found one column" in refusal(write(tmp_path / "train.txt", "a\nb\n"))


def test_an_unknown_tag_is_refused_with_file_line_and_advice(tmp_path):
    message = refusal(write(tmp_path / "train.txt", "a O\n\nb O\nc PER\n"))
    assert "train.txt:4: tag 'PER' fits no known scheme" in message
    assert "--tag-column" in message


def test_bioes_mixed_with_bilou_is_refused_with_the_file(tmp_path):
    message = refusal(write(tmp_path / "train.txt", "a B-X\nb E-X\nc U-X\n"))
    assert "train.txt: prefixes" in message


@pytest.mark.parametrize("text", ["", "\n \n\t\n", "-DOCSTART- -X- O O\n"])
def test_a_file_without_sentences_is_refused(tmp_path, text):
    assert "train.txt: expected a word and its tag per line, found no sentence" in refusal(write(tmp_path / "train.txt", text))


# Encodings


def test_utf_16_needs_its_name_and_is_read_with_it(tmp_path):
    path = write(tmp_path / "train.txt", "Zoë\tB-PER\n", "utf-16")
    assert "--text-encoding, such as utf-16" in refusal(path)
    assert load_corpus(path, text_encoding="utf-16").splits["train"][0].words == ("Zoë",)


@pytest.mark.parametrize("name", ["klingon", "base64"])
def test_an_unknown_encoding_is_refused(tmp_path, name):
    assert f"--text-encoding '{name}' is no encoding" in refusal(write(tmp_path / "train.txt", "a O\n"), text_encoding=name)


def test_bytes_that_do_not_fit_the_encoding_are_refused(tmp_path):
    path = write(tmp_path / "train.txt", "Zoë O\n", "latin-1")
    assert "expected text in utf-8, but byte 3 of 6" in refusal(path, text_encoding="utf-8")


# Schemes


@pytest.mark.parametrize(
    ("tags", "note"),
    [
        (["B-X", "I-X", "B-X", "O", "B-Y"], None),
        (["I-X", "I-X", "B-X", "O", "I-Y"], "train: tags converted from IOB1 to IOB2"),
        (["B-X", "E-X", "S-X", "O", "S-Y"], "train: tags converted from BIOES to IOB2"),
        (["B-X", "L-X", "U-X", "O", "U-Y"], "train: tags converted from BILOU to IOB2"),
        (
            ["B-X", "I-X", "B-X", "O", "I-Y"],
            "train: IOB1 and IOB2 are mixed: 1 I- that continued nothing became B-, as in IOB2",
        ),
    ],
)
def test_every_scheme_becomes_iob2_and_a_note_says_from_what(tmp_path, tags, note):
    corpus = load_corpus(write(tmp_path / "train.txt", "".join(f"w {tag}\n" for tag in tags)))
    assert corpus.splits["train"][0].tags == ("B-X", "I-X", "B-X", "O", "B-Y")
    assert corpus.notes == ((note,) if note else ())


# Files and folders


@pytest.mark.parametrize(
    "names",
    [
        ("esp.train", "esp.testa", "esp.testb"),
        ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"),
        ("train", "valid", "test"),
        ("Train.TXT", "validation.txt", "testannotated.txt"),
        ("engtrain.txt", "engvalid.txt", "engtest.txt"),
        ("latest-train.txt", "latest-dev.txt", "latest-test.txt"),
    ],
)
def test_files_are_matched_to_splits_by_the_word_in_their_names(tmp_path, names):
    for name in names:
        write(tmp_path / name, f"{name} O\n")
    for other in ("README.train.md", "LICENSE.test", ".train.swp", "labels.json"):
        write(tmp_path / other, "")
    (tmp_path / "training").mkdir()
    splits = load_corpus(tmp_path).splits
    assert {split: s[0].words[0] for split, s in splits.items()} == dict(
        zip(("train", "validation", "test"), names, strict=True)
    )


def test_two_files_of_one_split_are_refused_and_listed(tmp_path):
    for name in ("eng.train", "eng.train.old", "eng.testa"):
        write(tmp_path / name, "a O\n")
    message = refusal(tmp_path)
    assert "eng.train and eng.train.old are both a train split" in message
    assert "found eng.testa, eng.train, eng.train.old" in message


def test_a_file_name_of_two_splits_is_refused(tmp_path):
    write(tmp_path / "train_test.txt", "a O\n")
    assert "train_test.txt names test and train" in refusal(tmp_path)


def test_a_folder_without_splits_is_refused_with_what_was_found(tmp_path):
    assert "found no files" in refusal(tmp_path)
    write(tmp_path / "corpus.txt", "a O\n")
    assert "found corpus.txt" in refusal(tmp_path)


@pytest.mark.parametrize(("name", "split"), [("esp.testb", "test"), ("my.dev.txt", "validation"), ("train.txt", "train")])
def test_a_single_file_is_the_split_of_its_name(tmp_path, name, split):
    corpus = load_corpus(write(tmp_path / name, "a O\n"))
    assert list(corpus.splits) == [split]
    assert corpus.notes == ()


@pytest.mark.parametrize("name", ["corpus.txt", "train_and_test.txt"])
def test_a_single_file_whose_name_does_not_say_its_split_is_train_with_a_note(tmp_path, name):
    corpus = load_corpus(write(tmp_path / name, "a O\n"))
    assert list(corpus.splits) == ["train"]
    assert corpus.notes == (f"{name}: its name does not say which split it is, taken as train",)


@pytest.mark.parametrize("spec", ["./nowhere", "~/nowhere", "/nowhere/at/all", "nowhere.conll", "no/where/", "a\\b"])
def test_a_path_that_is_not_there_is_refused_as_such(spec):
    assert f"{spec}: no such file or folder" in refusal(spec)


def test_a_missing_folder_given_as_a_path_is_refused_as_such(tmp_path):
    assert "no such file or folder" in refusal(tmp_path / "nowhere")


def test_an_unknown_task_is_refused():
    assert "expected one of ner, pos, chunk" in refusal("demo", task="parse")


# Labels


def two_splits(tmp_path):
    write(tmp_path / "train.txt", "a B-PER\n")
    write(tmp_path / "test.txt", "a B-PER\n\nb B-ZOO\nc I-ZOO\n\nd B-ZOO\n")
    return tmp_path


def test_a_label_unseen_in_training_is_refused_with_split_sentence_and_number(tmp_path):
    message = refusal(two_splits(tmp_path))
    assert "test: ZOO stands 2 times (first in sentence 2) and never in train" in message
    assert "--unseen-labels keep" in message


def test_a_label_unseen_in_training_is_kept_on_request_with_a_note(tmp_path):
    corpus = load_corpus(two_splits(tmp_path), unseen_labels="keep")
    assert corpus.labels.types == ("PER", "ZOO")
    assert corpus.counts()["train"]["entities"] == {"PER": 1, "ZOO": 0}
    assert corpus.counts()["test"] == {"sentences": 3, "documents": None, "words": 4, "entities": {"PER": 1, "ZOO": 2}}
    assert corpus.notes == ("test: ZOO stands 2 times (first in sentence 2) and never in train: it can only be missed",)


def test_a_pos_tag_unseen_in_training_is_refused(tmp_path):
    write(tmp_path / "train.txt", "a NN O\n")
    write(tmp_path / "dev.txt", "a VB O\n")
    assert "validation: VB stands 1 times (first in sentence 1)" in refusal(tmp_path, task="pos")


def test_without_a_train_split_the_labels_are_those_of_all_splits(tmp_path):
    assert load_corpus(write(tmp_path / "test.txt", "a I-ORG\n")).labels.types == ("ORG",)


# JSON lines


def jsonl(path, *rows):
    return write(path, "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))


def test_json_lines_with_names_are_read_with_their_documents(tmp_path):
    path = jsonl(
        tmp_path / "train.jsonl",
        {"tokens": ["Ada", "a\u2028b"], "ner_tags": ["I-PER", "O"], "document": "x"},
        "",
        {"tokens": [], "ner_tags": [], "document": "x"},
        {"tokens": ["b"], "tags": ["O"], "document": "x"},
        {"tokens": ["c"], "ner_tags": ["O"], "document": 7},
    )
    assert load_corpus(path).splits["train"] == (
        Sentence(("Ada", "a\u2028b"), ("B-PER", "O"), 0),
        Sentence(("b",), ("O",), 0),
        Sentence(("c",), ("O",), 1),
    )


def test_json_lines_pick_the_tags_of_the_task(tmp_path):
    path = jsonl(tmp_path / "train.json", {"tokens": ["a"], "ner_tags": ["O"], "pos_tags": ["NN"], "chunk_tags": ["B-NP"]})
    assert [load_corpus(path, task=task).splits["train"][0].tags for task in ("ner", "pos", "chunk")] == [
        ("O",),
        ("NN",),
        ("B-NP",),
    ]


def test_json_lines_with_ids_take_names_from_the_argument_or_the_file_beside_them(tmp_path):
    path = jsonl(tmp_path / "test.jsonl", {"tokens": ["Ada", "x"], "ner_tags": [1, 0]})
    assert "put labels.json, a JSON list of label names" in refusal(path)
    assert load_corpus(path, label_list=["O", "B-PER"]).splits["test"][0].tags == ("B-PER", "O")
    write(tmp_path / "labels.json", '["O", "B-ORG"]')
    assert load_corpus(path).splits["test"][0].tags == ("B-ORG", "O")


@pytest.mark.parametrize("content", ["{", '{"O": 0}', "[1]"])
def test_a_broken_label_list_is_refused(tmp_path, content):
    path = jsonl(tmp_path / "test.jsonl", {"tokens": ["a"], "ner_tags": [0]})
    write(tmp_path / "labels.json", content)
    assert "labels.json: expected a JSON list of label names" in refusal(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"tokens": [', "train.jsonl:2: expected one JSON object per line"),
        ("[1]", "train.jsonl:2: expected an object"),
        ({"words": ["a"], "ner_tags": ["O"]}, "train.jsonl:2: expected a key 'tokens', found ['ner_tags', 'words']"),
        ({"tokens": ["a"]}, "train.jsonl:2: expected a key 'ner_tags' or 'tags'"),
        ({"tokens": "a", "ner_tags": ["O"]}, "train.jsonl:2: expected a list under 'tokens', found 'a'"),
        ({"tokens": ["a"], "ner_tags": ["O", "O"]}, "train.jsonl:2: expected one tag per token, found 1 tokens and 2 tags"),
        ({"tokens": ["a", "b"], "ner_tags": ["O"]}, "train.jsonl:2: expected one tag per token, found 2 tokens and 1 tags"),
        ({"tokens": [5], "ner_tags": ["O"]}, "train.jsonl:2: expected tokens to be strings, found 5"),
        ({"tokens": ["a"], "ner_tags": [2]}, "train.jsonl:2: expected ids 0 to 1 (2 labels are listed), found 2"),
        ({"tokens": ["a"], "ner_tags": [-1]}, "train.jsonl:2: expected ids 0 to 1 (2 labels are listed), found -1"),
        ({"tokens": ["a"], "ner_tags": [None]}, "train.jsonl:2: expected tags to be names or ids, found None"),
        ({"tokens": ["a"], "ner_tags": ["PER"]}, "train.jsonl:2: tag 'PER' fits no known scheme"),
    ],
)
def test_a_bad_json_line_is_refused_with_file_and_line(tmp_path, row, message):
    path = jsonl(tmp_path / "train.jsonl", {"tokens": ["a"], "ner_tags": ["O"]}, row)
    assert message in refusal(path, label_list=["O", "B-PER"])


def test_json_lines_without_sentences_are_refused(tmp_path):
    assert "found no sentence" in refusal(write(tmp_path / "train.jsonl", "\n"))


# The hub


NAMES = ["B-LOC", "O", "I-LOC"]  # no corpus's usual order: ids must not be assumed


def dataset(rows, tags="ner_tags", label=None, **columns):
    features = {"tokens": List(Value("string")), tags: List(label or ClassLabel(names=NAMES))}
    data = {"tokens": [words for words, _ in rows], tags: [ids for _, ids in rows], **columns}
    return Dataset.from_dict(data, Features(features | {name: Value("int64") for name in columns}))


def test_a_dataset_gets_its_label_names_from_its_features_and_keeps_its_documents():
    rows = [(["in", "New", "York"], [1, 0, 2]), ([], []), (["no"], [1]), (["Rome"], [0])]
    found = DatasetDict({"dev": dataset(rows, document_id=[4, 4, 4, 9])})
    written, notes = raw_splits(found, "x/y", "ner")
    source, sentences = written["validation"]
    assert source == "x/y dev"
    assert [(s.words, s.tags, s.document, s.where(0)) for s in sentences] == [
        (("in", "New", "York"), ("O", "B-LOC", "I-LOC"), 0, 1),
        (("no",), ("O",), 0, 3),
        (("Rome",), ("B-LOC",), 1, 4),
    ]
    assert notes == []


def test_a_dataset_with_names_for_tags_is_read_as_it_is():
    written, _ = raw_splits({"test": dataset([(["a"], ["B-X"])], "tags", Value("string"))}, "x", "ner")
    assert written["test"][1][0].tags == ("B-X",)


def test_parquet_files_are_read_through_load_dataset(tmp_path):
    files = {}
    for split, word in (("train", "Rome"), ("validation", "Oslo"), ("test", "Lima")):
        files[split] = str(tmp_path / f"{split}.parquet")
        dataset([([word, "!"], [0, 1])], document_id=[1]).to_parquet(files[split])
    written, _ = raw_splits(load_dataset("parquet", data_files=files, cache_dir=str(tmp_path)), "x", "ner")
    assert {split: (s[0].words, s[0].tags, s[0].document) for split, (_, s) in written.items()} == {
        "train": (("Rome", "!"), ("B-LOC", "O"), 0),
        "validation": (("Oslo", "!"), ("B-LOC", "O"), 0),
        "test": (("Lima", "!"), ("B-LOC", "O"), 0),
    }


def test_splits_of_other_names_are_left_out_with_a_note():
    found = {"train": dataset([(["a"], [1])]), "extra": dataset([(["b"], [1])])}
    written, notes = raw_splits(found, "x", "ner")
    assert list(written) == ["train"]
    assert notes == ["x: left out extra, which are neither train, validation nor test"]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"extra": dataset([(["a"], [1])])}, "x: expected splits train, validation and test, found extra"),
        ({"dev": dataset([(["a"], [1])]), "validation": dataset([(["a"], [1])])}, "expected one validation split"),
        ({"train": dataset([(["a"], [1])], "labels")}, "expected columns tokens and ner_tags or tags, found tokens, labels"),
        ({"train": dataset([(["a"], [1])], label=Value("int64"))}, "expected label names or ids with names"),
        (
            {"train": dataset([(["a"], [1]), (["a"], [1, 1])])},
            "x train:2: expected one tag per token, found 1 tokens and 2 tags",
        ),
        ({"test": dataset([(["a"], [-1])])}, "x test:1: expected ids 0 to 2"),
    ],
)
def test_a_dataset_that_does_not_fit_is_refused(found, message):
    with pytest.raises(UserError) as caught:
        raw_splits(found, "x", "ner")
    assert message in str(caught.value)


def test_the_hub_out_of_reach_is_one_line_with_the_alternatives(tmp_path):
    code = (
        "from tfner.data.load import load_corpus\n"
        "try:\n    load_corpus('conll2003')\n"
        "except ValueError as error:\n    print(error)\n"
    )
    environment = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PATH": ""}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.count("\n") == 1
    assert "hub is out of reach" in run.stdout
    assert "--corpus FOLDER" in run.stdout
    assert "--corpus demo" in run.stdout


def test_reading_files_brings_neither_tensorflow_nor_datasets(tmp_path):
    write(tmp_path / "train.txt", "a O\n")
    code = (
        f"import sys; from tfner.data.load import load_corpus; load_corpus({str(tmp_path)!r})\n"
        "print({'tensorflow', 'datasets', 'transformers'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
