"""From the model's values for word pieces to the tags of sentences.

Takes one array per row, as the model returns it, and gives every word the label with the highest value. The exported graph
follows the same rule; tests hold the two equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfner.labels import Entity, labelled_spans
from tfner.modeling.rows import EncodedRows, RowEncoder


@dataclass(frozen=True)
class Tagged:
    """A tagged sentence: a tag for every word, and the probabilities of those tags, float32, shape (words,)."""

    tags: list[str]
    probabilities: np.ndarray

    def entities(self, text: str, offsets: Sequence[tuple[int, int]], plain: bool) -> list[Entity]:
        """The entities of the sentence. For `plain` labels, every word is one.

        Args:
            text: the text that the words are from.
            offsets: where each word is in `text`, half-open, in characters.
        """
        entities = []
        for kind, first, end in labelled_spans(self.tags, plain):
            start, stop = offsets[first][0], offsets[end - 1][1]
            score = float(np.mean(self.probabilities[first:end]))
            entities.append(Entity(kind, text[start:stop], start, stop, score, first, end))
        return entities


def softmax(logits: np.ndarray) -> np.ndarray:
    """The probability of each label, from logits whose last dimension is labels."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def best_labels(values: np.ndarray) -> np.ndarray:
    """The label id of each word, int, shape (words,), from values (probabilities or logits) of shape (words, labels)."""
    return np.asarray(values.argmax(-1))


def decode(row_encoder: RowEncoder, encoded: EncodedRows, values: Sequence[np.ndarray]) -> list[Tagged]:
    """Tags sentences from the values of their rows.

    Args:
        row_encoder: what made the rows.
        encoded: the rows of the sentences.
        values: for every row an array of shape (length, labels), probabilities or logits. `Tagged.probabilities` holds the
            highest value of each word, so it is a probability only where these are.

    Returns:
        One result per sentence. A word without pieces gets the default label (`O`) with a value of 1.
    """
    labels = row_encoder.labels
    unseen = np.eye(len(labels), dtype=np.float32)[labels.ids[labels.default]]
    words = row_encoder.to_words(encoded, values, unseen)
    return [Tagged([labels.names[i] for i in best_labels(word)], word.max(-1)) for word in words]
