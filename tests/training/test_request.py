import json
import shutil
from dataclasses import replace

import pytest
from support.errors import refused
from support.trainings import SIZES

from tfner import folder as folders
from tfner.config import make_config
from tfner.training import request
from tfner.training.request import as_before, check_request, check_resume, differences, find_interrupted


def interrupt(config, number=1):
    """Writes what an interrupted training leaves, as far as a request reads it; returns the state."""
    state = config.folder / folders.TRAINING / str(number)
    (state / folders.CHECKPOINTS / "0001-0000003").mkdir(parents=True)
    (state / folders.CONFIG).write_text(config.to_json(), "utf-8")
    (state / folders.LABELS).write_text(json.dumps(["O", "B-PER"]), "utf-8")
    return state


@pytest.fixture
def config(tmp_path):
    return make_config(output=str(tmp_path / "m"), epochs=5, learning_rate=1e-4)


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


def test_in_a_new_folder_nothing_is_interrupted(config):
    assert find_interrupted(config) is None and check_resume(config) is None
    assert not config.folder.exists()


def test_the_newest_interrupted_training_with_the_same_settings_is_found(config):
    for number in (2, 9, 10):
        interrupt(config, number)
    interrupt(replace(config, seed=1), 11)
    assert find_interrupted(config) == check_resume(config) == 10


def test_a_training_whose_version_is_exported_is_not_interrupted(config):
    interrupt(config)
    version = config.folder / "1"
    version.mkdir()
    assert check_resume(config) == 1
    (version / folders.SAVED_MODEL).write_bytes(b"x")
    assert check_resume(config) is None


def test_a_training_without_a_checkpoint_cannot_be_resumed(config):
    state = interrupt(config)
    (state / folders.CHECKPOINTS / "0001-0000003").rename(state / folders.CHECKPOINTS / ".0001-0000003-17-ab")
    assert check_resume(config) is None


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("resume_with_another_seed", {"seed": 7}),
        ("resume_with_two_other_settings", {"variant": "head", "epochs": "auto"}),
        ("resume_with_another_rate", {"learning_rate": 2e-4}),
    ],
)
def test_resuming_with_other_settings_is_refused_and_they_are_named(config, key, other):
    state = interrupt(config)
    with refused(key, setting="resume", path=state) as caught:
        check_resume(replace(config, **other))
    assert all(f"{name}=" in str(caught.value) for name in other)
    assert find_interrupted(replace(config, **other)) is None


def test_what_does_not_change_the_result_may_differ(config, tmp_path):
    state = interrupt(config)
    other = {"tensorboard": "logs", "checkpoint_minutes": 1.0, "strategy": "none", "accumulate_steps": 2, "output": "m2"}
    assert differences(state, replace(config, **other)) == []


def test_auto_continues_with_what_was_chosen_for_it(config):
    chosen = replace(config, learning_rate=1.25e-4, head_learning_rate=7e-3, precision="bfloat16")
    state = interrupt(chosen)
    auto = replace(config, learning_rate="auto", head_learning_rate="auto", precision="auto", checkpoint_minutes=1.0)
    assert check_resume(auto) == 1
    assert as_before(auto, state) == replace(chosen, checkpoint_minutes=1.0)
    assert as_before(replace(auto, precision="float32"), state).precision == "float32"


def test_epochs_auto_is_not_a_number_of_epochs(config):
    state = interrupt(replace(config, epochs="auto"))
    assert len(differences(state, config)) == 1
    assert differences(state, replace(config, epochs="auto")) == []


@pytest.mark.parametrize("text", ["{", '{"wings": 2}', "[]"])
def test_settings_that_cannot_be_read_stop_only_a_training_that_resumes(config, text):
    state = interrupt(config)
    (state / folders.CONFIG).write_text(text)
    assert find_interrupted(config) is None
    with pytest.raises(ValueError) as caught:
        check_resume(config)
    assert (caught.value.setting, caught.value.path) == ("resume", state)


@pytest.mark.parametrize(
    ("key", "given"),
    [("tag_column", {"tag_column": 77}), ("encoding", {"text_encoding": "latin-1"}), ("one", {"one_document": True})],
)
def test_settings_of_files_are_refused_for_the_embedded_corpus(tmp_path, key, given):
    with refused(f"demo_has_no_files_{key}", setting=next(iter(given))):
        check_request(make_config(output=str(tmp_path / "m"), **given))


def test_logs_for_tensorboard_need_a_folder(corpus, tmp_path):
    (tmp_path / "logs").write_text("x")
    with refused("tensorboard_is_a_file", setting="tensorboard"):
        check_request(make_config(corpus=str(corpus), output=str(tmp_path / "m"), tensorboard=str(tmp_path / "logs")))


@pytest.mark.parametrize(("key", "train"), [("one_label", "a O\nb O\n"), ("empty_words", "\tB-PER\n\tO\n")])
def test_a_corpus_that_teaches_nothing_is_refused(tmp_path, key, train):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "train.txt").write_text(train)
    (tmp_path / "c" / "valid.txt").write_text("a O\n")
    with refused(f"nothing_to_learn_{key}", setting="corpus"):
        check_request(make_config(corpus=str(tmp_path / "c"), output=str(tmp_path / "m")))
