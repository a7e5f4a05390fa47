"""Words to word pieces and back: tokenizer alignment, windows for long sentences, optional document context.

In go sentences, out come `Row`s of piece ids and label ids in which every piece knows its sentence and word; `decode` takes
one value per piece back to one value per word. Rows are not padded or batched here, and no tensors are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np

from tfner.config import CONTEXTS, LABEL_PIECES, Config
from tfner.corpus import Sentence
from tfner.errors import UserError, setting
from tfner.labels import IGNORED_LABEL, LabelSet
from tfner.modeling.pretrained import require_fast
from tfner.terminal import table

DOCUMENT_PIECES = 128
"""Pieces in a row when `--context document` is asked for without a length: the fastest per word of those tried."""

SPECIAL = -1  # sentence and word number of a piece that belongs to none ([CLS], [SEP])


@dataclass(frozen=True)
class Row:
    """One input of the model; every array is of shape (length,), length in pieces, special pieces included.

    `ids` int32 piece ids; `labels` int32 label ids or `IGNORED_LABEL`; `sentences` and `words` int32, which
    sentence of the encoded sequence and which of its words a piece belongs to, -1 for special pieces; `speaks` bool,
    whether this piece's prediction is its word's: true for exactly one piece of every word that has pieces.
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
    """What encoding kept and what it could not keep, in numbers."""

    sentences: int = 0
    words: int = 0
    rows: int = 0
    pieces: int = 0
    """Pieces of all rows, special ones and the overlap of windows included."""
    windowed_sentences: int = 0
    """Sentences longer than a row, spread over overlapping windows; every word of theirs still counts once."""
    words_without_pieces: int = 0
    """Words without any piece (empty, or characters the tokenizer drops): not learned, always predicted as outside."""
    entity_words_without_pieces: int = 0
    """Those of them whose tag is not `O`: they count as missed."""
    cut_words: int = 0
    """Words that reach beyond the end of their row: their first pieces stay and speak for them."""

    def __add__(self, other: EncodingReport) -> EncodingReport:
        return EncodingReport(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def warnings(self) -> list[str]:
        """One line for each kind of loss, none where nothing was lost."""
        lines = []
        if self.windowed_sentences:
            lines.append(
                f"{self.windowed_sentences} sentences are longer than a row and became overlapping windows; no word is lost"
            )
        if self.words_without_pieces:
            lines.append(
                f"{self.words_without_pieces} words yield no word piece and are always predicted as outside "
                f"({self.entity_words_without_pieces} of them belong to entities and count as missed)"
            )
        if self.cut_words:
            lines.append(f"{self.cut_words} words have more pieces than their row has room for; only the first are seen")
        return lines


@dataclass(frozen=True)
class EncodedRows:
    """Rows of a sequence of sentences, the number of words of each sentence, and what was kept."""

    rows: tuple[Row, ...]
    lengths: tuple[int, ...]
    report: EncodingReport


@dataclass(frozen=True)
class _Window:
    """A stretch of a sentence's pieces, with the word of each; it speaks for words `first` to `last` (half-open)."""

    ids: list[int]
    words: list[int]
    first: int
    last: int


class RowEncoder:
    """Encodes sentences for one tokenizer, label set and row length.

    Args:
        tokenizer: a fast transformers tokenizer.
        labels: the label set; `Sentence.tags` have to be in it, except for sentences without tags.
        label_pieces: `first` labels a word's first piece only; `all` labels every piece, `B-X` going on as `I-X`
            inside the word (the study's alignment).
        max_pieces: the longest row, special pieces included.
        context: `sentence`, or `document` for as many consecutive sentences of a document as fit into a row.

    Raises:
        UserError: for a slow tokenizer, an unknown setting, or rows too short to hold anything.
    """

    def __init__(
        self, tokenizer, labels: LabelSet, label_pieces: str = "first", max_pieces: int = 512, context: str = "sentence"
    ):
        require_fast(tokenizer)
        if label_pieces not in LABEL_PIECES or context not in CONTEXTS:
            raise UserError(
                f"expected label_pieces out of {LABEL_PIECES} and context out of {CONTEXTS}, got {label_pieces!r}, {context!r}"
            )
        self.tokenizer, self.labels, self.label_pieces = tokenizer, labels, label_pieces
        self.max_pieces, self.context = max_pieces, context
        self._inside = np.array([labels.inside(i) for i in range(len(labels))], np.int32)
        self.opening, self.closing = _special_pieces(tokenizer)
        self.room = max_pieces - len(self.opening) - len(self.closing)
        if self.room < 2:
            raise UserError(f"max_pieces {max_pieces} leaves no room for words: expected at least {max_pieces - self.room + 2}")

    @property
    def pad_id(self) -> int:
        """The id that fills a row up in a batch; it is masked wherever it stands."""
        return self.tokenizer.pad_token_id or 0

    def encode(self, sentences: Sequence[Sentence]) -> EncodedRows:
        """Rows of sentences, in order. Sentences with empty `tags` are encoded without labels (all ignored).

        Raises UserError where a sentence has more or fewer tags than words, or a tag is not in the label set.
        """
        for number, sentence in enumerate(sentences):
            if sentence.tags and len(sentence.tags) != len(sentence.words):
                raise UserError(
                    f"sentence {number + 1} has {len(sentence.words)} words and {len(sentence.tags)} tags: expected one tag "
                    "a word"
                )
        kept = EncodingReport(sentences=len(sentences), words=sum(len(s.words) for s in sentences))
        pieces = self._pieces([s.words for s in sentences])
        rows: list[Row] = []
        open_parts: list[tuple[int, Sentence, _Window]] = []  # the sentences of the row under construction
        room = 0

        def close():
            if open_parts:
                rows.append(self._row(open_parts))
                open_parts.clear()

        for number, (sentence, (ids, words)) in enumerate(zip(sentences, pieces, strict=True)):
            windows, cut = _windows(ids, words, self.room)
            missing = set(range(len(sentence.words))).difference(words)
            tagged = sum(1 for w in missing if sentence.tags and sentence.tags[w] != self.labels.default)
            kept += EncodingReport(
                windowed_sentences=len(windows) > 1,
                words_without_pieces=len(missing),
                entity_words_without_pieces=tagged,
                cut_words=cut,
            )
            joins = (
                self.context == "document"
                and open_parts
                and sentence.document is not None
                and sentence.document == open_parts[-1][1].document
                and len(windows) == 1
                and len(windows[0].ids) + len(self.closing) <= room
            )
            if not joins:
                close()
                room = self.room + len(self.closing)
            for window in windows:
                if len(windows) > 1:
                    close()
                open_parts.append((number, sentence, window))
                room -= len(window.ids) + len(self.closing)
            if len(windows) > 1:
                close()
        close()
        kept += EncodingReport(rows=len(rows), pieces=sum(map(len, rows)))
        return EncodedRows(tuple(rows), tuple(len(s.words) for s in sentences), kept)

    def to_words(self, encoded: EncodedRows, values: Sequence[np.ndarray], fill) -> list[np.ndarray]:
        """One value per word from one value per piece.

        Args:
            encoded: rows that this encoder made.
            values: for every row an array of shape (at least the row's length, ...).
            fill: the value of words without pieces, a scalar or of shape (...).

        Returns:
            For every sentence an array of shape (words, ...).
        """
        starts = np.cumsum([0, *encoded.lengths])
        shape, dtype = (np.shape(values[0])[1:], np.asarray(values[0]).dtype) if len(values) else (np.shape(fill), np.int32)
        words = np.empty((starts[-1], *shape), dtype)
        words[:] = fill
        for row, row_values in zip(encoded.rows, values, strict=True):
            words[starts[row.sentences[row.speaks]] + row.words[row.speaks]] = row_values[: len(row)][row.speaks]
        return np.split(words, starts[1:-1]) if encoded.lengths else []

    def _pieces(self, sentences: Sequence[Sequence[str]]) -> Iterator[tuple[list[int], list[int]]]:
        """For every sentence its piece ids and the word of each piece; a text that says `[SEP]` is text, no special piece."""
        block = 2000  # sentences tokenized at once: enough for the tokenizer's threads, little memory
        for start in range(0, len(sentences), block):
            part = [list(words) for words in sentences[start : start + block]]
            encodings = self.tokenizer(
                part, is_split_into_words=True, add_special_tokens=False, split_special_tokens=True, verbose=False
            )
            for i in range(len(part)):
                yield encodings["input_ids"][i], encodings.word_ids(i)

    def _row(self, parts: Sequence[tuple[int, Sentence, _Window]]) -> Row:
        ids, labels = list(self.opening), [IGNORED_LABEL] * len(self.opening)
        sentences, words, speaks = [SPECIAL] * len(ids), [SPECIAL] * len(ids), [False] * len(ids)
        for number, sentence, window in parts:
            label_of = [self._label_id(number, tag) for tag in sentence.tags]
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
            sentences += [number] * len(window.ids) + [SPECIAL] * len(self.closing)
            labels += [IGNORED_LABEL] * len(self.closing)
            speaks += [False] * len(self.closing)
        return Row(*(np.array(a, np.int32) for a in (ids, labels, sentences, words)), np.array(speaks, bool))

    def _label_id(self, number: int, tag: str) -> int:
        try:
            return self.labels.ids[tag]
        except KeyError:
            raise UserError(
                f"sentence {number + 1}: tag {tag!r} is not in the label set {' '.join(self.labels.names)}"
            ) from None


def make_row_encoder(tokenizer, labels: LabelSet, config: Config, limit: int) -> RowEncoder:
    """The row encoder that a config asks for; `limit` is the longest row, in pieces, that the encoder can take.

    Raises UserError where `max_pieces` is above the limit.
    """
    if config.max_pieces and config.max_pieces > limit:
        raise UserError(
            f"{setting('max_pieces', config.max_pieces)}: the encoder takes rows of at most {limit} word pieces: choose fewer"
        )
    most = config.max_pieces or (min(DOCUMENT_PIECES, limit) if config.context == "document" else limit)
    return RowEncoder(tokenizer, labels, config.label_pieces, most, config.context)


def row_table(row: Row, tokenizer, labels: LabelSet) -> str:
    """A row as a table: a line for each piece with its word's number, its label id and its label's name."""
    names = ["" if label == IGNORED_LABEL else labels.names[label] for label in row.labels]
    words = ["" if word == SPECIAL else word for word in row.words]
    pieces = tokenizer.convert_ids_to_tokens(row.ids.tolist())
    return table([("piece", "word", "label", ""), *zip(pieces, words, row.labels, names, strict=True)])


def _windows(ids: list[int], words: list[int], room: int) -> tuple[list[_Window], int]:
    """Cuts the pieces of a sentence into windows of `room` pieces that overlap by a quarter.

    A word belongs to the window in which its first piece stands at least half of the overlap away from both cuts; a window to
    which none belongs is not made. `graph` follows the same rule. Returns the windows (none for a sentence without pieces)
    and the number of words that reach beyond the end of their window.
    """
    if not ids:
        return [], 0
    firsts = [i for i, word in enumerate(words) if i == 0 or word != words[i - 1]]
    overlap, stride = overlap_and_stride(room)
    last = max(0, -(-(len(ids) - room) // stride))
    owned: dict[int, list[int]] = {}  # the words of each window
    cut = 0
    for i, end in zip(firsts, [*firsts[1:], len(ids)], strict=True):
        k = min(max((i - overlap // 2) // stride, 0), last)
        owned.setdefault(k, []).append(words[i])
        cut += end > k * stride + room
    parts = [(slice(k * stride, k * stride + room), own) for k, own in owned.items()]
    return [_Window(ids[part], words[part], own[0], own[-1] + 1) for part, own in parts], cut


def overlap_and_stride(room: int) -> tuple[int, int]:
    """How many pieces two neighbouring windows of `room` pieces share, and how far apart they start."""
    return room // 4, room - room // 4


def _special_pieces(tokenizer) -> tuple[list[int], list[int]]:
    """The ids a tokenizer puts before and after a text, such as [CLS] and [SEP]."""
    bare = tokenizer(["a"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    full = tokenizer(["a"], is_split_into_words=True)["input_ids"]
    at = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    return full[:at], full[at + len(bare) :]
