import datasets
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from support.errors import refused

from tfner.data import hub
from tfner.data.hub import raw_splits, read_hub

NAMES = ["B-LOC", "O", "I-LOC"]  # in the order of no corpus: ids must not be assumed


def dataset(rows, tags="ner_tags", label=None, **columns):
    features = {"tokens": List(Value("string")), tags: List(label or ClassLabel(names=NAMES))}
    data = {"tokens": [words for words, _ in rows], tags: [ids for _, ids in rows], **columns}
    return Dataset.from_dict(data, Features(features | {name: Value("int64") for name in columns}))


def test_ids_become_names_and_documents_are_kept():
    rows = [(["in", "New", "York"], [1, 0, 2]), ([], []), (["no"], [1]), (["Rome"], [0])]
    found = DatasetDict({"dev": dataset(rows, document_id=[4, 4, 4, 9])})
    splits, notes = raw_splits(found, "x/y", "ner")
    source, sentences = splits["validation"]
    assert source == "x/y dev"
    assert [(s.words, s.tags, s.document, s.where(0)) for s in sentences] == [
        (("in", "New", "York"), ("O", "B-LOC", "I-LOC"), 0, 1),
        (("no",), ("O",), 0, 3),
        (("Rome",), ("B-LOC",), 1, 4),
    ]
    assert notes == []


def test_tags_that_are_names_are_kept():
    splits, _ = raw_splits({"test": dataset([(["a"], ["B-X"])], "tags", Value("string"))}, "x", "ner")
    assert splits["test"][1][0].tags == ("B-X",)


def test_parquet_files_are_read_through_load_dataset(tmp_path):
    files = {}
    for split, word in (("train", "Rome"), ("validation", "Oslo"), ("test", "Lima")):
        files[split] = str(tmp_path / f"{split}.parquet")
        dataset([([word, "!"], [0, 1])], document_id=[1]).to_parquet(files[split])
    splits, _ = raw_splits(datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path)), "x", "ner")
    assert {split: (s[0].words, s[0].tags, s[0].document) for split, (_, s) in splits.items()} == {
        "train": (("Rome", "!"), ("B-LOC", "O"), 0),
        "validation": (("Oslo", "!"), ("B-LOC", "O"), 0),
        "test": (("Lima", "!"), ("B-LOC", "O"), 0),
    }


def test_splits_with_other_names_are_left_out_with_a_note():
    found = {"train": dataset([(["a"], [1])]), "extra": dataset([(["b"], [1])])}
    splits, notes = raw_splits(found, "x", "ner")
    assert list(splits) == ["train"]
    assert notes == ["x: left out the splits extra, as their names mention neither train, validation nor test"]


@pytest.mark.parametrize(
    ("key", "found", "about"),
    [
        ("no_split", {"extra": dataset([(["a"], [1])])}, {"path": "x"}),
        ("two_of_a_split", {"dev": dataset([(["a"], [1])]), "validation": dataset([(["a"], [1])])}, {"path": "x"}),
        ("no_tag_column", {"train": dataset([(["a"], [1])], "labels")}, {"path": "x train", "setting": "task"}),
        ("ids_without_names", {"train": dataset([(["a"], [1])], label=Value("int64"))}, {"path": "x train"}),
        ("tags_and_tokens", {"train": dataset([(["a"], [1]), (["a"], [1, 1])])}, {"path": "x train", "line": 2}),
        ("id_negative", {"test": dataset([(["a"], [-1])])}, {"path": "x test", "line": 1}),
    ],
)
def test_a_data_set_that_does_not_fit_is_refused(key, found, about):
    with refused(f"hub_{key}", **about):
        raw_splits(found, "x", "ner")


@pytest.fixture
def loading(monkeypatch):
    """Replaces `load_dataset`: returns or raises what the test puts into the list of results, and records its calls."""

    class Loading:
        results, calls = [], []

    def load(repository, revision=None):
        Loading.calls.append((repository, revision, datasets.config.HF_HUB_OFFLINE))
        result = Loading.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    Loading.results, Loading.calls = [], []
    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "hub_answers", lambda: True)
    return Loading


FOUND = {"train": dataset([(["a"], [1])])}


def test_conll2003_is_read_from_a_copy_with_documents_and_a_note_says_so(loading):
    loading.results = [FOUND]
    splits, notes = read_hub("conll2003", "ner")
    assert [s.words for s in splits["train"][1]] == [("a",)]
    assert loading.calls == [("tomaarsen/conll2003", None, False)]
    assert notes == ["conll2003: read from tomaarsen/conll2003 on the Hugging Face hub"]


def test_a_data_set_that_is_a_script_is_read_from_its_parquet_copy(loading):
    loading.results = [RuntimeError("Dataset scripts are no longer supported, but found x.py"), FOUND]
    read_hub("x/y", "ner")
    assert loading.calls == [("x/y", None, False), ("x/y", "refs/convert/parquet", False)]


def test_without_the_hub_the_cache_is_read_without_retries_and_with_a_note(loading, monkeypatch):
    monkeypatch.setattr(hub, "hub_answers", lambda: False)
    loading.results = [FOUND]
    _, notes = read_hub("x/y", "ner")
    assert loading.calls == [("x/y", None, True)]
    assert notes == ["x/y: the hub cannot be reached, so the data set is read from the local cache"]
    assert not datasets.config.HF_HUB_OFFLINE


def test_without_hub_and_cache_the_error_names_the_alternatives(loading, monkeypatch):
    monkeypatch.setattr(hub, "hub_answers", lambda: False)
    loading.results = [ConnectionError("no route")]
    with refused("hub_out_of_reach", path="x/y", setting="corpus"):
        read_hub("x/y", "ner")
    assert not datasets.config.HF_HUB_OFFLINE


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("broken_connection", ConnectionError("broken\npipe")),
        ("unknown_name", datasets.exceptions.DatasetNotFoundError("Dataset 'x/y' doesn't exist on the Hub")),
        ("needs_a_configuration", ValueError("Config name is missing.\nPlease pick one")),
        ("damaged", datasets.exceptions.DatasetGenerationError("An error occurred")),
    ],
)
def test_a_data_set_that_cannot_be_loaded_is_refused_on_one_line(loading, key, error):
    loading.results = [error]
    with refused(f"hub_{key}", path="x/y", setting="corpus"):
        read_hub("x/y", "ner")


def test_an_error_that_is_not_about_scripts_is_a_defect(loading):
    loading.results = [RuntimeError("out of memory")]
    with pytest.raises(RuntimeError, match="out of memory"):
        read_hub("x/y", "ner")
