"""Keras callbacks of a training: scores after each epoch, the best weights on disk, Ctrl-C.

`EpochReport` adds the validation scores to the logs of an epoch, prints them and writes them to `history.csv`. Keras's
EarlyStopping picks the best epoch from these logs.
"""

from __future__ import annotations

import csv
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tqdm import tqdm

from tfner.corpus import Sentence
from tfner.evaluation.scores import all_one_class, score
from tfner.folder import write_whole
from tfner.labels import IGNORED_LABEL
from tfner.modeling.batches import apply_to_rows
from tfner.modeling.decoding import decode
from tfner.modeling.rows import Row, RowEncoder

COLUMNS = ("epoch", "loss", "val_loss", "precision", "recall", "f1", "accuracy", "seconds", "words_per_second")
_WIDTHS = (5, 9, 9, 9, 9, 9, 9, 9, 9)


def header() -> str:
    """The header of the table of epochs."""
    names = ("epoch", "loss", "val loss", "precision", "recall", "F1", "accuracy", "seconds", "words/s")
    return " ".join(name.rjust(width) for name, width in zip(names, _WIDTHS, strict=True))


def epoch_line(row: dict[str, float]) -> str:
    """A row of the table of epochs, aligned with `header`."""
    cells = [
        str(row["epoch"]),
        *(f"{row[c]:.4f}" for c in COLUMNS[1:7]),
        f"{row['seconds']:.1f}",
        f"{row['words_per_second']:.0f}",
    ]
    return " ".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))


class EpochReport(keras.callbacks.Callback):
    """Scores the validation sentences after each epoch.

    Adds to the logs `val_loss` (mean crossentropy of labelled pieces, nats), `val_masked_accuracy` (of the same pieces) and
    `precision`, `recall`, `f1` and `accuracy` (of words); prints a row and appends it to `path`.

    Args:
        logits: the `logits_function` of the model.
        row_encoder: encodes the sentences, once.
        sentences: the validation sentences.
        words: the number of words in the training split, for words per second.
        path: the `history.csv` to write.
        say: called with each line for the terminal.
    """

    def __init__(
        self,
        logits: Callable[[np.ndarray, np.ndarray], tf.Tensor],
        row_encoder: RowEncoder,
        sentences: Sequence[Sentence],
        words: int,
        path: Path,
        say: Callable[[str], None] = print,
    ):
        super().__init__()
        self.logits, self.row_encoder, self.sentences, self.words = logits, row_encoder, sentences, words
        self.path, self.say = path, say
        self.encoded = row_encoder.encode(sentences)
        self.rows: list[dict[str, float]] = []
        self._bar: Any = None

    def on_train_begin(self, logs=None):
        self.say(header())
        with self.path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(COLUMNS)

    def on_epoch_begin(self, epoch, logs=None):
        name, steps = f"epoch {epoch + 1}", self.params["steps"]
        self._bar = tqdm(total=steps, desc=name, unit="step", leave=False, file=sys.stderr, disable=None)  # terminals only
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self._bar.update()
        if batch % 10 == 0:
            self._bar.set_postfix_str(f"loss {logs['masked_loss']:.3f}", refresh=False)

    def close(self) -> None:
        """Removes the progress bar from the terminal."""
        if self._bar is not None:
            self._bar.close()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._start
        self.close()
        values = apply_to_rows(self.logits, self.encoded.rows, self.row_encoder.pad_id)
        val_loss, val_masked_accuracy = loss_and_accuracy(self.encoded.rows, values)
        predicted = [tagged.tags for tagged in decode(self.row_encoder, self.encoded, values)]
        scores = score([s.tags for s in self.sentences], predicted, self.row_encoder.labels)
        overall, loss = scores.overall, float(logs["masked_loss"])
        cells = epoch + 1, loss, val_loss, overall.precision, overall.recall, overall.f1, scores.accuracy
        row = dict(zip(COLUMNS, (*cells, seconds, self.words / seconds), strict=True))
        self.rows.append(row)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([f"{row[c]:.6g}" for c in COLUMNS])
        self.say(epoch_line(row))
        logs.update({c: row[c] for c in ("val_loss", "precision", "recall", "f1", "accuracy")})
        logs["val_masked_accuracy"] = val_masked_accuracy
        only = all_one_class(predicted)
        if only is not None:
            self.say(one_class_warning(only))


def loss_and_accuracy(rows: Sequence[Row], values: Sequence[np.ndarray]) -> tuple[float, float]:
    """Mean crossentropy (nats) and accuracy of the labelled pieces of rows, whose logits have shape (length, labels)."""
    losses, right = [], []
    for row, logits in zip(rows, values, strict=True):
        counted = row.labels != IGNORED_LABEL
        labels, logits = row.labels[counted], logits[counted].astype(np.float64)
        highest = logits.max(-1)
        total = highest + np.log(np.exp(logits - highest[:, None]).sum(-1))
        losses.append(total - logits[np.arange(len(labels)), labels])
        right.append(logits.argmax(-1) == labels)
    return float(np.concatenate(losses).mean()), float(np.concatenate(right).mean())


class SaveBest(keras.callbacks.Callback):
    """Saves the weights of the best epoch so far.

    They are written beside `path` and renamed, so the file is complete whenever the process ends.

    Args:
        stopping: decides which epoch is the best; it must come before this callback.
        path: the file of the weights.
    """

    def __init__(self, stopping: keras.callbacks.EarlyStopping, path: Path):
        super().__init__()
        self.stopping, self.path = stopping, path

    def on_epoch_end(self, epoch, logs=None):
        if self.stopping.best_epoch == epoch:
            write_whole(self.path, lambda draft: self.model.save_weights(draft, save_format="h5"))


class Interrupt(keras.callbacks.Callback):
    """Delays Ctrl-C, while it is entered, to the end of the current step or scoring, so that files are complete.

    `KeyboardInterrupt` is raised then; a second Ctrl-C raises it immediately. Only the main thread receives signals.
    """

    asked = False

    def __enter__(self):
        self._before = signal.getsignal(signal.SIGINT)
        self._set(lambda number, frame: self._ask())
        return self

    def __exit__(self, *error):
        self._set(self._before)

    def on_epoch_begin(self, epoch, logs=None):
        self._check()

    def on_train_batch_end(self, batch, logs=None):
        self._check()

    def _ask(self):
        self.asked = True
        self._set(self._before)

    def _check(self):
        if self.asked:
            raise KeyboardInterrupt

    @staticmethod
    def _set(handler):
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


def one_class_warning(label: str) -> str:
    """The warning for a model that predicts one label for every word, as models 2 and 3 of the study do."""
    return (
        f"WARNING: every validation word is predicted as {label!r}: the model has learned only one label. Likely causes: a "
        "learning rate too high for a pretrained encoder (try --learning-rate 2e-5) or no warmup (--warmup 0.1); new layers "
        "that learn too slowly (--head-learning-rate 1e-3) or have dead units (--head-activation gelu, wider --head-units); "
        "too few steps (--epochs, --batch-size). Accuracy can still be high, because most words are outside entities: "
        "compare F1."
    )
