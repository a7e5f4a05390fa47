"""From the model's values for word pieces to the tags of sentences.

Takes one array per row, as the model returns it, and gives every word the label with the highest value. The exported graph
follows the same rule; tests hold the two equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from tfner.labels import Entity, labelled_spans
from tfner.modeling.rows import EncodedRows, RowEncoder


@dataclass(frozen=True)
class Tagged:
    """A tagged sentence, or the tagged sentences of a text.

    Attributes:
        tags: a tag for every word.
        probabilities: the probabilities of those tags, float32, shape (words,).
        starts: the number of the first word of each sentence. No entity reaches from one into another.
    """

    tags: list[str]
    probabilities: np.ndarray
    starts: Sequence[int] = (0,)

    def entities(self, text: str, offsets: Sequence[tuple[int, int]], plain: bool) -> list[Entity]:
        """The entities of the sentences. For `plain` labels, every word is one.

        Args:
            text: the text that the words are from.
            offsets: where each word is in `text`, half-open, in characters.
        """
        entities = []
        for begin, past in pairwise([*self.starts, len(self.tags)]):
            for kind, first, end in labelled_spans(self.tags[begin:past], plain):
                first, end = first + begin, end + begin
                start, stop = offsets[first][0], offsets[end - 1][1]
                score = float(np.mean(self.probabilities[first:end]))
                entities.append(Entity(kind, text[start:stop], start, stop, score, first, end))
        return entities


def join(sentences: Sequence[Tagged]) -> Tagged:
    """The tagged sentences of a text as one. A text without words has none."""
    if len(sentences) == 1:
        return sentences[0]
    starts = list(accumulate((len(s.tags) for s in sentences[:-1]), initial=0)) if sentences else []
    scores = np.concatenate([np.zeros(0, np.float32), *(s.probabilities for s in sentences)])
    return Tagged([tag for s in sentences for tag in s.tags], scores, starts)


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
