"""Whether scores are probabilities: how often predictions with a certain score are right.

Takes scores and which of them are right; returns `Reliability`, which is also text. `plots` draws it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfner.evaluation.scores import check_aligned
from tfner.labels import labelled_spans
from tfner.terminal import table

BINS = 15
"""Bins of equal width from 0 to 1, as in Guo et al. 2017, arXiv:1706.04599."""


@dataclass(frozen=True)
class Reliability:
    """How scores and the share of right predictions go together, for each bin of scores.

    Attributes:
        counts: predictions in each bin.
        scores: their mean score; 0 where there are none.
        right: the share of them that is right; 0 where there are none.
    """

    counts: tuple[int, ...]
    scores: tuple[float, ...]
    right: tuple[float, ...]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean of |score - right| over bins, weighted by their counts."""
        counts = np.array(self.counts)
        gaps = np.abs(np.subtract(self.scores, self.right))
        return float((counts * gaps).sum() / max(1, counts.sum()))

    def to_json(self) -> dict[str, Any]:
        """The attributes and the error, for JSON."""
        return {"error": self.error, "counts": self.counts, "scores": self.scores, "right": self.right}


def reliability(scores: Sequence[float] | np.ndarray, right: Sequence[bool] | np.ndarray) -> Reliability:
    """The reliability of predictions.

    Args:
        scores: from 0 to 1, shape (predictions,).
        right: whether each prediction is right, shape (predictions,).
    """
    scores, right = np.asarray(scores, np.float64), np.asarray(right, np.float64)
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    sums = (np.bincount(bins, values, BINS) / np.maximum(1, counts) for values in (scores, right))
    return Reliability(tuple(counts.tolist()), *(tuple(values.tolist()) for values in sums))


def scored_words(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], probabilities: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The score of every word, and whether its tag is right. A score of 0 is that of a word without pieces, and left out."""
    for other in (predicted, probabilities):
        check_aligned(gold, other)
    right = [g == p for one, other in zip(gold, predicted, strict=True) for g, p in zip(one, other, strict=True)]
    scores = np.concatenate([np.zeros(0), *probabilities])
    return scores[scores > 0], np.array(right, bool)[scores > 0]


def scored_entities(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], probabilities: Sequence[np.ndarray], plain: bool
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Every predicted entity: its type, its score (the mean probability of its words), and whether it is right.

    With plain labels, every word is one, but for those without pieces.
    """
    for other in (predicted, probabilities):
        check_aligned(gold, other)
    kinds, scores, right = [], [], []
    for one, other, own in zip(gold, predicted, probabilities, strict=True):
        wanted = set(labelled_spans(one, plain))
        for span in labelled_spans(other, plain):
            if plain and not own[span.start]:
                continue
            kinds.append(span.type)
            scores.append(float(np.mean(own[span.start : span.end])))
            right.append(span in wanted)
    return kinds, np.array(scores), np.array(right, bool)


@dataclass(frozen=True)
class Accepted:
    """How many entities of a type are predicted, how many of these are accepted, and how many of those are right."""

    predicted: int
    accepted: int
    right: int


def count_accepted(
    kinds: Sequence[str], scores: np.ndarray, right: np.ndarray, accepts: Callable[[str, float], bool]
) -> dict[str, Accepted]:
    """The numbers for each type that is predicted, and for `overall`, from what `scored_entities` returns."""
    accepted = np.array([accepts(kind, score) for kind, score in zip(kinds, scores, strict=True)], bool)
    counts = {}
    for name in (*dict.fromkeys(sorted(kinds)), "overall"):
        own = np.array([name in (kind, "overall") for kind in kinds], bool)
        counts[name] = Accepted(*(int(some.sum()) for some in (own, own & accepted, own & accepted & right)))
    return counts


def accepted_table(counts: Mapping[str, Accepted]) -> str:
    """The numbers of `count_accepted` as a table, with the precision of what is accepted."""
    rows: list[tuple[object, ...]] = [("type", "predicted", "accepted", "precision of accepted")]
    for name, one in counts.items():
        rows.append((name, one.predicted, one.accepted, f"{one.right / one.accepted:.4f}" if one.accepted else "-"))
    return table(rows)
