"""A training without an export: early stopping, the state on disk, tasks other than ner, stopping and resuming."""

import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from support.errors import refused
from support.trainings import brief, stop_in_step, stopped_run, training_run, write_corpus

from tfner.folder import CHECKPOINTS, HISTORY, SCORES, WEIGHTS, is_locked, lock_state, read_history
from tfner.tagging.in_memory import InMemoryTagger
from tfner.training.checkpoints import read_progress
from tfner.training.state import load_state

STEPS = 4
"""Steps of an epoch of the small corpus."""
TIMES = ("seconds", "words_per_second")


def longer(encoder):
    """The settings of a training of three epochs whose steps all have dropout."""
    return brief(encoder) | {"epochs": 3, "dropout": 0.3, "patience": 3}


def without_times(history):
    return [{name: value for name, value in row.items() if name not in TIMES} for row in history]


def last_checkpoint(state: Path) -> dict[str, np.ndarray]:
    """Every variable of the newest checkpoint, those of the optimizer included."""
    reader = tf.train.load_checkpoint(str(max((state / CHECKPOINTS).glob("[0-9]*")) / "variables"))
    return {name: np.asarray(reader.get_tensor(name)) for name in reader.get_variable_to_shape_map()}


def assert_equal_to_the_bit(one, other):
    """Compares two finished trainings: best weights, weights of the last epoch, optimizer, history, early stopping."""
    assert without_times(one.history) == without_times(other.history)
    for a, b in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    last, other_last = last_checkpoint(one.state), last_checkpoint(other.state)
    assert last.keys() == other_last.keys() and len(last) > 3 * len(one.model.trainable_variables)
    for name, value in last.items():
        if not name.startswith("_CHECKPOINTABLE"):
            np.testing.assert_array_equal(value, other_last[name], err_msg=name)
    assert (one.progress.values, one.progress.best) == (other.progress.values, other.progress.best)
    best = load_state(one.state).model.get_weights()
    for a, b in zip(best, one.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def undisturbed(corpus, small_encoder, tmp_path_factory):
    """A training of `longer` that nothing interrupted."""
    run = training_run(corpus, tmp_path_factory.mktemp("undisturbed") / "m", **longer(small_encoder))
    run.fit()
    assert len(run.history) == 3 and run.steps == STEPS
    return run


@pytest.fixture(scope="module")
def stopped(corpus, small_encoder, tmp_path_factory):
    """The output folder of a training of `longer` that Ctrl-C stopped in its second epoch. Do not write to it."""
    folder = tmp_path_factory.mktemp("stopped") / "m"
    stopped_run(training_run(corpus, folder, **longer(small_encoder)), STEPS + 1)
    return folder


@pytest.fixture
def interrupted(stopped, tmp_path):
    """A copy of `stopped`."""
    return shutil.copytree(stopped, tmp_path / "m")


@pytest.mark.slow
@pytest.mark.parametrize("monitor", ["val_masked_accuracy", "val_loss"])
def test_early_stopping_watches_the_monitor_and_the_best_weights_are_kept(corpus, tmp_path, monitor):
    settings = {"learning_rate": 0.02, "head_learning_rate": 0.02, "dropout": 0.0, "clip_norm": 0.0}
    run = training_run(corpus, tmp_path / "m", epochs=6, patience=1, monitor=monitor, **settings)
    run.fit()
    column = "accuracy" if monitor == "val_masked_accuracy" else "val_loss"
    values = [row[column] for row in run.history]
    best = values.index(max(values) if column == "accuracy" else min(values))
    assert run.score()["validation"].accuracy == pytest.approx(run.history[best]["accuracy"], abs=1e-9)
    assert len(values) <= best + 2


def test_a_model_that_predicts_one_label_gives_a_warning(corpus, small_encoder, tmp_path):
    lines = []
    run = training_run(corpus, tmp_path / "m", encoder=str(small_encoder), epochs=1, learning_rate=1.0, warmup=0.0)
    run._report.say = lines.append
    run.fit()
    [warning] = [line for line in lines if "WARNING" in line]
    assert "every validation word is predicted as" in warning
    assert "--learning-rate" in warning


def test_the_best_weights_are_complete_if_the_process_ends_while_the_next_are_written(
    corpus, small_encoder, tmp_path, monkeypatch
):
    saved = keras.Model.save_weights
    first = []

    def killed(self, path, *arguments, **options):
        if first:
            path.write_bytes(b"half")
            raise MemoryError  # in place of the end of the process
        first.append(None)
        saved(self, path, *arguments, **options)

    monkeypatch.setattr(keras.Model, "save_weights", killed)
    settings = brief(small_encoder) | {"epochs": 12, "patience": 12, "monitor": "val_loss"}
    run = training_run(corpus, tmp_path / "m", **settings)
    with pytest.raises(MemoryError):
        run.fit()
    assert len(run.history) > 1
    load_state(tmp_path / "m" / "training" / "1")


@pytest.mark.parametrize("task", ["pos", "chunk"])
def test_other_tasks_train_and_score(task, small_encoder, tmp_path):
    (tmp_path / "c").mkdir()
    write_corpus(tmp_path / "c", task, {"train": 60, "validation": 60, "test": 60})
    settings = brief(small_encoder) | {"task": task, "tag_column": 2, "epochs": 1, "unseen_labels": "keep"}
    run = training_run(tmp_path / "c", tmp_path / "m", **settings)
    run.fit()
    scores = run.score()["test"]
    assert scores.plain == (task == "pos")
    assert {p.name for p in run.state.iterdir()} >= {HISTORY, SCORES, WEIGHTS}
    assert len(read_history(run.state / HISTORY)) == 1
    if scores.plain:
        assert scores.overall.f1 == scores.accuracy
        trained = load_state(run.state)
        assert trained.row_encoder.labels.plain
        tagger = InMemoryTagger(run._logits, trained.heads, trained.config)
        assert len(tagger.tag("It rains .")) == 3


def test_frozen_layers_keep_their_weights_and_the_model_is_loaded_as_it_was(corpus, small_encoder, tmp_path):
    settings = brief(small_encoder) | {"epochs": 1, "freeze_layers": 1}
    run = training_run(corpus, tmp_path / "m", **settings)
    before = {v.name: v.numpy() for v in run.model.trainable_variables}
    run.fit()
    run.score()
    run.unlock()
    changed = {v.name for v in run.model.trainable_variables if not np.array_equal(v.numpy(), before[v.name])}
    assert changed and not any("embeddings" in name or "layer_._0" in name for name in changed)
    assert any("layer_._1" in name for name in changed) and any("classifier" in name for name in changed)
    loaded = load_state(run.state).model
    for own, other in zip(run.model.weights, loaded.weights, strict=True):
        assert np.array_equal(own.numpy(), other.numpy()), own.name


def test_more_frozen_layers_than_there_are_leave_nothing_behind(corpus, small_encoder, tmp_path):
    with refused("freeze_layers_too_many", setting="freeze_layers"):
        training_run(corpus, tmp_path / "m", **brief(small_encoder), freeze_layers=3)
    assert not (tmp_path / "m").exists()


def test_training_again_gets_the_next_number(corpus, small_encoder, tmp_path):
    numbers = [training_run(corpus, tmp_path / "m", **brief(small_encoder)).number for _ in range(2)]
    assert numbers == [1, 2]


def test_a_training_that_is_stopped_twice_ends_as_an_undisturbed_one(undisturbed, corpus, small_encoder, tmp_path):
    lines = []
    run = training_run(corpus, tmp_path / "m", say=lines.append, **longer(small_encoder))
    stop_in_step(run, 2, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run.fit()
    assert run.progress.epoch == 0 and 2 <= run.progress.step <= 3  # the signal is seen in its step or in the next
    [line] = [line for line in lines if line.startswith("stopped")]
    assert f"in epoch 1, after step {run.progress.step} of {STEPS}" in line and "--resume goes on from here" in line
    run.unlock()

    again = training_run(corpus, tmp_path / "m", 1, lines.append, **longer(small_encoder))
    assert lines[-1] == f"resumed in epoch 1, after step {run.progress.step} of {STEPS}"
    stop_in_step(again, 3, signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        again.fit()
    assert caught.value.code == 143 and again.progress.epoch == 1
    again.unlock()

    last = training_run(corpus, tmp_path / "m", 1, lines.append, **longer(small_encoder))
    last.fit()
    assert (last.number, last.state) == (1, run.state)
    assert_equal_to_the_bit(last, undisturbed)
    assert [int(row["epoch"]) for row in read_history(last.state / HISTORY)] == [1, 2, 3]


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.trainings import training_run
training_run(Path(sys.argv[2]), Path(sys.argv[3]), **eval(sys.argv[4])).fit()
"""


@pytest.mark.slow
def test_a_training_that_is_killed_within_an_epoch_ends_as_an_undisturbed_one(corpus, small_encoder, tmp_path):
    settings = longer(small_encoder) | {"batch_size": 3, "checkpoint_minutes": 0.001}  # 40 steps an epoch
    support = Path(__file__).parent.parent
    argv = [sys.executable, "-c", PROGRAM, support, corpus, tmp_path / "killed", repr(settings)]
    process = subprocess.Popen(list(map(str, argv)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder = tmp_path / "killed" / "training" / "1" / CHECKPOINTS
    while not [path for path in folder.glob("0001-*") if path.name != "0001-0000000"]:
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.wait()
    newest = read_progress(max(folder.glob("[0-9]*")))
    assert newest.epoch == 1 and 0 < newest.step < 40

    lines = []
    killed = training_run(corpus, tmp_path / "killed", 1, lines.append, **settings)
    assert lines[-1].startswith(f"resumed in epoch 2, after step {newest.step} of 40")
    killed.fit()
    whole = training_run(corpus, tmp_path / "whole", **settings | {"checkpoint_minutes": 0.0})
    whole.fit()
    assert_equal_to_the_bit(killed, whole)


def test_a_stop_while_the_last_epoch_is_scored_leaves_only_scoring_to_be_done(corpus, small_encoder, tmp_path):
    lines, settings = [], brief(small_encoder) | {"epochs": 1}
    run = training_run(corpus, tmp_path / "m", say=lines.append, **settings)
    end_epoch = run._report.end_epoch

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return end_epoch(*arguments)

    run._report.end_epoch = interrupted
    with pytest.raises(SystemExit):
        run.fit()
    assert lines[-1].startswith("stopped after epoch 1: ")
    run.unlock()
    again = training_run(corpus, tmp_path / "m", 1, lines.append, **settings)
    assert lines[-1] == "resumed after epoch 1"
    again._step = None  # no step is left to be made
    again.fit()
    for a, b in zip(again.model.get_weights(), run.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert again.score()["validation"].accuracy == pytest.approx(run.history[0]["accuracy"], abs=1e-9)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_training_with_other_sentences_is_not_resumed(interrupted, corpus, small_encoder, tmp_path, split):
    other = shutil.copytree(corpus, tmp_path / "c")
    text = (other / f"{split}.txt").read_text("utf-8")
    (other / f"{split}.txt").write_text(text.rpartition("-DOCSTART-")[0], "utf-8")
    with refused("resume_with_another_corpus", setting="corpus", path=interrupted / "training" / "1"):
        training_run(other, interrupted, 1, **longer(small_encoder))
    assert not is_locked(interrupted / "training" / "1")
    training_run(corpus, interrupted, 1, **longer(small_encoder))  # the refused one changed nothing


def test_a_training_that_is_running_is_not_resumed(interrupted, corpus, small_encoder):
    state = interrupted / "training" / "1"
    lock = lock_state(state)
    with refused("state_is_running_in_a_training", path=state):
        training_run(corpus, interrupted, 1, **longer(small_encoder))
    lock.release()


def test_a_damaged_checkpoint_is_named_once_and_the_one_before_it_is_continued(interrupted, undisturbed, corpus, small_encoder):
    newest = max((interrupted / "training" / "1" / CHECKPOINTS).glob("[0-9]*"))
    (newest / "variables.index").write_bytes(b"")
    lines = []
    run = training_run(corpus, interrupted, 1, lines.append, **longer(small_encoder))
    assert [str(newest) in line for line in lines if "damaged" in line] == [True]
    assert lines[-1] == "resumed after epoch 1"
    run.fit()
    assert_equal_to_the_bit(run, undisturbed)


def test_a_loss_that_is_not_finite_stops_at_its_step_and_keeps_finite_weights(corpus, small_encoder, tmp_path):
    run = training_run(corpus, tmp_path / "m", **longer(small_encoder) | {"clip_norm": 0.0})
    run._peak = 1e30  # no setting allows such a rate
    with pytest.raises(ValueError) as caught:
        run.fit()
    message = str(caught.value)
    assert message.startswith(f"epoch 1, step {run.progress.step + 1}: the loss is nan") and "--learning-rate" in message
    assert 1 <= run.progress.step < STEPS and run._optimizer.iterations.numpy() == run.progress.step + 1
    numbers = [int(n) for n in message.partition("sentences are ")[2].partition(", the first")[0].split(", ")]
    assert len(numbers) == len(set(numbers)) >= 20
    train = run.corpus.splits["train"]
    assert " ".join(train[numbers[0] - 1].words)[:40] in message
    variables = last_checkpoint(run.state)
    floats = [value for value in variables.values() if value.dtype.kind == "f"]
    assert len(floats) > 20 and all(np.isfinite(value).all() for value in floats)
    assert read_progress(max((run.state / CHECKPOINTS).glob("[0-9]*"))).step == run.progress.step


def test_a_full_disk_does_not_end_a_training(corpus, small_encoder, tmp_path):
    lines = []
    run = training_run(corpus, tmp_path / "m", say=lines.append, **brief(small_encoder))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # bytes: enough for the history alone
    try:
        run.fit()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(run.history) == len(read_history(run.state / HISTORY)) == 2
    assert [line for line in lines if line.startswith("no checkpoint at 0001-0000000")]
    assert [line for line in lines if line.startswith("the best weights cannot be written")]
    assert not list((run.state / CHECKPOINTS).iterdir()) and not (run.state / WEIGHTS).exists()


@pytest.mark.slow
def test_epochs_auto_trains_until_the_scores_stop_improving_and_cools_down(corpus, small_encoder, tmp_path):
    settings = brief(small_encoder) | {"epochs": "auto", "monitor": "val_loss"}
    run = training_run(corpus, tmp_path / "m", **settings)
    run.fit()
    losses = [row["val_loss"] for row in run.history]
    constant = next(i + 1 for i in range(1, len(losses)) if losses[i] >= min(losses[:i]))
    assert len(losses) == constant + math.ceil(constant / 2)
    cooldown = (len(losses) - constant) * STEPS
    assert float(run._optimizer.learning_rate) == pytest.approx(settings["learning_rate"] / cooldown)
    assert max(run.progress.values) == pytest.approx(-min(losses))
