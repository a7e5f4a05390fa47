"""The interface of all taggers: they take texts or words and return entities.

`Tagger` is abstract. `RowTagger` is the base of the taggers that run a model on rows of word pieces. Its subclasses decide
where the model is: in memory, in a folder, or in another runtime.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np

from tfner.config import Config
from tfner.corpus import Sentence
from tfner.data.sentences import sentence_starts
from tfner.data.words import as_text, split_words
from tfner.errors import UserError, setting
from tfner.labels import Entity, LabelSet, columns_of
from tfner.modeling.batches import apply_to_rows
from tfner.modeling.calibration import UNCALIBRATED, Calibration
from tfner.modeling.decoding import Tagged, decode, join
from tfner.modeling.rows import EncodingReport, Row, RowEncoder

TEXTS_PER_CHUNK = 4096
"""Texts tagged together: enough to group rows by length, few enough to bound memory."""

Input = str | Sequence[str]
"""A text, or a sentence that is already split into words."""
Progress = Callable[[Iterable[Any]], Iterable[Any]]
"""Wraps the batches of a long run, to show its progress, as `tqdm` does."""


class TextTooLarge(UserError):
    """The server of a model refuses a text because of its size."""


class Tagger(ABC):
    """Tags texts and words. As a context manager, it closes itself at the end. A closed tagger raises UserError on use."""

    name: str
    """What the model is called in messages: its folder or its address."""
    config: Config | None = None
    """The settings of the training, or None where they are not known."""
    closed: bool = False
    """Whether `close` was called."""
    runtime: str | None = None
    """What runs the model, one of `config.RUNTIMES`, or None where that is not known."""
    precision: str | None = None
    """The precision of its matrix products, or None where that is not known."""
    weights: str = ""
    """The checksum of its weights, or empty where that is not known."""
    sentences: str | None = "split"
    """How texts are divided into sentences, one of `config.SENTENCES`, or None where a server decides it."""
    decode: str | None = Config.decode
    """How tags are chosen, one of `config.DECODERS`, or None where a server decides it."""
    task: str | None = None
    """The task that it tags for, or None where a server decides it."""
    calibration: Calibration = UNCALIBRATED
    """What scores were divided by, and which entities are accepted, as far as that is known."""

    @property
    @abstractmethod
    def labels(self) -> LabelSet | None:
        """The labels of the model, or None where they are not known."""

    @abstractmethod
    def predict(self, sentences: Sequence[Sentence], progress: Progress = iter) -> list[Tagged]:
        """Tags sentences and returns one result per sentence, in order. Their own tags are not used.

        Args:
            sentences: the sentences, all of which are tagged together.
            progress: wraps the batches, to show the progress.

        Raises:
            UserError: where the tagger is closed, or its server does not answer.
        """

    @abstractmethod
    def _tag(self, inputs: Sequence[Input]) -> Iterator[list[Entity]]:
        """The entities of a chunk of checked inputs, in order."""

    def tag(self, text: str) -> list[Entity]:
        """The entities of a text; offsets count its characters. For plain labels, every word is one."""
        return next(self.tag_many([text]))

    def tag_words(self, words: Sequence[str]) -> list[Entity]:
        """The entities of a sentence that is already split; offsets count characters of the words joined by spaces."""
        if isinstance(words, str):
            raise UserError("tag_words expects a sequence of words, got one string: use tag for text that is not split")
        return next(self.tag_many([words]))

    def tag_tasks(self, item: Input) -> dict[str, list[Entity]]:
        """The entities of a text, or of a sentence that is already split, for each task of the model, with one pass of the
        encoder.

        Raises UserError for a served model, which answers for one task.
        """
        raise UserError("a server answers for one task: load a tagger for each, with load_tagger(address, task=...)", self.name)

    def tag_many(self, inputs: Iterable[Input], chunk: int = TEXTS_PER_CHUNK) -> Iterator[list[Entity]]:
        """The entities of any number of texts (strings) and split sentences (sequences of words), in order.

        `chunk` inputs are tagged together, which bounds memory; rows of similar length share a batch.

        Raises UserError for an input that is neither, for half of a surrogate pair, which is not a character, and as `predict`
        does.
        """
        inputs = iter(inputs)
        while some := list(islice(inputs, chunk)):
            for item in some:
                utf8_size(item)  # raises for an input that cannot be tagged
            yield from self._tag(some)

    def warnings(self) -> list[str]:
        """One line for each kind of loss in everything tagged so far, such as words without pieces.

        Another line where the thresholds are those of another decoder.
        """
        return []

    def close(self) -> None:
        """Releases what the tagger holds: its model, its connections. Closing it again does nothing."""
        self.closed = True

    def check_open(self) -> None:
        """Raises UserError where the tagger is closed."""
        if self.closed:
            raise UserError("the tagger of this model is closed: load the model again with load_tagger", self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    @staticmethod
    def load(model: str | Path, **options: Any) -> Tagger:
        """The tagger of a model's folder or address: another name of `load_tagger`."""
        from tfner import load_tagger  # by its public name: `tfner.tagging.load` imports this module

        return load_tagger(model, **options)


@dataclass(frozen=True)
class Head:
    """What a model has for one of its tasks.

    Attributes:
        row_encoder: encodes sentences as rows; it holds the label set and the row length.
        calibration: the temperature, and which entities are accepted.
    """

    row_encoder: RowEncoder
    calibration: Calibration = UNCALIBRATED


class RowTagger(Tagger):
    """Tags with a model that takes rows of word pieces.

    Args:
        heads: what the model has for each of its tasks, in order. The first one is tagged for.
        config: the settings of the training.
        name: what the model is called in messages.
    """

    config: Config
    task: str

    def __init__(self, heads: Mapping[str, Head], config: Config, name: str):
        self.heads, self.config, self.name = heads, config, name
        self.columns = dict(zip(heads, columns_of(head.row_encoder.labels for head in heads.values()), strict=True))
        """The part of the probabilities that each task has."""
        self._choose(next(iter(heads)))
        self.sentences: str = config.sentences
        self.decode: str = config.decode
        self.report = EncodingReport()
        """Counts of what was encoded, and of what was lost, in everything tagged so far."""

    @abstractmethod
    def probabilities(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        """Runs the model.

        Args:
            input_ids: ids of word pieces, int32, shape (batch, length).
            attention_mask: 1 for a word piece, 0 for padding, int32, shape (batch, length).

        Returns:
            The probability of each label, float32, shape (batch, length, labels). The labels of all tasks are side by side.
        """

    @property
    def labels(self) -> LabelSet:
        return self.row_encoder.labels

    def _choose(self, task: str) -> None:
        self.task, self.row_encoder, self.calibration = task, self.heads[task].row_encoder, self.heads[task].calibration

    def for_task(self, task: str) -> Self:
        """The tagger of the same model for another of its tasks. Each of the two keeps the model until it is closed.

        Raises UserError for a task that the model does not have.
        """
        if task not in self.heads:
            raise UserError(f"{setting('task', task)}: expected a task of this model: {', '.join(self.heads)}", self.name)
        other = copy.copy(self)
        other.report = EncodingReport()
        other._choose(task)
        return other

    def predict(self, sentences: Sequence[Sentence], progress: Progress = iter) -> list[Tagged]:
        return self._predict(sentences, progress, [self.task])[self.task]

    def predict_tasks(self, sentences: Sequence[Sentence], progress: Progress = iter) -> dict[str, list[Tagged]]:
        """For each task of the model what `predict` returns. The encoder runs once for all."""
        return self._predict(sentences, progress, list(self.heads))

    def _predict(self, sentences: Sequence[Sentence], progress: Progress, tasks: Sequence[str]) -> dict[str, list[Tagged]]:
        self.check_open()
        encoded = self.row_encoder.encode([Sentence(s.words, (), s.document) for s in sentences])
        self.report += encoded.report
        values = self._run(encoded.rows, progress)
        return {
            task: decode(self.heads[task].row_encoder, encoded, [v[:, self.columns[task]] for v in values], self.decode)
            for task in tasks
        }

    def _run(self, rows: Sequence[Row], progress: Progress) -> list[np.ndarray]:
        """The probabilities of every piece of rows, batch by batch: for every row an array of shape (length, labels)."""
        return apply_to_rows(self.probabilities, rows, self.row_encoder.pad_id, progress)

    def warnings(self) -> list[str]:
        lines = self.report.warnings()
        if self.calibration.thresholds is not None and self.decode != self.config.decode:
            lines.append(
                f"the thresholds were found for {self.config.decode} tags, so the precision of accepted {self.decode} ones may "
                f"be lower; python -m tfner.export with --decode {self.decode} --min-precision "
                f"{self.calibration.min_precision} finds others"
            )
        return lines

    def _tag(self, inputs: Sequence[Input]) -> Iterator[list[Entity]]:
        for text, offsets, tagged in self.tagged(inputs):
            yield self.entities(text, offsets, tagged)

    def tag_tasks(self, item: Input) -> dict[str, list[Entity]]:
        utf8_size(item)  # raises for what cannot be tagged
        offsets, sentences = divide(item, self.sentences, 0)
        found = {}
        for task, tagged in self.predict_tasks(sentences).items():
            plain, calibration = self.heads[task].row_encoder.labels.plain, self.heads[task].calibration
            found[task] = join(tagged).entities(as_text(item), offsets, plain, calibration)
        return found

    def entities(self, text: str, offsets: Sequence[tuple[int, int]], tagged: Tagged) -> list[Entity]:
        """The entities of a text that is tagged, whose words are at `offsets`."""
        return tagged.entities(text, offsets, self.labels.plain, self.calibration)

    def tagged(self, inputs: Sequence[Input]) -> Iterator[tuple[str, list[tuple[int, int]], Tagged]]:
        """For every text, or sentence of words joined by spaces: the text, the offsets of its words, and their tags.

        The sentences of a text are a document, which a model that was trained with the context of documents uses.
        """
        parts = [divide(item, self.sentences, number) for number, item in enumerate(inputs)]
        tagged = iter(self.predict([sentence for _, sentences in parts for sentence in sentences]))
        for item, (offsets, sentences) in zip(inputs, parts, strict=True):
            yield as_text(item), offsets, join([next(tagged) for _ in sentences])


def divide(item: Input, how: str, document: int | None = None) -> tuple[list[tuple[int, int]], list[Sentence]]:
    """The offsets of the words of an input, and its sentences.

    Args:
        item: a text, or the words of a sentence, whose offsets count characters of the words joined by spaces.
        how: how texts are divided into sentences, one of `config.SENTENCES`.
        document: the document of the sentences.
    """
    if not isinstance(item, str):
        return joined_offsets(item), [Sentence(tuple(item), (), document)]
    words = split_words(item)
    bounds = pairwise([*sentence_starts(item, words, how), len(words)])
    return words, [Sentence(tuple(item[a:b] for a, b in words[first:end]), (), document) for first, end in bounds]


def joined_offsets(words: Sequence[str]) -> list[tuple[int, int]]:
    """The offsets of words in the text that joins them by single spaces, half-open, in characters."""
    ends = list(accumulate((len(word) + 1 for word in words), initial=0))[1:]
    return [(end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True)]


def utf8_size(item: Input) -> int:
    """The size in bytes of a text, or of words joined by spaces, in UTF-8.

    Raises UserError for an input that is neither, and for half of a surrogate pair, which has no UTF-8.
    """
    if not isinstance(item, str) and not (isinstance(item, Sequence) and all(isinstance(word, str) for word in item)):
        raise UserError(f"expected a text or a sequence of words, got {item!r:.60}: decode bytes, and leave out missing values")
    text = as_text(item)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        near = ascii(text[max(0, error.start - 20) : error.start + 10])
        raise UserError(
            f"character {error.start} of {near} is half of a surrogate pair, not a character: read the input again with the "
            "right encoding, or remove it"
        ) from None
