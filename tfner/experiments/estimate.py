"""How long a run is expected to take, from a few of its steps on this machine.

Takes the settings of a run and its corpus, and returns seconds. What is trained for this is thrown away.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace

from tfner.config import AUTO, Config
from tfner.corpus import Corpus, Sentence
from tfner.terminal import quiet_imports

AUTO_EPOCHS = 6
"""The epochs that are expected with `--epochs auto`."""
SCORING = 1 / 3
"""The time of tagging a word as a share of the time of training on it: without gradients and update."""
START, EXPORT = 8.0, 10.0
"""Seconds of importing TensorFlow, and of exporting and saving plots."""


def expected_seconds(config: Config, corpus: Corpus) -> float:
    """The seconds that `python -m tfner.train` is expected to take with these settings."""
    with quiet_imports():
        from tfner.training.run import TrainingRun

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(replace(config, output=f"{folder}/model", tensorboard=None), corpus, lambda line: None)
        epoch = run.steps * run.seconds_per_step()
        run.unlock()
    preparation = time.perf_counter() - start
    train, validation, test = (_words(corpus.splits.get(split, ())) for split in ("train", "validation", "test"))
    epochs = AUTO_EPOCHS if config.epochs == AUTO else int(config.epochs)
    scored = epochs * validation + validation + test
    return START + preparation + epochs * epoch + epoch * SCORING * scored / train + EXPORT


def _words(sentences: Sequence[Sentence]) -> int:
    return sum(len(sentence.words) for sentence in sentences)
