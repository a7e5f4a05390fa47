"""Words to rows of word pieces, and values of pieces back to words.

Takes sentences; returns `Row`s of piece ids and label ids in which every piece knows its sentence and its word.
`RowEncoder.to_words` reduces one value per piece to one value per word. Padding and batching are left to `batches`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from tfner.config import CONTEXTS, LABEL_PIECES, Config
from tfner.corpus import Sentence
from tfner.errors import UserError, setting
from tfner.labels import IGNORED_LABEL, LabelSet, columns_of
from tfner.modeling.tokenizer import WordTokenizer
from tfner.modeling.windows import Window, cut_windows
from tfner.terminal import table

DOCUMENT_PIECES = 128
"""Default row length in pieces with document context: the fastest per word of the lengths tried."""

SPECIAL = -1
"""Sentence and word number of a special piece such as [CLS] or [SEP], which belongs to no sentence and no word."""


@dataclass(frozen=True)
class Row:
    """One input of the model. Every array has shape (length,); the length is in pieces and includes special pieces.

    `ids`: int32, piece ids. `labels`: int32, label ids or `IGNORED_LABEL`; with several tasks their shape is (length, tasks).
    `sentences`, `words`: int32, the number of the sentence that a piece is from and the number of its word in that sentence;
    `SPECIAL` for special pieces. `speaks`: bool, True where this piece's prediction is used for its word, which holds for
    exactly one piece of every word that has pieces.
    """

    ids: np.ndarray
    labels: np.ndarray
    sentences: np.ndarray
    words: np.ndarray
    speaks: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class EncodingReport:
    """Counts of what was encoded and of what was lost. Reports of several calls can be added."""

    sentences: int = 0
    words: int = 0
    rows: int = 0
    pieces: int = 0
    """Pieces of all rows, including special pieces and the overlap of windows."""
    windowed_sentences: int = 0
    """Sentences longer than a row, which are spread over overlapping windows. Each of their words is still used once."""
    words_without_pieces: int = 0
    """Words without any piece (empty, or of characters that the tokenizer drops): not learned, always predicted as `O`."""
    entity_words_without_pieces: int = 0
    """Those of them whose tag is not `O`. They are scored as missed."""
    cut_words: int = 0
    """Words that reach beyond the end of their row. Their first piece is in the row and is used for them."""

    def __add__(self, other: EncodingReport) -> EncodingReport:
        return EncodingReport(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def warnings(self) -> list[str]:
        """One line for each kind of loss; empty where nothing was lost."""
        lines = []
        if number := self.windowed_sentences:
            sentences = "sentence is" if number == 1 else "sentences are"
            lines.append(f"{number} {sentences} longer than a row and spread over overlapping windows; no word is lost")
        if number := self.words_without_pieces:
            words = "word has no word piece and is" if number == 1 else "words have no word piece and are"
            missed = self.entity_words_without_pieces
            lines.append(f"{number} {words} always predicted as outside (of these, {missed} in entities, scored as missed)")
        if number := self.cut_words:
            words = "word has" if number == 1 else "words have"
            lines.append(f"{number} {words} more pieces than fit into a row; the model sees only the first of them")
        return lines


@dataclass(frozen=True)
class EncodedRows:
    """The rows of a sequence of sentences, the number of words of each sentence, and the report."""

    rows: tuple[Row, ...]
    lengths: tuple[int, ...]
    report: EncodingReport


@dataclass(frozen=True)
class _Part:
    """A window in a row, with its sentence and the number of that sentence."""

    number: int
    sentence: Sentence
    window: Window


class RowEncoder:
    """Encodes sentences for one tokenizer, label set and row length.

    Args:
        tokenizer: a fast transformers tokenizer, or a `WordTokenizer`.
        labels: the label set; it has to contain the tags of all sentences that have tags.
        label_pieces: `first` labels only the first piece of a word; `all` labels every piece, and continues `B-X` as `I-X`
            within the word (the study's alignment).
        max_pieces: the longest row in pieces, including special pieces.
        context: `sentence` for rows of one sentence; `document` and `mixed` for rows of as many consecutive sentences of a
            document as fit.
        columns: the part of the model's last dimension that is for these labels, where the model has several tasks.

    Raises:
        UserError: for a slow tokenizer, a value that is not among the choices, or rows too short for any word.
    """

    def __init__(
        self,
        tokenizer: Any,
        labels: LabelSet,
        label_pieces: str = "first",
        max_pieces: int = 512,
        context: str = "sentence",
        columns: slice = slice(None),
    ):
        for name, value, choices in (("label_pieces", label_pieces, LABEL_PIECES), ("context", context, CONTEXTS)):
            if value not in choices:
                raise UserError(f"{setting(name, value)}: expected one of {', '.join(choices)}")
        self.tokenizer, self.labels, self.label_pieces, self.columns = tokenizer, labels, label_pieces, columns
        self.max_pieces, self.packs = max_pieces, context != "sentence"
        self._inside = np.array([labels.inside(i) for i in range(len(labels))], np.int32)
        self.word_tokenizer = tokenizer if isinstance(tokenizer, WordTokenizer) else WordTokenizer.of(tokenizer)
        self.opening, self.closing = self.word_tokenizer.opening, self.word_tokenizer.closing
        self.pad_id = self.word_tokenizer.pad_id
        """The piece id that pads rows in a batch. The attention mask hides it from the model."""
        self.room = max_pieces - len(self.opening) - len(self.closing)
        """Pieces of words that fit into a row of one sentence."""
        if self.room < 2:
            least = max_pieces - self.room + 2
            raise UserError(f"{setting('max_pieces', max_pieces)}: too short to hold any word: expected at least {least}")

    def encode(self, sentences: Sequence[Sentence], extents: np.random.Generator | None = None) -> EncodedRows:
        """The rows of sentences, in order. In sentences without tags, every label is `IGNORED_LABEL`.

        With `extents`, rows hold less of a document than fits, so that a model learns to do with any context: half of them are
        closed after a sentence, the others at a length that is drawn, which may leave room for no second sentence either.

        Raises UserError where a sentence has more or fewer tags than words, or a tag that is not in the label set.
        """
        for number, sentence in enumerate(sentences, start=1):
            if sentence.tags and len(sentence.tags) != len(sentence.words):
                raise UserError(
                    f"sentence {number}: expected one tag per word, found {len(sentence.tags)} for {len(sentence.words)} words"
                    ": correct its tags, or leave them out"
                )
        pieces = self.word_tokenizer.split([sentence.words for sentence in sentences])
        windowed = all_missing = missing_entities = all_cut = 0
        rows: list[Row] = []
        open_parts: list[_Part] = []  # the row that further sentences may join
        room = 0
        for number, (sentence, (ids, words)) in enumerate(zip(sentences, pieces, strict=True)):
            windows, cut = cut_windows(ids, words, self.room)
            windowed += len(windows) > 1
            all_cut += cut
            if missing := set(range(len(sentence.words))).difference(words):
                all_missing += len(missing)
                missing_entities += sum(sentence.tags[w] != self.labels.default for w in missing if sentence.tags)
            parts = [_Part(number, sentence, window) for window in windows]
            if not parts:
                continue
            if len(parts) == 1 and self._joins(sentence, open_parts) and len(ids) + len(self.closing) <= room:
                open_parts += parts
                room -= len(ids) + len(self.closing)
                continue
            if open_parts:
                rows.append(self._row(open_parts))
            most = self.room if extents is None else int(extents.integers(2) and extents.integers(self.room + 1))
            open_parts, room = (parts, most - len(ids)) if len(parts) == 1 else ([], 0)
            if len(parts) > 1:
                rows += [self._row([part]) for part in parts]
        if open_parts:
            rows.append(self._row(open_parts))
        lengths = tuple(len(sentence.words) for sentence in sentences)
        report = EncodingReport(
            sentences=len(sentences),
            words=sum(lengths),
            rows=len(rows),
            pieces=sum(map(len, rows)),
            windowed_sentences=windowed,
            words_without_pieces=all_missing,
            entity_words_without_pieces=missing_entities,
            cut_words=all_cut,
        )
        return EncodedRows(tuple(rows), lengths, report)

    def to_words(self, encoded: EncodedRows, values: Sequence[np.ndarray], fill: Any) -> list[np.ndarray]:
        """One value per word from one value per piece.

        Args:
            encoded: rows that this encoder made.
            values: for every row an array of shape (at least the row's length, ...).
            fill: the value of words without pieces: a scalar, or an array of shape (...).

        Returns:
            For every sentence an array of shape (words, ...).
        """
        starts = np.cumsum([0, *encoded.lengths])
        shape, dtype = (
            (np.shape(values[0])[1:], np.asarray(values[0]).dtype) if len(values) else (np.shape(fill), np.asarray(fill).dtype)
        )
        words = np.empty((starts[-1], *shape), dtype)
        words[:] = fill
        for row, row_values in zip(encoded.rows, values, strict=True):
            words[starts[row.sentences[row.speaks]] + row.words[row.speaks]] = row_values[: len(row)][row.speaks]
        return np.split(words, starts[1:-1]) if encoded.lengths else []

    def _joins(self, sentence: Sentence, row: Sequence[_Part]) -> bool:
        """Whether a sentence belongs into the same row as those before it, if it fits."""
        document = sentence.document
        return bool(self.packs and row and document is not None and document == row[-1].sentence.document)

    def _row(self, parts: Sequence[_Part]) -> Row:
        ids, labels = list(self.opening), [IGNORED_LABEL] * len(self.opening)
        sentences, words, speaks = [SPECIAL] * len(ids), [SPECIAL] * len(ids), [False] * len(ids)
        for part in parts:
            window = part.window
            label_of = [self._label_id(part.number, tag) for tag in part.sentence.tags]
            previous = None
            for word in window.words:
                own = window.first <= word < window.last
                first = word != previous
                label = IGNORED_LABEL
                if own and label_of and (first or self.label_pieces == "all"):
                    label = label_of[word] if first else self._inside[label_of[word]]
                labels.append(label)
                speaks.append(own and first)
                previous = word
            ids += window.ids + self.closing
            words += window.words + [SPECIAL] * len(self.closing)
            sentences += [part.number] * len(window.ids) + [SPECIAL] * len(self.closing)
            labels += [IGNORED_LABEL] * len(self.closing)
            speaks += [False] * len(self.closing)
        return Row(
            ids=np.array(ids, np.int32),
            labels=np.array(labels, np.int32),
            sentences=np.array(sentences, np.int32),
            words=np.array(words, np.int32),
            speaks=np.array(speaks, bool),
        )

    def _label_id(self, number: int, tag: str) -> int:
        try:
            return self.labels.ids[tag]
        except KeyError:
            raise UserError(
                f"sentence {number + 1}: expected a tag of the label set ({', '.join(self.labels.names)}), found {tag!r}: "
                "change the tag, or train on a corpus that has it"
            ) from None


def row_encoders(tokenizer: Any, labels: Mapping[str, LabelSet], config: Config, limit: int) -> dict[str, RowEncoder]:
    """A row encoder for each task of a model, from the labels of the tasks. Raises UserError as `make_row_encoder` does."""
    columns = zip(labels.items(), columns_of(labels.values()), strict=True)
    return {task: make_row_encoder(tokenizer, own, config, limit, part) for (task, own), part in columns}


def with_labels_of(encoded: Sequence[EncodedRows]) -> EncodedRows:
    """The rows of the same sentences for several tasks as one, whose labels have shape (length, tasks)."""
    if len(encoded) == 1:
        return encoded[0]
    rows = zip(*(one.rows for one in encoded), strict=True)
    missed = max(one.report.entity_words_without_pieces for one in encoded)
    return replace(
        encoded[0],
        rows=tuple(replace(r[0], labels=np.stack([one.labels for one in r], -1)) for r in rows),
        report=replace(encoded[0].report, entity_words_without_pieces=missed),
    )


def make_row_encoder(tokenizer: Any, labels: LabelSet, config: Config, limit: int, columns: slice = slice(None)) -> RowEncoder:
    """The row encoder for a config. `limit` is the longest row in pieces that the encoder can take.

    Raises UserError where `max_pieces` is above the limit.
    """
    if config.max_pieces and config.max_pieces > limit:
        raise UserError(
            f"{setting('max_pieces', config.max_pieces)}: expected at most {limit} word pieces, which is the longest row that "
            "the encoder takes"
        )
    most = config.max_pieces or (min(DOCUMENT_PIECES, limit) if config.context != "sentence" else limit)
    return RowEncoder(tokenizer, labels, config.label_pieces, most, config.context, columns)


def row_table(row: Row, tokenizer: Any, labels: LabelSet) -> str:
    """A row as a table with a line for each piece: the piece, the number of its word, its label id and the label's name."""
    names = ["" if label == IGNORED_LABEL else labels.names[label] for label in row.labels]
    words = ["" if word == SPECIAL else word for word in row.words]
    pieces = tokenizer.convert_ids_to_tokens(row.ids.tolist())
    return table([("piece", "word", "label", ""), *zip(pieces, words, row.labels, names, strict=True)])
