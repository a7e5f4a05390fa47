"""What can be claimed about the difference between two models that were trained with several seeds.

Takes counts of entities by seed and document, int64, shape (seeds, documents, 3): gold, predicted and correct ones. Returns
intervals, p values and `Claim`s. Trainings and texts are not known here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
from scipy.special import stdtrit

from tfner.evaluation.scores import f1_of_counts

SAMPLES = 2000
"""Bootstrap samples of an interval."""
SHUFFLES = 9999
"""Shuffles of a test, so that the smallest p value is 0.0001."""
LEVEL = 0.05
"""The level of claims: intervals have 95 %, and adjusted p values must be below it."""
FEW = 3
"""Pairs of models up to which each has a sentence of its own."""
POWER = 0.8
"""The share of comparisons in which a difference should be found, for the number of seeds that it needs."""


@dataclass(frozen=True)
class Claim:
    """The comparison of two models.

    Attributes:
        one, other: their names; `one` has the higher mean F1, or comes first.
        seeds: the number of seeds that both were trained with.
        difference: the mean F1 of `one` minus that of `other`.
        interval: the 95 % interval of the difference, or None with one seed.
        p: the p value of the randomization test.
        adjusted_p: the same after Holm's correction for all pairs that are compared.
        needed: seeds with which this difference would be found with a probability of 80 %, or None if the test documents are
            too few for any number of seeds, or with one seed.
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
        """Whether a difference is claimed: the interval excludes 0, and the adjusted p value is below 0.05."""
        return self.interval is not None and self.interval[0] > 0 and self.adjusted_p < LEVEL

    def __str__(self) -> str:
        if self.interval is None:
            return f"{self.one} and {self.other}: no claim is possible with one seed."
        if self.holds:
            return f"{self.one} is better than {self.other}."
        more = (
            "the test documents are too few for a difference of this size, whatever the number of seeds"
            if self.needed is None
            else f"a difference of this size needs about {self.needed} seeds"
        )
        return f"{self.one} and {self.other}: no difference can be claimed ({more})."


def statements(claims: Sequence[Claim]) -> list[str]:
    """Claims as sentences. Where there are more than FEW, pairs without a claim share one."""
    told = [claim for claim in claims if claim.holds or len(claims) <= FEW]
    rest = len(claims) - len(told)
    whom = f"the other {rest} pairs" if told else f"any of the {rest} pairs"
    return [*map(str, told), *([f"No difference can be claimed for {whom}."] if rest else [])]


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
    found = []
    for names in combinations(counts, 2):
        common = sorted(set(counts[names[0]]) & set(counts[names[1]]))
        if not common:
            continue
        one, other = (np.stack([counts[name][s] for s in common]).astype(np.float64) for name in names)
        if mean_f1(one) < mean_f1(other):
            names, one, other = names[::-1], other, one
        several = len(common) > 1
        interval = difference_interval(one, other, samples, seed) if several else None
        p = randomization_test(one, other, shuffles, seed)
        needed = seeds_needed(one, other, samples, seed) if several else None
        found.append((*names, len(common), mean_f1(one) - mean_f1(other), interval, p, needed))
    adjusted = holm([pair[5] for pair in found])
    return [Claim(*pair[:6], adjusted_p, pair[6]) for pair, adjusted_p in zip(found, adjusted, strict=True)]


def mean_interval(counts: np.ndarray, samples: int = SAMPLES, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the mean F1 of one model (see `difference_interval`), within 0 and 1."""
    generator = np.random.default_rng(seed)
    documents = _document_draws(counts.shape[1], samples, generator)
    return _percentiles(np.clip(_bootstrap_means(counts, documents, generator, len(counts) - 1), 0, 1))


def difference_interval(one: np.ndarray, other: np.ndarray, samples: int = SAMPLES, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of the difference of mean F1, from a bootstrap of two levels: seeds, then documents.

    In each sample both models are scored on the same documents, drawn with replacement, and on seeds of their own. From n seeds
    n - 1 are drawn, which makes the variance between seeds unbiased (Rao & Wu 1988). The deviations that come from the seeds
    are widened as Student's t is wider than the normal distribution, because few seeds are a poor estimate of their variance;
    without this, more than 5 % of equal models are claimed to differ (`benchmarks/simulate_claims.py`). That a difference
    between models has to include their seeds is shown in Reimers & Gurevych 2017 (arXiv 1707.09861).
    """
    generator = np.random.default_rng(seed)
    documents = _document_draws(one.shape[1], samples, generator)
    means = [_bootstrap_means(counts, documents, generator, len(one) + len(other) - 2) for counts in (one, other)]
    return _percentiles(means[0] - means[1])


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


def seeds_needed(one: np.ndarray, other: np.ndarray, samples: int = SAMPLES, seed: int = 0) -> int | None:
    """The seeds with which a normal test at 5 % would find the observed difference with a probability of 80 %.

    The variance of the difference is that between documents, which more seeds do not change, plus that between seeds divided by
    their number. None if the first alone is too large.
    """
    difference = mean_f1(one) - mean_f1(other)
    normal = NormalDist()
    wanted = (difference / (normal.inv_cdf(1 - LEVEL / 2) + normal.inv_cdf(POWER))) ** 2
    documents = _document_draws(one.shape[1], samples, np.random.default_rng(seed))
    of_documents = float(np.var(_f1_of_draws(one, documents).mean(axis=1) - _f1_of_draws(other, documents).mean(axis=1)))
    of_seeds = sum(float(np.var(f1_of_counts(counts.sum(axis=1)), ddof=1)) for counts in (one, other))
    if wanted <= of_documents:
        return None
    return max(2, math.ceil(of_seeds / (wanted - of_documents)))


def _document_draws(documents: int, samples: int, generator: np.random.Generator) -> np.ndarray:
    """How often each document is drawn in each sample, float64, shape (samples, documents)."""
    return generator.multinomial(documents, np.full(documents, 1 / documents), size=samples).astype(np.float64)


def _f1_of_draws(counts: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """F1 of each seed in each sample of documents, shape (samples, seeds)."""
    return f1_of_counts(np.tensordot(documents, counts.transpose(1, 0, 2), 1))


def _bootstrap_means(counts: np.ndarray, documents: np.ndarray, generator: np.random.Generator, freedom: int) -> np.ndarray:
    """The mean F1 over drawn seeds in each sample of documents, shape (samples,), with the seeds' degrees of freedom."""
    values = _f1_of_draws(counts, documents)
    means: np.ndarray = values.mean(axis=1)
    seeds = len(counts)
    if seeds == 1:
        return means
    weights = generator.multinomial(seeds - 1, np.full(seeds, 1 / seeds), size=len(values)) / (seeds - 1)
    widening = float(stdtrit(freedom, 1 - LEVEL / 2)) / NormalDist().inv_cdf(1 - LEVEL / 2)
    drawn: np.ndarray = (values * weights).sum(axis=1)
    widened: np.ndarray = means + widening * (drawn - means)
    return widened


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, [100 * LEVEL / 2, 100 * (1 - LEVEL / 2)])
    return float(low), float(high)
