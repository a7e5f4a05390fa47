"""From the model's values for word pieces to the tags of sentences.

Takes one array per row, as the model returns it, and gives every word the label with the highest value, or every sentence the
labels with the highest product that are IOB2 together. The exported graph follows the same rules; tests hold the two equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from tfner.config import DECODERS
from tfner.errors import UserError, setting
from tfner.labels import Entity, LabelSet, labelled_spans, split_tag
from tfner.modeling.calibration import LEAST, UNCALIBRATED, Calibration
from tfner.modeling.rows import EncodedRows, RowEncoder

UNITS, ILLEGAL = 2**32, -(2**60)
"""Units of a logarithm of 1, and the logarithm of what is not legal. Sums of integers are exact, in whatever order."""


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

    def entities(
        self, text: str, offsets: Sequence[tuple[int, int]], plain: bool, calibration: Calibration = UNCALIBRATED
    ) -> list[Entity]:
        """The entities of the sentences. For `plain` labels, every word is one.

        Args:
            text: the text that the words are from.
            offsets: where each word is in `text`, half-open, in characters.
            plain: whether every word is an entity.
            calibration: says which entities are accepted.
        """
        entities = []
        for begin, past in pairwise([*self.starts, len(self.tags)]):
            for kind, first, end in labelled_spans(self.tags[begin:past], plain):
                first, end = first + begin, end + begin
                start, stop = offsets[first][0], offsets[end - 1][1]
                score = float(np.mean(self.probabilities[first:end]))
                accepted = calibration.accepts(kind, score)
                entities.append(Entity(kind, text[start:stop], start, stop, score, first, end, accepted))
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


def unseen(labels: LabelSet) -> np.ndarray:
    """The values of a word without pieces, float32, shape (labels,): the default label has the highest.

    That is `O` with a probability of 1. A plain label has one of 0, as nothing is known of its word, and is never accepted.
    """
    default = np.arange(len(labels)) == labels.ids[labels.default]
    return np.asarray(default - float(labels.plain), np.float32)


def legal_transitions(labels: LabelSet) -> np.ndarray:
    """Which label may follow which in IOB2, bool, shape (labels + 1, labels); the last row is for the first word.

    `I-X` continues `B-X` or `I-X`; everything else may follow anything. Plain labels have no rule.
    """
    legal = np.ones((len(labels) + 1, len(labels)), bool)
    if not labels.plain:
        for i, (prefix, kind) in enumerate(map(split_tag, labels.names)):
            if prefix == "I":
                legal[:, i] = [*(split_tag(name)[1] == kind for name in labels.names), False]
    return legal


def best_path(probabilities: np.ndarray, legal: np.ndarray) -> np.ndarray:
    """The labels of a sentence with the highest product of probabilities among those that are legal together, int, (words,).

    This is the algorithm of Viterbi (1967). Of equal products, the one whose labels come first, from the last word backwards,
    is taken.

    Args:
        probabilities: shape (words, labels).
        legal: as `legal_transitions` returns it.
    """
    logs = np.rint(np.log(np.maximum(probabilities, LEAST).astype(np.float64)) * UNITS).astype(np.int64)
    rules = np.where(legal, 0, ILLEGAL)
    total, before = logs[0] + rules[-1], []
    for own in logs[1:]:
        paths = total[:, None] + rules[:-1]
        before.append(paths.argmax(0))
        total = paths.max(0) + own
    path = [int(total.argmax())]
    for previous in reversed(before):
        path.append(int(previous[path[-1]]))
    return np.array(path[::-1])


def decode(
    row_encoder: RowEncoder, encoded: EncodedRows, probabilities: Sequence[np.ndarray], how: str = "greedy"
) -> list[Tagged]:
    """Tags sentences from the probabilities of their rows.

    Args:
        row_encoder: what made the rows.
        encoded: the rows of the sentences.
        probabilities: for every row an array of shape (length, labels).
        how: a key of `config.DECODERS`.

    Returns:
        One result per sentence. A word without pieces has the values of `unseen`.

    Raises:
        UserError: for an unknown decoder.
    """
    if how not in DECODERS:
        raise UserError(f"{setting('decode', how)}: expected one of {', '.join(DECODERS)}")
    labels = row_encoder.labels
    words = row_encoder.to_words(encoded, probabilities, unseen(labels))
    chosen = [best_labels(values) for values in words]
    if how == "viterbi":
        legal = legal_transitions(labels)
        for i in illegal(chosen, legal):
            chosen[i] = best_path(words[i], legal)
    return [
        Tagged([labels.names[i] for i in own], values[np.arange(len(own)), own])
        for own, values in zip(chosen, words, strict=True)
    ]


def illegal(chosen: Sequence[np.ndarray], legal: np.ndarray) -> np.ndarray:
    """The numbers of the sentences whose labels are not legal together."""
    after = np.concatenate([*chosen, np.zeros(0, int)])
    sentence = np.repeat(np.arange(len(chosen)), [len(own) for own in chosen])
    before = np.where(np.diff(sentence, prepend=-1) != 0, -1, np.roll(after, 1))
    return np.unique(sentence[~legal[before, after]])
