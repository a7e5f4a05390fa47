"""Scores of a tagged corpus: entity precision, recall and F1, accuracy, word-level confusions, an interval, as data and text.

In come gold and predicted tags, one sequence per sentence; out comes `Scores`. Sentences stay apart, so no entity ever
reaches across two of them. This module knows nothing of word pieces, models or pictures.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfner.folder import write_json
from tfner.labels import LabelSet, spans, split_tag
from tfner.terminal import table

Tags = Sequence[str]

INTERVAL_SAMPLES = 1000
"""Resamplings for an interval that is to be reported: the usual number for percentiles as far out as 2.5 and 97.5."""

_TABLE_WIDTH = 120  # characters; a confusion matrix that is wider becomes a list


@dataclass(frozen=True)
class Score:
    """Precision, recall and F1 (0 to 1) of `number` gold entities, `predicted` ones, and the `correct` among them.

    In plain tasks the entities are words. A share of nothing is 0, as in conlleval.
    """

    precision: float
    recall: float
    f1: float
    number: int
    predicted: int
    correct: int

    @classmethod
    def from_counts(cls, number: int, predicted: int, correct: int) -> Score:
        """precision = correct / predicted, recall = correct / number, and F1 their harmonic mean, in one fraction."""
        number, predicted, correct = int(number), int(predicted), int(correct)
        return cls(
            precision=correct / predicted if predicted else 0.0,
            recall=correct / number if number else 0.0,
            f1=2 * correct / (number + predicted) if number + predicted else 0.0,
            number=number,
            predicted=predicted,
            correct=correct,
        )


@dataclass(frozen=True, eq=False)
class Scores:
    """All that is known about how well a split was tagged.

    `overall` and `per_type` count entities as conlleval does, `strict` only those that start with `B-` (seqeval's
    strict IOB2 mode); for `plain` labels they count words, and `strict` equals `overall`. `accuracy` is the share
    of words whose tag is right. `confusion`: int64, shape (labels, labels), words by gold tag (rows) and predicted tag
    (columns), both in the order of `labels`: the model's, then those that only the tags hold. `interval`: the lower and
    upper end of overall F1, 95 %, or None.
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
        """The scores as what `json.dumps` takes; `from_json` makes the same scores of it."""
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
        """The scores that `to_json` wrote."""
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
    """Scores predicted tags against gold ones, both one sequence per sentence; `labels` is what the model knows.

    A tag outside `labels` counts like any other (a gold entity of a type unknown to the model is a missed one). With
    `interval_samples` above 0, F1 gets a bootstrap interval, repeatable by `seed`.

    Raises ValueError where the numbers of sentences or of words differ, UserError for a tag of no known scheme.
    """
    check_aligned(gold, predicted)
    names = _with_unknown(labels, gold, predicted)
    confusion = _confusion(gold, predicted, names)
    words, right = int(confusion.sum()), int(np.trace(confusion))
    if labels.plain:
        rows, columns, diagonal = confusion.sum(axis=1), confusion.sum(axis=0), confusion.diagonal()
        per_type = {name: Score.from_counts(*counts) for name, *counts in zip(names, rows, columns, diagonal, strict=True)}
        overall = strict = Score.from_counts(words, words, right)
        counts = [
            (len(g), len(p), sum(a == b for a, b in zip(g, p, strict=True))) for g, p in zip(gold, predicted, strict=True)
        ]
    else:
        by_type, counts = _entity_counts(gold, predicted)
        types = dict.fromkeys(split_tag(name)[1] for name in names)
        per_type = {name: Score.from_counts(*(c[name] for c in by_type)) for name in types if name}
        overall = Score.from_counts(*(c.total() for c in by_type))
        strict = Score.from_counts(*(c.total() for c in _entity_counts(gold, predicted, strict=True)[0]))
    return Scores(
        overall=overall,
        strict=strict,
        per_type=per_type,
        accuracy=right / words if words else 0.0,
        words=words,
        sentences=len(gold),
        confusion=confusion,
        labels=names,
        plain=labels.plain,
        interval=bootstrap_interval(counts, interval_samples, seed) if interval_samples and len(gold) else None,
    )


def read_scores(path: Path) -> dict[str, Scores]:
    """The scores of each split in a `scores.json`; empty where the file does not exist."""
    if not path.is_file():
        return {}
    return {split: Scores.from_json(value) for split, value in json.loads(path.read_text("utf-8")).items()}


def write_scores(path: Path, scores: Mapping[str, Scores]) -> None:
    """Writes the scores of each split."""
    write_json(path, {split: s.to_json() for split, s in scores.items()})


def check_aligned(gold: Sequence[Sequence], predicted: Sequence[Sequence]) -> None:
    """Raises ValueError, saying where, unless there are as many sentences on both sides and as many words in each."""
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} sentences have gold tags and {len(predicted)} predictions: every one needs both")
    for i, (g, p) in enumerate(zip(gold, predicted, strict=True)):
        if len(g) != len(p):
            raise ValueError(f"sentence {i} has {len(g)} gold tags and {len(p)} predictions: every word needs both")


def bootstrap_interval(
    counts: Sequence[Sequence[int]] | np.ndarray, samples: int = INTERVAL_SAMPLES, seed: int = 0
) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of F1 (Efron 1979), whole sentences drawn with replacement.

    `counts`: shape (sentences, 3), each sentence's gold, predicted and correct entities, at least one sentence.
    Two models whose intervals overlap may still differ: the interval is of one score, not of a difference.
    """
    counts = np.asarray(counts, np.float64)  # whole numbers stay exact, and the product below is a BLAS call
    generator = np.random.default_rng(seed)
    n = len(counts)
    totals = np.array([np.bincount(generator.integers(n, size=n), minlength=n) @ counts for _ in range(samples)])
    both = totals[:, 0] + totals[:, 1]
    f1 = np.divide(2 * totals[:, 2], both, out=np.zeros(samples), where=both > 0)
    low, high = np.percentile(f1, [2.5, 97.5])
    return float(low), float(high)


def all_one_class(predicted: Sequence[Tags]) -> str | None:
    """The label that every word got, if they all got the same one (how training fails in the study); otherwise None."""
    found = {tag for tags in predicted for tag in tags}
    return found.pop() if len(found) == 1 else None


def format_scores(scores: Scores) -> str:
    """The study's Figure 8 as text: a row per type that occurs, then overall and strict, accuracy, and the interval."""
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
    """Words by gold tag (rows) and predicted tag (columns); where that is too wide, the `limit` most frequent confusions."""
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
    """The model's labels, then the tags it does not know: B- and I- of a type together, types sorted."""
    unknown = {tag for side in sides for tags in side for tag in tags}.difference(labels.names)
    return labels.names + tuple(sorted(unknown, key=lambda tag: (tag,) if labels.plain else split_tag(tag)[::-1]))


def _confusion(gold: Sequence[Tags], predicted: Sequence[Tags], names: tuple[str, ...]) -> np.ndarray:
    """Counts of words, int64, shape (labels, labels): gold tags in rows, predicted ones in columns."""
    ids = {name: i for i, name in enumerate(names)}
    rows = np.array([ids[tag] for tags in gold for tag in tags], np.int64)
    columns = np.array([ids[tag] for tags in predicted for tag in tags], np.int64)
    return np.bincount(rows * len(names) + columns, minlength=len(names) ** 2).reshape(len(names), len(names))


def _entity_counts(
    gold: Sequence[Tags], predicted: Sequence[Tags], strict: bool = False
) -> tuple[tuple[Counter, Counter, Counter], list[tuple[int, int, int]]]:
    """Gold, predicted and correct entities, by type and by sentence. Correct: same type, same words."""
    by_type: tuple[Counter, Counter, Counter] = Counter(), Counter(), Counter()
    by_sentence = []
    for gold_tags, predicted_tags in zip(gold, predicted, strict=True):
        wanted, found = set(spans(gold_tags, strict)), set(spans(predicted_tags, strict))
        sides = wanted, found, wanted & found
        for counter, side in zip(by_type, sides, strict=True):
            counter.update(span.type for span in side)
        by_sentence.append(tuple(map(len, sides)))
    return by_type, by_sentence
