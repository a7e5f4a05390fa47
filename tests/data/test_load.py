import subprocess
import sys

import pytest
from support.errors import refused

from tfner.config import Config
from tfner.corpus import Sentence
from tfner.data.load import corpus_of, load_corpus
from tfner.labels import CONLL_LABELS


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


# Real corpora


def totals(counts):
    return [(of["sentences"], of["documents"], of["words"], sum(of["entities"].values())) for of in counts.values()]


def test_conll2003_has_its_known_counts(conll2003):
    counts = conll2003.counts()
    assert list(counts) == ["train", "validation", "test"]
    assert totals(counts) == [(14041, 946, 203621, 23499), (3250, 216, 51362, 5942), (3453, 231, 46435, 5648)]
    assert counts["test"]["entities"] == {"PER": 1617, "ORG": 1661, "LOC": 1668, "MISC": 702}
    assert conll2003.labels == CONLL_LABELS
    first = conll2003.splits["train"][0]
    assert " ".join(first.words) == "EU rejects German call to boycott British lamb ."
    assert first.tags == ("B-ORG", "O", "B-MISC", "O", "O", "O", "B-MISC", "O", "O")
    assert "test: tags converted from IOB1 to IOB2" in conll2003.notes


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
    assert "esp.testb: not UTF-8, so it is read as ISO-8859-1; --text-encoding sets another encoding" in corpus.notes
    same = load_corpus(assets / "data/conll2002_esp", text_encoding="latin-1")
    assert same.splits == corpus.splits
    assert not any("UTF-8" in note for note in same.notes)


# Files and folders


@pytest.mark.parametrize("name", ["train.jsonl", "train.JSON"])
def test_the_ending_of_a_file_decides_its_format(tmp_path, name):
    row = '{"tokens": ["Ada"], "ner_tags": [1], "document": "x"}'
    corpus = load_corpus(write(tmp_path / name, row), label_list=["O", "I-PER"])
    assert corpus.splits == {"train": (Sentence(("Ada",), ("B-PER",), 0),)}
    assert corpus.notes == ("train: tags converted from IOB1 to IOB2",)


def test_a_folder_gives_its_splits_in_order(tmp_path):
    for name in ("test.conll", "dev.jsonl", "train.txt"):
        write(tmp_path / name, '{"tokens": ["a"], "tags": ["O"]}' if name.endswith("jsonl") else f"{name} O\n")
    splits = load_corpus(tmp_path).splits
    assert [(split, s[0].words) for split, s in splits.items()] == [
        ("train", ("train.txt",)),
        ("validation", ("a",)),
        ("test", ("test.conll",)),
    ]


@pytest.mark.parametrize(("name", "split"), [("esp.testb", "test"), ("my.dev.txt", "validation"), ("train.txt", "train")])
def test_a_single_file_is_the_split_of_its_name(tmp_path, name, split):
    corpus = load_corpus(write(tmp_path / name, "a O\n"))
    assert list(corpus.splits) == [split]
    assert corpus.notes == ()


@pytest.mark.parametrize("name", ["corpus.txt", "train_and_test.txt"])
def test_a_single_file_whose_name_does_not_say_its_split_is_train_with_a_note(tmp_path, name):
    corpus = load_corpus(write(tmp_path / name, "a O\n"))
    assert list(corpus.splits) == ["train"]
    assert corpus.notes == (f"{name}: the name does not say which split it is, so it is read as train",)


def test_the_encoding_of_files_can_be_given(tmp_path):
    path = write(tmp_path / "train.txt", "Zoë\tB-PER\n", "utf-16")
    assert load_corpus(path, text_encoding="utf-16").splits["train"][0].words == ("Zoë",)


@pytest.mark.parametrize(("one_document", "document"), [(False, None), (True, 0)])
def test_without_marks_a_file_is_one_document_only_on_request(tmp_path, one_document, document):
    corpus = load_corpus(write(tmp_path / "train.txt", "a O\n\nb O\n"), one_document=one_document)
    assert [s.document for s in corpus.splits["train"]] == [document] * 2


def test_one_document_keeps_marked_documents_apart(tmp_path):
    path = write(tmp_path / "train.txt", "-DOCSTART- O\n\na O\n\n-DOCSTART- O\n\nb O\n")
    assert [s.document for s in load_corpus(path, one_document=True).splits["train"]] == [0, 1]


def test_a_config_names_a_corpus(tmp_path):
    path = write(tmp_path / "test.txt", "Zoë NN x\n", "utf-16")
    config = Config(corpus=str(path), task="pos", tag_column=3, text_encoding="utf-16", one_document=True)
    assert corpus_of(config).splits == {"test": (Sentence(("Zoë",), ("x",), 0),)}


@pytest.mark.parametrize(
    ("key", "spec"),
    [
        ("relative", "./nowhere"),
        ("home", "~/nowhere"),
        ("absolute", "/nowhere/at/all"),
        ("conll", "nowhere.conll"),
        ("slash", "no/where/"),
        ("backslash", "a\\b"),
    ],
)
def test_a_path_that_does_not_exist_is_refused(key, spec):
    with refused(f"load_no_such_path_{key}", path=spec):
        load_corpus(spec)


def test_a_missing_folder_given_as_a_path_object_is_refused(tmp_path):
    with refused("load_no_such_path_object", path=tmp_path / "nowhere"):
        load_corpus(tmp_path / "nowhere")


def test_an_unknown_task_is_refused():
    with refused("load_unknown_task", setting="task"):
        load_corpus("demo", task="parse")


def test_an_unknown_choice_for_unseen_labels_is_refused():
    with refused("load_unknown_unseen_labels", setting="unseen_labels"):
        load_corpus("demo", unseen_labels="drop")


# Schemes


@pytest.mark.parametrize(
    ("tags", "note"),
    [
        (["B-X", "I-X", "B-X", "O", "B-Y"], None),
        (["I-X", "I-X", "B-X", "O", "I-Y"], "train: tags converted from IOB1 to IOB2"),
        (["B-X", "E-X", "S-X", "O", "S-Y"], "train: tags converted from BIOES to IOB2"),
        (
            ["B-X", "E-X", "E-X", "O", "S-Y"],
            "train: tags converted from BIOES to IOB2; 1 tag breaks the rules of BIOES, and entities are read as conlleval "
            "does",
        ),
        (["B-X", "L-X", "U-X", "O", "U-Y"], "train: tags converted from BILOU to IOB2"),
        (
            ["B-X", "I-X", "B-X", "O", "I-Y"],
            "train: IOB1 and IOB2 are mixed: 1 I- tag that continued no entity became B-, as in IOB2",
        ),
    ],
)
def test_every_scheme_becomes_iob2_with_a_note(tmp_path, tags, note):
    corpus = load_corpus(write(tmp_path / "train.txt", "".join(f"w {tag}\n" for tag in tags)))
    assert corpus.splits["train"][0].tags == ("B-X", "I-X", "B-X", "O", "B-Y")
    assert corpus.notes == ((note,) if note else ())


def test_an_unknown_tag_is_refused_with_its_line(tmp_path):
    path = write(tmp_path / "train.txt", "a O\n\nb B-PER\nc PER\n")
    with refused("load_unknown_tag", setting="task", path=path, line=4):
        load_corpus(path)


def test_an_unknown_tag_in_json_lines_is_refused_with_its_line(tmp_path):
    path = write(
        tmp_path / "train.jsonl", '{"tokens": ["a"], "tags": ["O"]}\n{"tokens": ["a", "b"], "tags": ["B-PER", "PER"]}\n'
    )
    with refused("load_unknown_tag_jsonl", setting="task", path=path, line=2):
        load_corpus(path)


def test_bioes_mixed_with_bilou_is_refused_with_the_file(tmp_path):
    path = write(tmp_path / "train.txt", "a B-X\nb E-X\nc U-X\n")
    with refused("load_mixed_schemes", path=path):
        load_corpus(path)


# Labels


def two_splits(tmp_path):
    write(tmp_path / "train.txt", "a B-PER\n")
    write(tmp_path / "test.txt", "a B-PER\n\nb B-ZOO\nc I-ZOO\n\nd B-ZOO\n")
    return tmp_path


def test_a_label_unseen_in_train_is_refused(tmp_path):
    with refused("load_unseen_label", setting="unseen_labels", path=tmp_path):
        load_corpus(two_splits(tmp_path))


def test_a_label_unseen_in_train_is_kept_on_request_with_a_note(tmp_path):
    corpus = load_corpus(two_splits(tmp_path), unseen_labels="keep")
    assert corpus.labels.types == ("PER", "ZOO")
    assert corpus.counts()["train"]["entities"] == {"PER": 1, "ZOO": 0}
    assert corpus.counts()["test"] == {"sentences": 3, "documents": None, "words": 4, "entities": {"PER": 1, "ZOO": 2}}
    assert corpus.notes == ("label ZOO occurs 2 times in test (first in sentence 2) but not in train; it can only be missed",)


def test_a_pos_tag_unseen_in_train_is_refused(tmp_path):
    write(tmp_path / "train.txt", "a NN O\n")
    write(tmp_path / "dev.txt", "a VB O\n")
    with refused("load_unseen_pos_tag", setting="unseen_labels", path=tmp_path):
        load_corpus(tmp_path, task="pos")


def test_without_a_train_split_the_labels_are_those_of_all_splits(tmp_path):
    assert load_corpus(write(tmp_path / "test.txt", "a I-ORG\n")).labels.types == ("ORG",)


# Processes


def test_without_the_hub_the_error_is_one_line_and_comes_quickly(tmp_path):
    code = (
        "from tfner.data.load import load_corpus\n"
        "try:\n    load_corpus('conll2003')\n"
        "except ValueError as error:\n    print(error.path, error.setting)\n    print(error)\n"
    )
    environment = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PATH": ""}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=60)
    about, _message = run.stdout.splitlines()
    assert about == "conll2003 corpus"


def test_reading_files_imports_neither_tensorflow_nor_datasets(tmp_path):
    write(tmp_path / "train.txt", "a O\n")
    code = (
        f"import sys; from tfner.data.load import load_corpus; load_corpus({str(tmp_path)!r})\n"
        "print({'tensorflow', 'datasets', 'transformers'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_the_share_of_the_training_sentences_is_a_setting():
    whole = corpus_of(Config()).splits
    splits = corpus_of(Config(train_share=0.1)).splits
    assert len(splits["train"]) == round(0.1 * len(whole["train"])) and splits["test"] == whole["test"]
