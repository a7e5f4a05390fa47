"""A training in memory: early stopping, the state on disk, tasks other than ner."""

import pytest
import tf_keras as keras
from support.trainings import brief, training_run, write_corpus

from tfner.folder import HISTORY, SCORES, WEIGHTS, read_history
from tfner.tagging.in_memory import InMemoryTagger
from tfner.training.state import load_state


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
        tagger = InMemoryTagger(run._logits, trained.row_encoder, trained.config)
        assert len(tagger.tag("It rains .")) == 3


def test_training_again_gets_the_next_number(corpus, small_encoder, tmp_path):
    numbers = [training_run(corpus, tmp_path / "m", **brief(small_encoder)).number for _ in range(2)]
    assert numbers == [1, 2]
