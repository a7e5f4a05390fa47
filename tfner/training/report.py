"""What a training reports: its settings, the progress within an epoch, and the scores after it.

`EpochReport` scores the validation split, prints a row for each epoch and writes it to `history.csv`.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfner.config import AUTO, PRESETS, Config
from tfner.corpus import Corpus, Sentence
from tfner.errors import one_line
from tfner.evaluation.scores import all_one_class, score
from tfner.folder import write_whole
from tfner.labels import IGNORED_LABEL
from tfner.modeling.batches import apply_to_rows
from tfner.modeling.decoding import decode, softmax
from tfner.modeling.rows import Row, RowEncoder
from tfner.terminal import counted

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


class Measures(NamedTuple):
    """What validation shows of a task: the mean crossentropy of labelled pieces in nats, and the scores of words."""

    val_loss: float
    precision: float
    recall: float
    f1: float
    accuracy: float


class _TaskScores(NamedTuple):
    """The measures of a task, the accuracy of labelled pieces, and the predicted tags of every sentence."""

    measures: Measures
    piece_accuracy: float
    predicted: list[list[str]]


def task_line(task: str, measures: Measures) -> str:
    """The measures of one task, aligned with `header`."""
    cells = [task, "", *(f"{value:.4f}" for value in measures)]
    return " ".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=False))


def progress_bar(epoch: int, steps: int, done: int, hidden: bool = False) -> tqdm:
    """A progress bar for the steps of an epoch, shown in terminals only."""
    disable = True if hidden else None
    name = f"epoch {epoch + 1}"
    return tqdm(total=steps, initial=done, desc=name, unit="step", leave=False, file=sys.stderr, disable=disable)


class EpochReport:
    """Scores the validation sentences after each epoch, prints a row and writes all rows to `path`.

    Args:
        logits: the `logits_function` of the model.
        row_encoders: one for each task; they encode the sentences, once.
        sentences: for each task the validation sentences, which have the same words.
        words: the number of words in the training split, for words per second.
        path: the `history.csv` to write.
        say: called with each line for the terminal.
        tensorboard: a folder for TensorBoard, which gets every column of the rows, or None.
        decode: how tags are chosen, a key of `config.DECODERS`.

    Attributes:
        rows: a row for each epoch so far.
    """

    def __init__(
        self,
        logits: Callable[[np.ndarray, np.ndarray], tf.Tensor],
        row_encoders: Mapping[str, RowEncoder],
        sentences: Mapping[str, Sequence[Sentence]],
        words: int,
        path: Path,
        say: Callable[[str], None] = print,
        tensorboard: str | None = None,
        decode: str = Config.decode,
    ):
        self.logits, self.row_encoders, self.sentences, self.words = logits, row_encoders, sentences, words
        self.path, self.say, self.decode = path, say, decode
        self.encoded = {task: encoder.encode(sentences[task]) for task, encoder in row_encoders.items()}
        self.columns = (*COLUMNS, *(f"f1_{task}" for task in sentences if len(sentences) > 1))
        self.rows: list[dict[str, float]] = []
        self._summaries = tf.summary.create_file_writer(tensorboard) if tensorboard else None

    def begin(self, rows: list[dict[str, float]]) -> None:
        """Prints the header and, in a training that is resumed, the rows of its epochs so far."""
        self.rows = rows
        for line in (header(), *map(epoch_line, rows)):
            self.say(line)
        self._write()

    def end_epoch(self, loss: float, seconds: float) -> dict[str, float]:
        """Scores an epoch with this training loss; returns its row with `val_masked_accuracy` added.

        The row has `val_loss` (mean crossentropy of labelled pieces, nats) and `precision`, `recall`, `f1` and `accuracy` (of
        words); `val_masked_accuracy` is the accuracy of labelled pieces. For several tasks, all are means over the tasks.
        """
        first = next(iter(self.row_encoders))
        values = apply_to_rows(self.logits, self.encoded[first].rows, self.row_encoders[first].pad_id)
        of_tasks = [self._score(task, values) for task in self.sentences]
        *means, val_masked_accuracy = np.mean([(*one.measures, one.piece_accuracy) for one in of_tasks], 0).tolist()
        cells = len(self.rows) + 1, loss, *means, seconds, self.words / seconds, *(one.measures.f1 for one in of_tasks)
        row = dict(zip(self.columns, cells, strict=False))
        self.rows.append(row)
        self._write()
        if self._summaries:
            with self._summaries.as_default(step=len(self.rows)):
                for column in self.columns[1:]:
                    tf.summary.scalar(column, row[column])
            self._summaries.flush()
        self.say(epoch_line(row))
        for own, (task, sentences) in zip(of_tasks, self.sentences.items(), strict=True):
            if len(of_tasks) > 1:
                self.say(task_line(task, own.measures))
            only = all_one_class(own.predicted)
            if only is not None:
                alone = all_one_class([s.tags for s in sentences]) == only
                self.say(one_class_note(only) if alone else one_class_warning(only))
        return {**row, "val_masked_accuracy": val_masked_accuracy}

    def _score(self, task: str, values: Sequence[np.ndarray]) -> _TaskScores:
        """Scores one task, from the logits of every row, shape (length, labels of all tasks)."""
        encoder, encoded, sentences = self.row_encoders[task], self.encoded[task], self.sentences[task]
        own = [logits[:, encoder.columns] for logits in values]
        loss, piece_accuracy = loss_and_accuracy(encoded.rows, own)
        tagged = decode(encoder, encoded, [softmax(logits) for logits in own], self.decode)
        predicted = [one.tags for one in tagged]
        scores = score([s.tags for s in sentences], predicted, encoder.labels)
        overall = scores.overall
        measures = Measures(loss, overall.precision, overall.recall, overall.f1, scores.accuracy)
        return _TaskScores(measures, piece_accuracy, predicted)

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(self.columns)
        writer.writerows([f"{row[c]:.6g}" for c in self.columns] for row in self.rows)
        try:
            write_whole(self.path, lambda draft: draft.write_bytes(text.getvalue().encode()))
        except OSError as error:  # the rows are in the checkpoints too, and in the next file that can be written
            self.say(f"{self.path.name} cannot be written ({one_line(error)}); the training goes on")


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


def one_class_warning(label: str) -> str:
    """The warning for a model that predicts one label for every word, as models 2 and 3 of the study do."""
    return (
        f"WARNING: every validation word is predicted as {label!r}: the model has learned only one label. Likely causes: a "
        "learning rate too high for a pretrained encoder (try --learning-rate 2e-5) or no warmup (--warmup 0.1); new layers "
        "that learn too slowly (--head-learning-rate 5e-3) or have dead units (--head-activation gelu, wider --head-units); "
        "too few steps (--epochs, --batch-size). Accuracy can still be high, because most words are outside entities: "
        "compare F1."
    )


def one_class_note(label: str) -> str:
    """What is said where a model predicts one label for every word, and is right."""
    return f"every validation word is {label!r} and predicted as that: these scores say nothing about other labels"


def summary_lines(config: Config, corpus: Corpus, parameters: dict[str, int], devices: str) -> list[str]:
    """The lines before a training: encoder, corpus, variant, devices, notes, the command for the study's setting."""
    embedded = " (embedded: small, untrained)" if config.encoder == "demo" else ""
    counts = "; ".join(
        f"{split} {counted(c['sentences'], 'sentence')}, {counted(c['words'], 'word')}"
        + ("" if corpus.labels.plain or corpus.others else f", {sum(c['entities'].values()):,} entities")
        for split, c in corpus.counts().items()
    )
    epochs = "epochs until the scores stop improving" if config.epochs == AUTO else counted(int(config.epochs), "epoch")
    lines = [
        f"encoder  {config.encoder}{embedded}, {parameters['encoder']:,} parameters",
        f"corpus   {config.corpus} ({config.task}): {counts}",
        f"variant  {config.variant}, {parameters['new']:,} new parameters; learning rate {config.learning_rate:g}, new layers "
        f"{config.head_learning_rate:g}; {epochs}, {counted(config.batch_size, 'sentence')} a step; seed {config.seed}",
        f"device   {devices}; {config.precision}",
        *corpus.notes,
    ]
    if config.encoder != PRESETS["paper"]["encoder"]:
        lines.append(
            "the study's own setting (bert-base-cased, CoNLL-2003 from the hub): "
            f"python -m tfner.train --variant {config.variant} --preset paper"
        )
    return lines
