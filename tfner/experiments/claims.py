"""What can be claimed about the difference between two models that were trained with several seeds.

Takes counts of entities by seed and document, int64, shape (seeds, documents, 3): gold, predicted and correct ones. Returns
intervals, p values and `Claim`s. Trainings and texts are not known here.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import NormalDist

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

from tfner.evaluation.scores import f1_of_counts

SAMPLES = 2000
"""Bootstrap samples of documents."""
SHUFFLES = 9999
"""Shuffles of a test, so that the smallest p value is 0.0001."""
LEVEL = 0.05
"""The level of claims: intervals have 95 %, and adjusted p values must be below it."""
FEW = 3
"""Pairs of models up to which each has a sentence of its own."""
POWER = 0.8
"""The share of comparisons in which a difference should be found, for the number of seeds that it needs."""
_LEAST = 1e-9
"""The smallest p value of an estimate."""


@dataclass(frozen=True)
class Claim:
    """The comparison of two models.

    Attributes:
        one, other: their names; `one` has the higher mean F1, or comes first.
        seeds: the number of seeds that both were trained with.
        difference: the mean F1 of `one` minus that of `other`.
        interval: the 95 % interval of the difference, or None with one seed.
        p: the p value of the randomization test.
        adjusted_p: the larger of `p` and the p value that belongs to the interval, after Holm's correction for all pairs that
            are compared.
        needed: seeds with which this difference would be found with a probability of 80 %, or None if the test split is too
            small for any number of seeds, with one seed, and where the difference is 0.
    """

    one: str
    other: str
    seeds: int
    difference: float
    interval: tuple[float, float] | None
    p: float
    adjusted_p: float
    needed: int | None

    @property
    def holds(self) -> bool:
        """Whether a difference is claimed: interval and randomization test exclude chance, corrected for all pairs."""
        return self.interval is not None and self.adjusted_p < LEVEL

    def __str__(self) -> str:
        if self.interval is None:
            return f"{self.one} and {self.other}: no claim is possible with one seed."
        if self.holds:
            return f"{self.one} is better than {self.other}."
        if not self.difference:
            return f"{self.one} and {self.other}: no difference can be claimed (their mean F1 is the same)."
        more = (
            "the test split is too small for a difference of this size, whatever the number of seeds"
            if self.needed is None
            else f"a difference of this size needs about {self.needed:,} seeds"
        )
        return f"{self.one} and {self.other}: no difference can be claimed ({more})."


def statements(claims: Sequence[Claim], apart: Sequence[tuple[str, str]] = ()) -> list[str]:
    """Claims as sentences. Where there are more than FEW, pairs without a claim share one.

    Args:
        claims: the claims.
        apart: pairs of models that have no seed in common.
    """
    told = [claim for claim in claims if claim.holds or len(claims) <= FEW]
    rest = len(claims) - len(told)
    whom = f"the other {rest} pairs" if told else f"any of the {rest} pairs"
    alone = [f"{one} and {other} are not compared: they have no finished seed in common." for one, other in apart]
    return [*map(str, told), *([f"No difference can be claimed for {whom}."] if rest else []), *alone]


def mean_f1(counts: np.ndarray) -> float:
    """The mean over seeds of F1 on all documents."""
    return float(f1_of_counts(counts.sum(axis=1)).mean())


def compare_pairs(
    counts: Mapping[str, Mapping[int, np.ndarray]], samples: int = SAMPLES, shuffles: int = SHUFFLES, seed: int = 0
) -> list[Claim]:
    """Compares every pair of models on the seeds that both were trained with.

    Args:
        counts: by model and seed the counts, shape (documents, 3), of the same documents in the same order.
        samples, shuffles: the numbers of bootstrap samples and of shuffles.
        seed: the seed of their draws.
    """
    common = {pair: sorted(set(counts[pair[0]]) & set(counts[pair[1]])) for pair in combinations(counts, 2)}
    common = {pair: seeds for pair, seeds in common.items() if seeds}
    claims, largest = [], []
    for names, seeds in common.items():
        one, other = (np.stack([counts[name][s] for s in seeds]).astype(np.float64) for name in names)
        if mean_f1(one) < mean_f1(other):
            names, one, other = names[::-1], other, one
        p = randomization_test(one, other, shuffles, seed)
        interval, needed, p_of_interval = None, None, 0.0
        if len(seeds) > 1:
            estimate = estimate_difference(one, other, samples, seed)
            interval, p_of_interval, needed = estimate.interval, estimate.p, seeds_needed(estimate, len(common))
        largest.append(max(p, p_of_interval))
        claims.append(Claim(*names, len(seeds), mean_f1(one) - mean_f1(other), interval, p, 1.0, needed))
    return [replace(claim, adjusted_p=p) for claim, p in zip(claims, holm(largest), strict=True)]


@dataclass(frozen=True)
class Estimate:
    """A mean F1, or a difference of two.

    Attributes:
        value: the estimate.
        of_documents: its variance because of the documents.
        of_seeds: its variance because of the seeds.
        freedom: the degrees of freedom of the latter.
        seeds: the number of seeds.
        of_both: what single seeds make of single documents, which is part of both variances.
    """

    value: float
    of_documents: float
    of_seeds: float
    freedom: float
    seeds: int = 1
    of_both: float = 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        half = self._half_width(LEVEL)
        return self.value - half, self.value + half

    @property
    def p(self) -> float:
        """The two-sided p value of the value 0: the level at which the interval ends there. At least 1e-9."""
        if self._half_width(_LEAST) <= abs(self.value):
            return _LEAST if self.value else 1.0
        return float(brentq(lambda level: self._half_width(level) - abs(self.value), _LEAST, 1.0))

    def _half_width(self, level: float) -> float:
        normal = NormalDist().inv_cdf(1 - level / 2)
        student = float(stdtrit(self.freedom, 1 - level / 2)) if self.of_seeds else 0.0
        return math.sqrt(normal**2 * self.of_documents + student**2 * self.of_seeds)


def mean_interval(counts: np.ndarray, samples: int = SAMPLES, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the mean F1 of one model (see `estimate_difference`), within 0 and 1."""
    low, high = _estimate([counts], samples, seed).interval
    return max(0.0, low), min(1.0, high)


def estimate_difference(one: np.ndarray, other: np.ndarray, samples: int = SAMPLES, seed: int = 0) -> Estimate:
    """The difference of mean F1, with its variance on two levels: documents and seeds.

    The variance between documents comes from a bootstrap, in which both models are scored on the same documents, drawn with
    replacement. That between seeds is the sum of both models' own, as a bootstrap that draws n - 1 of n seeds has it (Rao & Wu
    1988). A few seeds are a poor estimate of it, which Student's t allows for, with Welch's degrees of freedom; without this,
    more than 5 % of equal models are claimed to differ (`benchmarks/simulate_claims.py`). That a difference between models has
    to include their seeds is shown in Reimers & Gurevych 2017 (arXiv 1707.09861).
    """
    return _estimate([one, other], samples, seed)


def _estimate(models: Sequence[np.ndarray], samples: int, seed: int) -> Estimate:
    """The mean F1 of the first model, minus that of the second if there is one."""
    documents = _document_draws(models[0].shape[1], samples, np.random.default_rng(seed))
    values = [f1_of_counts(np.tensordot(documents, counts.transpose(1, 0, 2), 1)) for counts in models]  # (samples, seeds)
    means = [of_model.mean(axis=1) for of_model in values]
    difference = means[0] - sum(means[1:])
    seeds = len(models[0])
    own = (of_model - mean[:, None] for of_model, mean in zip(values, means, strict=True))
    of_both = sum(float(one.var(axis=0).sum()) for one in own) / max(1, seeds - 1) / seeds
    variances = [_variance_of_seeds(counts) / seeds if seeds > 1 else 0.0 for counts in models]
    total, squares = sum(variances), sum(variance**2 for variance in variances)
    freedom = (seeds - 1) * total**2 / squares if squares else math.inf
    value = mean_f1(models[0]) - sum(map(mean_f1, models[1:]))
    return Estimate(value, float(difference.var()), total, freedom, seeds, of_both)


def randomization_test(one: np.ndarray, other: np.ndarray, shuffles: int = SHUFFLES, seed: int = 0) -> float:
    """The two-sided p value of an approximate randomization test over documents (Noreen 1989; Yeh 2000; Dror et al. 2018).

    In each shuffle the models swap their answers to a document, all seeds together, with probability 1/2. The p value is the
    share of shuffles, the observed one included, whose difference of mean F1 is at least as large as the observed one.
    """
    generator = np.random.default_rng(seed)
    observed = abs(mean_f1(one) - mean_f1(other))
    change = (other - one).transpose(1, 0, 2)
    total_one, total_other = one.sum(axis=1), other.sum(axis=1)
    extreme = 0
    for some in np.array_split(np.arange(shuffles), -(-shuffles // 1000)):
        swaps = generator.integers(2, size=(len(some), one.shape[1])).astype(np.float64)
        moved = np.tensordot(swaps, change, 1)
        differences = f1_of_counts(total_one + moved).mean(axis=1) - f1_of_counts(total_other - moved).mean(axis=1)
        extreme += int((np.abs(differences) >= observed - 1e-12).sum())
    return (extreme + 1) / (shuffles + 1)


def holm(ps: Sequence[float]) -> list[float]:
    """The p values of several tests, adjusted so that the probability of any false claim stays below the level (Holm 1979)."""
    adjusted = [0.0] * len(ps)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = highest
    return adjusted


def seeds_needed(difference: Estimate, pairs: int = 1) -> int | None:
    """The seeds with which the interval, corrected for `pairs` pairs, would exclude 0 in 80 % of comparisons.

    The variance of the difference is that between documents, which more seeds do not change, plus that between seeds divided by
    their number. None if the first alone is too large, above a million, and where there is no difference.
    """
    if difference.value <= 0:
        return None
    documents = max(0.0, difference.of_documents - difference.of_both)

    def found(seeds: int) -> bool:
        of_seeds = difference.of_seeds * difference.seeds / seeds
        freedom = difference.freedom * (seeds - 1) / (difference.seeds - 1)
        then = replace(difference, of_documents=documents, of_seeds=of_seeds, freedom=freedom)
        spread = NormalDist().inv_cdf(POWER) * math.sqrt(documents + of_seeds)
        return then._half_width(LEVEL / pairs) + spread <= difference.value

    seeds = range(2, 10**6)
    number = bisect_left(seeds, True, key=found)
    return seeds[number] if number < len(seeds) else None


def _variance_of_seeds(counts: np.ndarray) -> float:
    """The variance of F1 between seeds."""
    return float(np.var(f1_of_counts(counts.sum(axis=1)), ddof=1))


def _document_draws(documents: int, samples: int, generator: np.random.Generator) -> np.ndarray:
    """How often each document is drawn in each sample, float64, shape (samples, documents)."""
    return generator.multinomial(documents, np.full(documents, 1 / documents), size=samples).astype(np.float64)
