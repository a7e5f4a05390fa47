"""Scores of predicted tags: entity precision, recall and F1, accuracy, a confusion matrix, an interval, as data and as text.

Takes gold and predicted tags, one sequence for each sentence, and returns `Scores`. Sentences are scored separately, so no
entity spans two of them. Precision, recall, F1 and accuracy of entities are seqeval's; our own spans count entities for the
bootstrap. Word pieces, models and plots are left to other modules.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence, Sized
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfner.folder import write_json
from tfner.labels import LabelSet, spans, split_tag
from tfner.terminal import table

Tags = Sequence[str]

INTERVAL_SAMPLES = 1000
"""Bootstrap samples for an interval that is reported: the usual number for the percentiles 2.5 and 97.5."""

_TABLE_WIDTH = 120  # characters; a wider confusion matrix is printed as a list


@dataclass(frozen=True)
class Score:
    """Precision, recall and F1 (0 to 1) of `number` gold entities and `predicted` ones, of which `correct` are correct.

    With plain labels, words are counted instead of entities. A share of nothing is 0, as in conlleval.
    """

    precision: float
    recall: float
    f1: float
    number: int
    predicted: int
    correct: int

    @classmethod
    def from_counts(cls, number: int, predicted: int, correct: int) -> Score:
        """The score of three counts: precision = correct / predicted, recall = correct / number, F1 = their harmonic mean."""
        number, predicted, correct = int(number), int(predicted), int(correct)
        return cls(
            precision=correct / predicted if predicted else 0.0,
            recall=correct / number if number else 0.0,
            f1=2 * correct / (number + predicted) if number + predicted else 0.0,
            number=number,
            predicted=predicted,
            correct=correct,
        )


NO_ENTITIES = Score.from_counts(0, 0, 0)
"""The score of nothing."""


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of a split.

    Attributes:
        overall, per_type: count entities as conlleval and seqeval's default mode do, or words for plain labels.
        strict: counts only entities that start with `B-`: seqeval's `mode="strict", scheme=IOB2`; equals `overall` for plain
            labels.
        accuracy: the share of words with the correct tag.
        words, sentences: their numbers.
        confusion: int64, shape (labels, labels), numbers of words; gold tags in rows, predicted tags in columns, both in the
            order of `labels`.
        labels: the labels of the model, then the tags that the model does not know.
        plain: True if the labels are not entities, such as POS tags.
        interval: the lower and upper end of the 95 % interval of the overall F1, or None.
    """

    overall: Score
    strict: Score
    per_type: Mapping[str, Score]
    accuracy: float
    words: int
    sentences: int
    confusion: np.ndarray
    labels: tuple[str, ...]
    plain: bool = False
    interval: tuple[float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """The scores as a value for `json.dumps`. `from_json` reads it back."""
        return {
            "overall": asdict(self.overall),
            "strict": asdict(self.strict),
            "per_type": {name: asdict(score) for name, score in self.per_type.items()},
            "accuracy": self.accuracy,
            "words": self.words,
            "sentences": self.sentences,
            "f1_interval": list(self.interval) if self.interval else None,
            "plain": self.plain,
            "confusion": {"labels": list(self.labels), "counts": self.confusion.tolist()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Scores:
        """The scores of a value that `to_json` returned."""
        labels = tuple(value["confusion"]["labels"])
        return cls(
            overall=Score(**value["overall"]),
            strict=Score(**value["strict"]),
            per_type={name: Score(**score) for name, score in value["per_type"].items()},
            accuracy=value["accuracy"],
            words=value["words"],
            sentences=value["sentences"],
            confusion=np.array(value["confusion"]["counts"], np.int64).reshape(len(labels), len(labels)),
            labels=labels,
            plain=value["plain"],
            interval=tuple(value["f1_interval"]) if value["f1_interval"] else None,
        )


def score(
    gold: Sequence[Tags], predicted: Sequence[Tags], labels: LabelSet, interval_samples: int = 0, seed: int = 0
) -> Scores:
    """Scores predicted tags against gold tags.

    Args:
        gold, predicted: one sequence of tags for each sentence. A tag that is not in `labels` is counted as any other: a gold
            entity of a type that the model does not know is missed.
        labels: the labels of the model.
        interval_samples: bootstrap samples for the interval of F1; 0 for no interval.
        seed: the seed of the bootstrap.

    Raises:
        ValueError: if the numbers of sentences or of words differ.
        UserError: for a tag of an unknown scheme.
    """
    from seqeval.metrics import accuracy_score  # imports scikit-learn, which takes a second

    gold, predicted = ([list(tags) for tags in side] for side in (gold, predicted))  # as seqeval takes them
    check_aligned(gold, predicted)
    names = _with_unknown(labels, gold, predicted)
    confusion = _confusion(gold, predicted, names)
    words = int(confusion.sum())
    if labels.plain:
        rows, columns, diagonal = confusion.sum(axis=1), confusion.sum(axis=0), confusion.diagonal()
        per_type = {name: Score.from_counts(*counts) for name, *counts in zip(names, rows, columns, diagonal, strict=True)}
        overall = strict = Score.from_counts(words, words, np.trace(confusion))
        counts = [
            (len(g), len(p), sum(a == b for a, b in zip(g, p, strict=True))) for g, p in zip(gold, predicted, strict=True)
        ]
    else:
        by_type, counts = _entity_counts(gold, predicted)
        types = [name for name in dict.fromkeys(split_tag(name)[1] for name in names) if name]
        per_type, overall, strict = _seqeval_scores(gold, predicted, types, by_type)
    return Scores(
        overall=overall,
        strict=strict,
        per_type=per_type,
        accuracy=float(accuracy_score(gold, predicted)) if words else 0.0,
        words=words,
        sentences=len(gold),
        confusion=confusion,
        labels=names,
        plain=labels.plain,
        interval=bootstrap_interval(counts, interval_samples, seed) if interval_samples and len(gold) else None,
    )


def read_scores(path: Path) -> dict[str, Scores]:
    """The scores of each split in a `scores.json`; empty if the file does not exist."""
    if not path.is_file():
        return {}
    return {split: Scores.from_json(value) for split, value in json.loads(path.read_text("utf-8")).items()}


def write_scores(path: Path, scores: Mapping[str, Scores]) -> None:
    """Writes the scores of each split."""
    write_json(path, {split: s.to_json() for split, s in scores.items()})


def check_aligned(gold: Sequence[Sized], predicted: Sequence[Sized]) -> None:
    """Raises ValueError, with the position, if the numbers of sentences or of words in a sentence differ."""
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} sentences have gold tags and {len(predicted)} predictions: every sentence needs both")
    for i, (g, p) in enumerate(zip(gold, predicted, strict=True)):
        if len(g) != len(p):
            raise ValueError(f"sentence {i} has {len(g)} gold tags and {len(p)} predictions: every word needs both")


def f1_of_counts(counts: np.ndarray) -> np.ndarray:
    """F1 of counts, shape (..., 3): 2 x correct / (gold + predicted), and 0 where there is no entity."""
    both = counts[..., 0] + counts[..., 1]
    shares: np.ndarray = np.divide(2 * counts[..., 2], both, out=np.zeros(both.shape), where=both > 0)
    return shares


def bootstrap_interval(
    counts: Sequence[Sequence[int]] | np.ndarray, samples: int = INTERVAL_SAMPLES, seed: int = 0
) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of F1 (Efron 1979). Whole sentences are drawn with replacement.

    The interval is that of one score, not of a difference: two models whose intervals overlap may still differ.

    Args:
        counts: shape (sentences, 3), the gold, predicted and correct entities of each sentence, at least one sentence.
        samples: the number of samples.
        seed: the seed of the draws.
    """
    counts = np.asarray(counts, np.float64)  # integers stay exact, and the product below is a BLAS call
    generator = np.random.default_rng(seed)
    n = len(counts)
    totals = np.array([np.bincount(generator.integers(n, size=n), minlength=n) @ counts for _ in range(samples)])
    low, high = np.percentile(f1_of_counts(totals), [2.5, 97.5])
    return float(low), float(high)


def all_one_class(predicted: Sequence[Tags]) -> str | None:
    """The label of all words if they all have the same one, as in the failed trainings of the study; otherwise None."""
    found = {tag for tags in predicted for tag in tags}
    return found.pop() if len(found) == 1 else None


def format_scores(scores: Scores) -> str:
    """The scores as the study's Figure 8 in text: a row for each type that occurs, overall and strict, accuracy, interval."""
    rows = [(name, s) for name, s in scores.per_type.items() if s.number or s.predicted]
    rows.append(("overall", scores.overall))
    if not scores.plain:
        rows.append(("strict", scores.strict))
    lines = [
        table(
            [("type", "precision", "recall", "f1", "number")]
            + [(name, *(f"{x:.4f}" for x in (s.precision, s.recall, s.f1)), s.number) for name, s in rows]
        ),
        "",
        f"accuracy {scores.accuracy:.4f} ({scores.words:,} words in {scores.sentences:,} sentences)",
    ]
    if scores.interval:
        lines.append("overall f1 lies between {:.4f} and {:.4f} (95 %, sentences resampled)".format(*scores.interval))
    return "\n".join(lines)


def format_confusion(scores: Scores, limit: int = 20) -> str:
    """The confusion matrix: gold tags in rows, predicted tags in columns. If it is too wide, the `limit` largest confusions."""
    rows = [["gold \\ predicted", *scores.labels]]
    rows += [[name, *counts] for name, counts in zip(scores.labels, scores.confusion.tolist(), strict=True)]
    text = table(rows)
    if max(map(len, text.splitlines())) <= _TABLE_WIDTH:
        return text
    wrong = scores.confusion - np.diag(scores.confusion.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    pairs = [divmod(int(i), len(scores.labels)) for i in order if wrong.flat[i]]
    of_gold = scores.confusion.sum(axis=1)
    shown = sum(int(wrong[pair]) for pair in pairs)
    return "\n".join(
        [
            table(
                [("gold", "predicted", "words", "of gold")]
                + [(scores.labels[g], scores.labels[p], wrong[g, p], f"{wrong[g, p] / of_gold[g]:.1%}") for g, p in pairs],
                left=2,
            ),
            f"{shown:,} of the {int(wrong.sum()):,} words with a wrong tag",
        ]
    )


def _with_unknown(labels: LabelSet, *sides: Sequence[Tags]) -> tuple[str, ...]:
    """The labels of the model, then the tags that it does not know, sorted by type, B- before I-."""
    unknown = {tag for side in sides for tags in side for tag in tags}.difference(labels.names)
    return labels.names + tuple(sorted(unknown, key=lambda tag: (tag,) if labels.plain else split_tag(tag)[::-1]))


def _confusion(gold: Sequence[Tags], predicted: Sequence[Tags], names: tuple[str, ...]) -> np.ndarray:
    """Numbers of words, int64, shape (labels, labels): gold tags in rows, predicted tags in columns."""
    ids = {name: i for i, name in enumerate(names)}
    rows = np.array([ids[tag] for tags in gold for tag in tags], np.int64)
    columns = np.array([ids[tag] for tags in predicted for tag in tags], np.int64)
    return np.bincount(rows * len(names) + columns, minlength=len(names) ** 2).reshape(len(names), len(names))


def _seqeval_scores(
    gold: Sequence[Tags], predicted: Sequence[Tags], types: Sequence[str], by_type: Sequence[Counter[str]]
) -> tuple[dict[str, Score], Score, Score]:
    """The scores of each type, of all types, and strictly of all types, as seqeval computes them."""
    from seqeval.metrics import sequence_labeling, v1
    from seqeval.scheme import IOB2

    per_type = dict.fromkeys(types, NO_ENTITIES)
    if not any(counter.total() for counter in by_type):  # seqeval fails without entities
        return per_type, NO_ENTITIES, NO_ENTITIES
    options: dict[str, Any] = {"zero_division": 0, "warn_for": ()}
    each = sequence_labeling.precision_recall_fscore_support(gold, predicted, average=None, **options)
    for name, *found in zip(sorted(name for name in types if any(c[name] for c in by_type[:2])), *each, strict=True):
        per_type[name] = _score(found, [counter[name] for counter in by_type])
    overall = sequence_labeling.precision_recall_fscore_support(gold, predicted, average="micro", **options)
    strict = v1.precision_recall_fscore_support(gold, predicted, average="micro", scheme=IOB2, **options)
    strict_counts = _entity_counts(gold, predicted, strict=True)[0]
    return per_type, _score(overall, [c.total() for c in by_type]), _score(strict, [c.total() for c in strict_counts])


def _score(found: Sequence[Any], counts: Sequence[int]) -> Score:
    """A score of seqeval's precision, recall and F1, and of our own three counts."""
    precision, recall, f1 = map(float, found[:3])
    return Score(precision, recall, f1, *counts)


def _entity_counts(
    gold: Sequence[Tags], predicted: Sequence[Tags], strict: bool = False
) -> tuple[tuple[Counter[str], Counter[str], Counter[str]], list[tuple[int, int, int]]]:
    """Gold, predicted and correct entities, by type and by sentence. A correct entity has the gold type and the gold words."""
    by_type: tuple[Counter[str], Counter[str], Counter[str]] = Counter(), Counter(), Counter()
    by_sentence = []
    for gold_tags, predicted_tags in zip(gold, predicted, strict=True):
        wanted, found = set(spans(gold_tags, strict)), set(spans(predicted_tags, strict))
        sides = wanted, found, wanted & found
        for counter, side in zip(by_type, sides, strict=True):
            counter.update(span.type for span in side)
        by_sentence.append((len(wanted), len(found), len(wanted & found)))
    return by_type, by_sentence
