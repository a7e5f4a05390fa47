"""How often the claims of `tfner.experiments` are wrong, and how often a true difference is found, in simulated comparisons.

    python benchmarks/simulate_claims.py [--comparisons 1000] [--models 2] [--seeds 2 3 5 10]

A comparison has several seeds of each model, and documents with as many entities as in the test split of CoNLL-2003 (231
documents, 24 entities on average). A run finds an entity if the sum of normal effects is positive: of the document and of the
entity, which all runs share, of the run, and of the run in the entity. The models are equal, or the first is better by 0.01
F1. `--models 3` compares three pairs, as with the three variants, and `--models 6` fifteen; the others are equal.

Printed are: the standard deviation of F1 between seeds; the share of equal pairs whose 95 % interval contains 0; the share of
comparisons with a claim between equal models; the share in which the true difference is found.
"""

from __future__ import annotations

import argparse

import numpy as np

from tfner.evaluation.scores import f1_of_counts
from tfner.experiments.claims import compare_pairs, mean_f1

DOCUMENTS, ENTITIES, QUALITY = 231, 24, 1.7
SAMPLES, SHUFFLES = 500, 999  # fewer than in a report, for the time


class Corpus:
    """Documents with numbers of entities and difficulties."""

    def __init__(self, generator: np.random.Generator, documents: int = DOCUMENTS):
        self.generator = generator
        self.gold = 1 + generator.poisson(generator.gamma(1.0, ENTITIES - 1, documents))
        self.ease = np.repeat(generator.normal(0, 0.4, documents), self.gold) + generator.normal(0, 1.4, self.gold.sum())

    def runs(self, seeds: int, between_seeds: float, quality: float = QUALITY) -> np.ndarray:
        """The counts of a model, shape (seeds, documents, 3): gold, predicted and correct entities."""
        effects = self.generator.normal(0, between_seeds, (seeds, 1)) + self.generator.normal(0, 0.5, (seeds, len(self.ease)))
        starts = np.cumsum(self.gold) - self.gold
        found = np.add.reduceat(quality + self.ease + effects > 0, starts, axis=1, dtype=np.int64)
        spurious = self.generator.binomial(self.gold - found, 0.9)
        return np.stack([np.broadcast_to(self.gold, found.shape), found + spurious, found], axis=-1)


def better_quality(between_seeds: float, difference: float = 0.01) -> float:
    """The quality with which a model is better by this difference of F1, found on many documents and seeds."""
    corpus = Corpus(np.random.default_rng(1), 5000)

    def mean(quality: float) -> float:
        corpus.generator = np.random.default_rng(2)
        return mean_f1(corpus.runs(20, between_seeds, quality))

    wanted, low, high = mean(QUALITY) + difference, QUALITY, QUALITY + 1
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if mean(middle) < wanted else (low, middle)
    return low


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=1000)
    parser.add_argument("--models", type=int, default=2, choices=range(2, 7))
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 5, 10])
    arguments = parser.parse_args()
    print("| seeds | F1 between seeds | interval contains 0 | false claims | 0.01 is found |")
    print("|---|---|---|---|---|")
    for between_seeds in (0.0, 0.03, 0.06, 0.12):
        better = better_quality(between_seeds)
        for seeds in arguments.seeds:
            deviations, contains, false, right = [], 0, 0, 0
            for number in range(arguments.comparisons):
                corpus = Corpus(np.random.default_rng([number, seeds]))
                equal = {name: corpus.runs(seeds, between_seeds) for name in "ABCDEF"[: arguments.models]}
                deviations += [f1_of_counts(counts.sum(axis=1)).std(ddof=1) for counts in equal.values()]
                claims = compare_pairs({n: dict(enumerate(c)) for n, c in equal.items()}, SAMPLES, SHUFFLES)
                interval = claims[0].interval or (0.0, 0.0)
                contains += interval[0] <= 0 <= interval[1]
                false += any(claim.holds for claim in claims)
                one_better = {**equal, "A": corpus.runs(seeds, between_seeds, better)}
                claims = compare_pairs({n: dict(enumerate(c)) for n, c in one_better.items()}, SAMPLES, SHUFFLES)
                right += any(claim.holds and {claim.one, claim.other} == {"A", "B"} and claim.one == "A" for claim in claims)
            shares = (f"{count / arguments.comparisons:.3f}" for count in (contains, false, right))
            print(f"| {seeds} | {np.mean(deviations):.4f} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
