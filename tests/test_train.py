"""`python -m tfner.train` from end to end: what a training writes and prints, and how it ends."""

import csv
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from support import tiny
from support.errors import refused
from support.trainings import EPOCHS, LINES, SIZES, brief, refused_line, run, stopped_run, training_run

from tfner import export, train
from tfner import folder as folders
from tfner.config import make_config
from tfner.demo.corpus import demo_corpus
from tfner.evaluation.scores import read_scores
from tfner.folder import EXTRA, TRAINING
from tfner.modeling.variants import classifier_note, logits_function
from tfner.training.report import COLUMNS
from tfner.training.request import check_request
from tfner.training.state import load_state


def test_a_training_writes_a_complete_version(model):
    version = model / "1"
    assert folders.versions(model) == [1] and (version / folders.SAVED_MODEL).is_file()
    expected = "README.md config.json confusion_test.png confusion_validation.png history.csv labels.json learning_curves.png"
    assert {p.name for p in (version / EXTRA).iterdir()} == {
        *(
            *expected.split(),
            "calibration.json",
            "contents.json",
            "limits.json",
            "scores.json",
            "tokenizer",
            "tf_serving_warmup_requests",
        )
    }
    with (version / EXTRA / folders.HISTORY).open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["epoch"]) for row in rows] == list(range(1, EPOCHS + 1))
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"]) / 2
    words = sum(len(s.words) for s in demo_corpus().splits["test"][: SIZES["test"]])
    assert read_scores(version / EXTRA / folders.SCORES)["test"].words == words


def test_the_suggested_command_quotes_a_folder_with_spaces(models):
    folder = models["head"]
    assert " " in str(folder)
    command = (folder.parent / LINES).read_text("utf-8").splitlines()[-1].partition("next: ")[2]
    assert shlex.split(command)[:4] == ["python", "-m", "tfner.predict", str(folder)]


@pytest.fixture(scope="module")
def again(models, corpus, small_encoder, tmp_path_factory):
    """The training of `models["head"]` once more, in a new process: the folder of the model, and the finished process."""
    folder = tmp_path_factory.mktemp("again") / "my models" / "head"
    shutil.copytree(models["head"], folder)
    settings = [part for name, value in brief(small_encoder).items() for part in (f"--{name.replace('_', '-')}", value)]
    argv = ["--variant", "head", "--corpus", corpus, "--output", folder, *settings, "--patience", EPOCHS]
    return folder, run("tfner.train", *argv, "--json", "--tensorboard", folder.parent / "logs")


@pytest.mark.slow
def test_json_is_all_that_train_prints_on_standard_output(again, small_encoder):
    folder, result = again
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["folder"] == str(folder / "2")
    assert f"encoder  {small_encoder}" in result.stderr
    for noise in ("oneDNN", "cuda", "Warning", "WARNING: All log", "Some weights", "absl"):
        assert noise not in result.stderr
    assert list((folder.parent / "logs").rglob("events.out.tfevents.*"))


def test_training_again_adds_a_version_and_the_same_seed_gives_the_same_scores(again, models):
    folder, result = again
    assert folders.versions(folder) == folders.versions(folder / folders.TRAINING) == [1, 2]
    found = json.loads(result.stdout)
    before = folders.read_history(models["head"] / "1" / EXTRA / folders.HISTORY)
    for one, other in zip(before, found["history"], strict=True):
        assert [float(one[k]) for k in COLUMNS[:7]] == pytest.approx([other[k] for k in COLUMNS[:7]], abs=1e-5)
    assert {s: v.to_json() for s, v in read_scores(models["head"] / "1" / EXTRA / folders.SCORES).items()} == found["scores"]


def start(*flags) -> subprocess.Popen[str]:
    argv = [sys.executable, "-u", "-m", "tfner.train", *flags]
    return subprocess.Popen(list(map(str, argv)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stop_in_epoch(process: subprocess.Popen[str], epoch: int, number: int) -> tuple[list[str], str]:
    """Sends a signal when a training has printed the row of the epoch before; returns the lines and standard error."""
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if line.split()[:1] == [str(epoch - 1)]:
            process.send_signal(number)
    return lines, process.communicate()[1]


@pytest.mark.slow
def test_ctrl_c_and_sigterm_write_a_checkpoint_say_how_to_go_on_and_have_their_exit_status(corpus, small_encoder, tmp_path):
    flags = ["--corpus", corpus, "--encoder", small_encoder, "--epochs", 500, "--patience", 500, "--output", tmp_path / "m"]
    process = start(*flags)
    lines, errors = stop_in_epoch(process, 3, signal.SIGINT)
    assert process.wait() == 130
    assert errors == "interrupted\n"
    assert [line for line in lines if "--resume" in line] == lines[-1:]
    assert lines[-1].startswith("stopped ") and "split" not in lines[-1]

    process = start(*flags, "--resume")
    lines, errors = stop_in_epoch(process, 4, signal.SIGTERM)
    assert process.wait() == 143
    assert errors == ""
    [resumed] = [line for line in lines if line.startswith("resumed")]
    rows = [int(line.split()[0]) for line in lines[lines.index(resumed) + 2 :] if line.split()[0].isdigit()]
    assert rows[:2] == [1, 2] and rows == list(range(1, len(rows) + 1)) and 3 <= len(rows) < 500
    assert lines[-1].startswith("stopped ") and "--resume" in lines[-1]
    assert folders.interrupted_states(tmp_path / "m") == folders.versions(tmp_path / "m" / folders.TRAINING) == [1]
    assert folders.versions(tmp_path / "m") == []


class Enough(Exception):
    """Ends a training from the callback that gets its lines."""


@pytest.fixture(scope="module")
def stopped(corpus, small_encoder, tmp_path_factory):
    """A training that was stopped in its first epoch: its settings."""
    settings = brief(small_encoder) | {"epochs": 1, "corpus": str(corpus)}
    config = make_config(output=str(tmp_path_factory.mktemp("stopped") / "m"), **settings)
    stopped_run(training_run(output=config.folder, **settings), 1)
    return config


@pytest.fixture
def interrupted(stopped, tmp_path):
    """The settings of a copy of `stopped`."""
    return replace(stopped, output=str(shutil.copytree(stopped.folder, tmp_path / "m")))


def lines_until(text: str, config, resume: bool = False) -> list[str]:
    """What a training says until a line contains a text, at which it ends."""
    lines = []

    def say(line):
        lines.append(line)
        if text in line:
            raise Enough

    with pytest.raises(Enough):
        train.train(config, say, resume)
    return lines


def test_an_interrupted_training_with_the_same_settings_is_offered_in_one_line(interrupted):
    state = interrupted.folder / folders.TRAINING / "1"
    lines = lines_until("accuracy", interrupted)
    [offer] = [line for line in lines if "--resume" in line]
    assert str(state) in offer
    assert folders.versions(state.parent) == [1, 2]
    assert not [line for line in lines_until("accuracy", replace(interrupted, seed=5)) if "--resume" in line]


def test_a_training_that_is_running_is_not_offered(interrupted):
    lock = folders.lock_state(interrupted.folder / folders.TRAINING / "1")
    assert not [line for line in lines_until("accuracy", interrupted) if "--resume" in line]
    lock.release()


@pytest.mark.slow
def test_a_resumed_training_exports_its_own_version_and_is_not_repeated(interrupted):
    lines, interrupted = [], replace(interrupted, sentences="line")
    result = train.train(interrupted, lines.append, resume=True)
    assert load_state(interrupted.folder / TRAINING / "1").config.sentences == "line"
    assert [line for line in lines if line.startswith("resumed in epoch 1, after step")]
    assert result.folder == interrupted.folder / "1" and folders.resolve(interrupted.folder) == result.folder
    assert [row["epoch"] for row in result.history] == [1]
    checkpoints = interrupted.folder / folders.TRAINING / "1" / folders.CHECKPOINTS
    assert not checkpoints.exists()

    checkpoints.mkdir()  # as after a kill between the export and their removal
    again = train.train(interrupted, lines.append, resume=True)
    assert "this training is finished" in lines[-1]
    train.train(replace(interrupted, sentences="none", temperature=2.0), lines.append, resume=True)
    assert "ignored: --sentences, --temperature; python -m tfner.export" in lines[-1]
    assert not checkpoints.exists() and folders.versions(interrupted.folder / folders.TRAINING) == [1]
    assert again.folder == result.folder
    assert {k: s.overall for k, s in again.scores.items()} == {k: s.overall for k, s in result.scores.items()}
    assert again.history == [pytest.approx(row, rel=1e-5) for row in result.history]

    lines = lines_until("accuracy", replace(interrupted, seed=5), resume=True)
    assert [line for line in lines if "no interrupted training" in line and "a new one begins" in line]
    assert folders.versions(interrupted.folder / folders.TRAINING) == [1, 2]


def test_resuming_with_other_settings_is_one_line_with_what_differs(capsys, interrupted, corpus, small_encoder):
    flags = ["--encoder", small_encoder, "--corpus", corpus, "--output", interrupted.folder, "--epochs", 1]
    rates = ["--learning-rate", "2e-3", "--head-learning-rate", "5e-3"]
    line = refused_line(capsys, train, "--resume", *flags, *rates)
    assert "--head-learning-rate 0.005 instead of 0.004" in line and "--learning-rate 0.002" not in line


def test_a_label_unseen_in_training_is_refused_and_can_be_kept(capsys, corpus, small_encoder, tmp_path):
    shutil.copytree(corpus, tmp_path / "c")
    with (tmp_path / "c" / "test.txt").open("a") as file:
        file.write("\nHalley B-COMET\n")
    message = refused_line(capsys, train, "--corpus", tmp_path / "c", "--output", tmp_path / "m")
    assert "COMET" in message
    assert "--unseen-labels keep" in message
    assert not (tmp_path / "m").exists()
    trained = training_run(tmp_path / "c", tmp_path / "m", unseen_labels="keep", **brief(small_encoder))
    assert any("COMET" in note for note in trained.corpus.notes)
    assert trained.score()["test"].per_type["COMET"].number == 1


@pytest.mark.parametrize(
    ("argv", "flag"),
    [
        (["--corpus", "./nowhere"], "nowhere"),
        (["--encoder", "./nowhere"], "nowhere"),
        (["--variant", "heads"], "--variant heads"),
        (["--batch-size", "0"], "--batch-size 0"),
        (["--max-pieces", "4096"], "--max-pieces 4096"),
        (["--preset", "fast"], "--preset fast"),
    ],
)
def test_a_mistake_in_a_flag_gives_one_line_and_writes_nothing(capsys, corpus, tmp_path, argv, flag):
    given = argv if "--corpus" in argv else [*argv, "--corpus", corpus]
    assert flag in refused_line(capsys, train, *given, "--output", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_an_output_folder_with_other_files_is_not_changed(capsys, corpus, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    message = refused_line(capsys, train, "--corpus", corpus, "--output", tmp_path)
    assert "--output" in message and "thesis.tex" in message
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_unreachable_hub_gives_one_line_with_the_alternatives(tmp_path):
    environment = {**os.environ, "HF_HOME": str(tmp_path / "empty"), "HF_ENDPOINT": "http://127.0.0.1:9"}
    argv = [sys.executable, "-m", "tfner.train", "--preset", "paper", "--output", str(tmp_path / "m")]
    result = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert "demo" in result.stderr
    assert "folder" in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("variant", ["finetune", "replace"])
def test_a_trained_model_is_the_encoder_of_another(models, corpus, tmp_path, variant):
    model, lines = shutil.copytree(models[variant], tmp_path / "model"), []
    settings = {"corpus": str(corpus), "encoder": str(model), "variant": "finetune", "epochs": 1, "learning_rate": 1e-4}
    config = make_config("standard", output=str(tmp_path / "next"), **settings)
    with refused("model_not_exported_as_encoder", setting="encoder"):
        train.train(config, say=lines.append)
    source = export.export(model, format="transformers", temperature=2.0, say=lines.append)
    train.train(config, say=lines.append)
    assert any("is trained further" in line for line in lines)
    assert str(classifier_note("replace", str(source), [])).endswith("replace removes another one") == (variant == "replace")
    run = training_run(corpus, tmp_path / "more", **{k: v for k, v in settings.items() if k != "corpus"})
    ids, mask = tiny.random_inputs([12, 7], 30)
    old = logits_function(load_state(model / TRAINING / "1").model)(ids, mask).numpy()
    np.testing.assert_allclose(logits_function(run.model)(ids, mask).numpy()[mask == 1], old[mask == 1], atol=1e-4)
    run.unlock()
    with refused("encoder_is_output", setting="encoder"):
        train.train(replace(config, output=str(model)), say=lines.append)


def test_the_embedded_encoder_can_have_an_output_of_its_name(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert check_request(make_config(corpus=str(corpus), output="demo")).name == str(corpus)
