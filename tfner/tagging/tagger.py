"""Tagging: texts or words in, entities out, with a model in memory or a SavedModel.

A ``Tagger`` holds a function from piece ids to probabilities, and the encoder that makes the one and reads the other.
Training and scoring are elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path

import numpy as np

from tfner.config import Config
from tfner.corpus import Sentence
from tfner.data.words import split_words
from tfner.errors import UserError, one_line
from tfner.folder import resolve
from tfner.labels import Entity, LabelSet, Span, spans
from tfner.modeling.pretrained import load_tokenizer
from tfner.modeling.rows import DOCUMENT_PIECES, Encoder, Kept
from tfner.terminal import quiet_imports

EXTRA = "assets.extra"
"""Folder of a SavedModel for files that travel along; TF Serving reserves the name."""

CHUNK = 4096  # texts tagged at once: enough to group rows by length, little enough to bound memory


@dataclass(frozen=True)
class Tagged:
    """A tagged sentence: a tag for every word, and the probabilities of the predicted labels, float32, shape (words,)."""

    tags: list[str]
    probabilities: np.ndarray

    def entities(self, text: str, offsets: Sequence[tuple[int, int]], plain: bool) -> list[Entity]:
        """The entities of the sentence, whose words stand at ``offsets`` in ``text`` (half-open, in characters).

        For ``plain`` labels, every word is one.
        """
        found = [Span(tag, i, i + 1) for i, tag in enumerate(self.tags)] if plain else spans(self.tags)
        entities = []
        for kind, first, end in found:
            start, stop = offsets[first][0], offsets[end - 1][1]
            score = float(np.mean(self.probabilities[first:end]))
            entities.append(Entity(kind, text[start:stop], start, stop, score, first, end))
        return entities


class Tagger:
    """Tags texts and words.

    Args:
        probabilities: from ``input_ids`` and ``attention_mask``, int32, shape (batch, length), to the probabilities of the
            labels, float32, shape (batch, length, labels).
        encoder: alignment, label set and row length.
        config: the settings of the training.
    """

    def __init__(self, probabilities: Callable[[np.ndarray, np.ndarray], np.ndarray], encoder: Encoder, config: Config):
        self.probabilities, self.encoder, self.config = probabilities, encoder, config
        self.kept = Kept()
        """What could not be kept of all sentences tagged so far."""

    @classmethod
    def load(cls, path: str | Path) -> Tagger:
        """Loads an exported model: a version's folder, or a folder of versions, of which the highest is taken.

        The address of a served model, ``http://host:8501/v1/models/NAME`` or ``grpc://host:8500/NAME``, gives a
        ``client.ServedTagger`` instead.

        Raises UserError where there is no model, its files are incomplete or damaged, or its server does not answer.
        """
        if is_address(path):
            from tfner.tagging.served import ServedTagger  # a tagger itself

            return ServedTagger(str(path))
        folder = resolve(path)
        extra = folder / EXTRA
        try:
            config, labels = read_settings(extra)
            limit = json.loads((extra / "limits.json").read_text("utf-8"))["max_pieces"]
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"{folder}: not a whole tfner model ({error}): export it again with python -m tfner.export"
            ) from error
        encoder = make_encoder(load_tokenizer(str(extra / "tokenizer")), labels, config, limit)
        return cls(_saved_function(folder), encoder, config)

    def predict(self, sentences: Sequence[Sentence], progress: Callable[[Iterable], Iterable] = iter) -> list[Tagged]:
        """Tags sentences, all of them at once; their own tags play no part. One result per sentence, in order."""
        from tfner.modeling.batches import run_rows

        encoded = self.encoder.encode([Sentence(s.words, (), s.document) for s in sentences])
        self.kept += encoded.kept
        rows = run_rows(self.probabilities, encoded.rows, self.encoder.pad_id, progress)
        tags = self.encoder.decode_tags(encoded, [row.argmax(-1) for row in rows])
        values = self.encoder.decode(encoded, [row.max(-1) for row in rows], fill=1.0)
        return [Tagged(*pair) for pair in zip(tags, values, strict=True)]

    def tag(self, text: str) -> list[Entity]:
        """The entities of a text; offsets count its characters. For plain labels, every word is one."""
        return next(self.tag_many([text]))

    def tag_words(self, words: Sequence[str]) -> list[Entity]:
        """The entities of a sentence that is split already; offsets count the characters of the words joined by spaces."""
        if isinstance(words, str):
            raise UserError("tag_words expects a sequence of words, got one string: use tag for text that is not split")
        return next(self.tag_many([words]))

    def tag_many(self, inputs: Iterable[str | Sequence[str]], chunk: int = CHUNK) -> Iterator[list[Entity]]:
        """The entities of any number of texts (strings) and split sentences (sequences of words), in order.

        ``chunk`` of them are tagged at once, which bounds the memory; rows of about the same length stand together.

        Raises UserError for what is neither, and for half of a surrogate pair, which is no character.
        """
        inputs = iter(inputs)
        while some := list(islice(inputs, chunk)):
            for item in some:
                utf8_size(item)
            yield from self._tag(some)

    def _tag(self, inputs: Sequence[str | Sequence[str]]) -> Iterator[list[Entity]]:
        texts = [item if isinstance(item, str) else " ".join(item) for item in inputs]
        offsets = [split_words(item) if isinstance(item, str) else joined_offsets(item) for item in inputs]
        sentences = [Sentence(tuple(t[a:b] for a, b in o), ()) for t, o in zip(texts, offsets, strict=True)]
        for text, word_offsets, tagged in zip(texts, offsets, self.predict(sentences), strict=True):
            yield tagged.entities(text, word_offsets, self.encoder.labels.plain)


def is_address(path: str | Path) -> bool:
    """Whether a model is given as the address of a server, not as a folder."""
    return "://" in str(path)


def joined_offsets(words: Sequence[str]) -> list[tuple[int, int]]:
    """Where words stand in their text joined by single spaces, half-open, in characters."""
    ends = list(accumulate((len(word) + 1 for word in words), initial=0))[1:]
    return [(end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True)]


def utf8_size(item: str | Sequence[str]) -> int:
    """The bytes of a text, or of words joined by spaces, as UTF-8. Raises UserError for what cannot be written so."""
    if not isinstance(item, str) and not (isinstance(item, Sequence) and all(isinstance(word, str) for word in item)):
        raise UserError(
            f"expected a text or a sequence of words, got {item!r:.60}: decode bytes, and leave out what is missing"
        )
    text = item if isinstance(item, str) else " ".join(item)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        near = ascii(text[max(0, error.start - 20) : error.start + 10])
        raise UserError(
            f"character {error.start} of {near} is half of a surrogate pair and no text: read the input again with the right "
            "encoding, or remove the character"
        ) from None


def read_settings(folder: Path) -> tuple[Config, LabelSet]:
    """Settings and labels out of the files of an export or a training state. Raises OSError or ValueError for damaged ones."""
    config = Config.from_json((folder / "config.json").read_text("utf-8"))
    return config, LabelSet(tuple(json.loads((folder / "labels.json").read_text("utf-8"))), plain=config.task == "pos")


def make_encoder(tokenizer, labels: LabelSet, config: Config, limit: int) -> Encoder:
    """The encoder that a config asks for; ``limit`` is the longest row, in pieces, that the model can take.

    Raises UserError where ``max_pieces`` is above the limit.
    """
    if config.max_pieces and config.max_pieces > limit:
        raise UserError(f"--max-pieces {config.max_pieces}: the encoder takes rows of at most {limit} word pieces")
    most = config.max_pieces or (min(DOCUMENT_PIECES, limit) if config.context == "document" else limit)
    return Encoder(tokenizer, labels, config.label_pieces, most, config.context)


def _saved_function(folder: Path) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    with quiet_imports():
        import tensorflow as tf
        import tensorflow_text  # noqa: F401  its operations are in the graph

    try:
        model = tf.saved_model.load(str(folder))
    except (OSError, ValueError, IndexError, tf.errors.OpError) as error:  # IndexError: a file ends too early
        raise UserError(
            f"{folder}: the SavedModel cannot be loaded ({one_line(error)}): export it again with python -m tfner.export"
        ) from error
    pieces = model.signatures["pieces"]

    def probabilities(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        outputs = pieces(input_ids=tf.constant(input_ids), attention_mask=tf.constant(attention_mask))
        return outputs["probabilities"].numpy()

    probabilities.model = model  # its variables live as long as it does
    return probabilities
