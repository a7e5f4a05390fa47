import shutil

from support.errors import refused
from support.trainings import SIZES

from tfner.config import make_config
from tfner.training import request
from tfner.training.request import check_request


def test_a_corpus_without_a_validation_split_is_refused_and_nothing_is_written(corpus, tmp_path):
    (tmp_path / "c").mkdir()
    shutil.copy(corpus / "train.txt", tmp_path / "c" / "train.txt")
    with refused("no_validation_split", setting="corpus"):
        check_request(make_config(corpus=str(tmp_path / "c"), output=str(tmp_path / "m")))
    assert not (tmp_path / "m").exists()


def test_tensorboard_that_is_not_installed_is_refused(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(request, "find_spec", lambda name: None)
    with refused("tensorboard_missing", setting="tensorboard"):
        check_request(make_config(corpus=str(corpus), output=str(tmp_path / "m"), tensorboard="logs"))


def test_a_complete_request_returns_the_corpus_and_writes_nothing(corpus, tmp_path):
    found = check_request(make_config(corpus=str(corpus), output=str(tmp_path / "m")))
    assert {split: len(sentences) for split, sentences in found.splits.items()} == SIZES
    assert not (tmp_path / "m").exists()
