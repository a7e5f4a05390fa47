"""Claims: exact on examples that can be counted by hand, and right as often as they say on simulated models."""

import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import ttest_ind

from tfner.evaluation.scores import f1_of_counts
from tfner.experiments.claims import (
    Claim,
    Estimate,
    compare_pairs,
    estimate_difference,
    holm,
    mean_f1,
    mean_interval,
    randomization_test,
    seeds_needed,
    statements,
)


def runs(generator, seeds, documents=60, share=0.85, between_seeds=0.0):
    """The counts of a model: each document has 10 entities, which the model finds with probability `share` and no others."""
    shares = np.clip(share + generator.normal(0, between_seeds, (seeds, 1)), 0, 1)
    gold = np.full((seeds, documents), 10)
    found = generator.binomial(10, shares, (seeds, documents))
    return np.stack([gold, gold, found], axis=-1)


def by_seed(counts):
    return dict(enumerate(counts))


def test_f1_of_counts_is_the_harmonic_mean_and_0_without_entities():
    np.testing.assert_allclose(f1_of_counts(np.array([[10, 5, 4], [0, 0, 0], [3, 0, 0]])), [8 / 15, 0, 0])


def test_the_mean_is_that_of_the_seeds_and_not_of_their_entities_together():
    counts = np.array([[[4, 4, 4], [4, 4, 0]], [[4, 12, 2], [4, 4, 2]]])
    assert mean_f1(counts) == pytest.approx((8 / 16 + 8 / 24) / 2)


def test_holm_multiplies_by_the_number_of_tests_left_and_never_falls():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_randomization_test_approaches_the_enumeration_of_all_swaps(seeds):
    generator = np.random.default_rng(4)
    one, other = runs(generator, seeds, 7, 0.75), runs(generator, seeds, 7, 0.7)
    observed = abs(mean_f1(one) - mean_f1(other))
    extreme = []
    for swaps in product((False, True), repeat=7):
        swap = np.array(swaps)[:, None]
        extreme.append(abs(mean_f1(np.where(swap, other, one)) - mean_f1(np.where(swap, one, other))) >= observed - 1e-12)
    exact = np.mean(extreme)
    assert 0.02 < exact < 0.98
    assert randomization_test(one, other, 40000) == pytest.approx(exact, abs=0.01)


def test_the_smallest_p_value_counts_the_observed_difference_itself():
    generator = np.random.default_rng(0)
    assert randomization_test(runs(generator, 2, share=0.95), runs(generator, 2, share=0.3), 999) == pytest.approx(0.001)


def test_the_interval_of_a_difference_is_the_same_for_models_in_the_other_order_with_the_sign_changed():
    generator = np.random.default_rng(1)
    one, other = runs(generator, 5, share=0.9), runs(generator, 5, share=0.8)
    low, high = estimate_difference(one, other).interval
    assert 0 < low < mean_f1(one) - mean_f1(other) < high
    assert estimate_difference(other, one).interval == pytest.approx((-high, -low), abs=0.01)


def test_the_interval_is_wider_with_seeds_that_differ_and_with_fewer_documents():
    def width(seed, **options):
        low, high = mean_interval(runs(np.random.default_rng(seed), 5, **options))
        return high - low

    assert width(2, between_seeds=0.05) > 2 * width(2)
    assert width(2, documents=15) > 1.4 * width(2)


def test_with_one_seed_there_is_no_interval_and_no_claim():
    generator = np.random.default_rng(3)
    claims = compare_pairs({"a": by_seed(runs(generator, 1, share=0.9)), "b": by_seed(runs(generator, 1, share=0.5))})
    assert claims[0].interval is None
    assert not claims[0].holds
    assert "one seed" in str(claims[0])


def test_a_clear_difference_is_claimed_and_the_better_model_named_first():
    generator = np.random.default_rng(3)
    (claim,) = compare_pairs({"a": by_seed(runs(generator, 5, share=0.5)), "b": by_seed(runs(generator, 5, share=0.9))})
    assert (claim.one, claim.other) == ("b", "a")
    assert claim.holds
    assert str(claim) == "b is better than a."


def test_a_claim_needs_the_interval_besides_the_test():
    generator = np.random.default_rng(1)
    one, other = (
        np.concatenate([runs(generator, 1, share=share) for share in of_seed]) for of_seed in ((0.95, 0.85), (0.88, 0.8))
    )
    (claim,) = compare_pairs({"a": by_seed(one), "b": by_seed(other)})
    assert claim.p < 0.001  # these two seeds do differ, which says nothing of others
    assert claim.interval[0] < 0 < claim.interval[1]
    assert not claim.holds


def test_the_p_value_of_an_estimate_is_that_of_its_interval():
    of_seeds = Estimate(0.02, 0, 1e-4, 4)
    assert of_seeds.interval == pytest.approx((0.02 - 0.02776, 0.02 + 0.02776), abs=1e-5)  # t of 0.975 is 2.776, from tables
    assert of_seeds.p == pytest.approx(0.1161, abs=1e-4)  # of t = 2
    of_documents = Estimate(-0.02, 1e-4, 0, math.inf)
    assert of_documents.interval == pytest.approx((-0.02 - 0.0196, -0.02 + 0.0196), abs=1e-5)
    assert of_documents.p == pytest.approx(0.0455, abs=1e-4)
    both = Estimate(math.hypot(0.0196, 0.02776), 1e-4, 1e-4, 4)
    assert both.interval[0] == pytest.approx(0, abs=1e-5)
    assert both.p == pytest.approx(0.05, abs=1e-4)
    assert (Estimate(0.0, 0, 0, math.inf).p, Estimate(0.1, 0, 0, math.inf).p) == (1, 1e-9)


def test_degrees_of_freedom_are_those_of_welch():
    generator = np.random.default_rng(2)
    one, other = (runs(generator, 3, between_seeds=spread) for spread in (0.05, 0.02))
    f1 = [f1_of_counts(counts.sum(axis=1)) for counts in (one, other)]
    found = estimate_difference(one, other)
    welch = ttest_ind(*f1, equal_var=False)
    assert found.freedom == pytest.approx(welch.df)
    assert Estimate(found.value, 0, found.of_seeds, found.freedom).p == pytest.approx(welch.pvalue)
    equal = [np.repeat(runs(generator, 1), 3, axis=0) for _ in range(2)]
    assert estimate_difference(*equal).of_seeds == pytest.approx(0)


def test_only_seeds_that_both_models_have_are_compared():
    generator = np.random.default_rng(5)
    one, other = runs(generator, 4), runs(generator, 4)
    claims = compare_pairs({"a": {0: one[0], 2: one[2], 3: one[3]}, "b": {1: other[1], 2: other[2], 3: other[3]}})
    assert claims == compare_pairs({"a": by_seed(one[2:]), "b": by_seed(other[2:])})
    assert claims[0].seeds == 2


def test_three_pairs_are_corrected_together():
    generator = np.random.default_rng(6)
    counts = {name: runs(generator, 3) for name in "abc"}
    claims = compare_pairs({name: by_seed(own) for name, own in counts.items()})
    of_intervals = [estimate_difference(counts[c.one], counts[c.other]).p for c in claims]
    assert [c.adjusted_p for c in claims] == holm([max(c.p, p) for c, p in zip(claims, of_intervals, strict=True)])


def test_the_seeds_needed_suffice():
    """What single seeds make of single documents averages out over seeds, so it is not a lack of documents."""
    generator = np.random.default_rng(9)
    one, other = runs(generator, 3, 60, 0.85), runs(generator, 3, 60, 0.83)
    needed = seeds_needed(estimate_difference(one, other))
    assert needed is not None
    found = 0
    for _ in range(20):
        models = {name: by_seed(runs(generator, 4 * needed, 60, share)) for name, share in (("a", 0.85), ("b", 0.83))}
        found += compare_pairs(models, 300, 299)[0].holds
    assert found >= 14


def test_few_seeds_need_more_than_the_normal_distribution_says():
    """Normal, two seeds would do: 0.01 / (1.96 + 0.84) is more than 0.003. Student's t of two seeds of each alone is 4.30."""
    assert seeds_needed(Estimate(0.01, 0.0, 0.003**2, freedom=2, seeds=2)) == 3


def test_a_small_difference_needs_more_seeds_and_none_cannot_be_found():
    generator = np.random.default_rng(7)
    one = runs(generator, 5, 400, 0.85, between_seeds=0.02)
    others = [runs(generator, 5, 400, 0.85 - less, between_seeds=0.02) for less in (0.06, 0.025)]
    larger, smaller = (seeds_needed(estimate_difference(one, other)) for other in others)
    assert larger is not None
    assert smaller is not None
    assert 2 <= larger < smaller
    assert seeds_needed(estimate_difference(one, one)) is None


def test_models_with_the_same_answers_need_no_seeds():
    """Such as two that have collapsed."""
    nothing = np.tile([10, 0, 0], (5, 60, 1))
    (claim,) = compare_pairs({"a": by_seed(nothing), "b": by_seed(nothing)}, 200, 99)
    assert claim.needed is None
    assert str(claim) == "a and b: no difference can be claimed (their mean F1 is the same)."


def test_equal_models_are_rarely_claimed_to_differ_and_a_true_difference_is_found():
    """benchmarks/simulate_claims.py has the shares of 1,000 comparisons."""
    false = found = contains = 0
    for number in range(100):
        generator = np.random.default_rng([8, number])
        one, equal, worse = (runs(generator, 5, 60, share, 0.01) for share in (0.85, 0.85, 0.78))
        claims = [compare_pairs({"a": by_seed(one), "b": by_seed(b)}, 500, 499)[0] for b in (equal, worse)]
        false += claims[0].holds
        contains += claims[0].interval[0] <= 0 <= claims[0].interval[1]
        found += claims[1].holds and claims[1].one == "a"
    assert false <= 8  # with a probability of 5 % more than 9 occur once in 35 times
    assert contains >= 90
    assert found >= 80


def test_many_pairs_without_a_claim_share_a_sentence():
    def claim(name, p):
        return Claim(name, "b", 5, 0.02, (-0.01, 0.05), 0.01, p, 7)

    assert statements([claim("a", 0.01)] + [claim("c", 0.06)] * 4) == [
        "a is better than b.",
        "No difference can be claimed for the other 4 pairs.",
    ]
    assert statements([claim("c", 0.06)] * 4) == ["No difference can be claimed for any of the 4 pairs."]
    assert statements([], [("a", "b")]) == ["a and b are not compared: they have no finished seed in common."]
    assert statements([claim("c", 0.06)]) == [
        "c and b: no difference can be claimed (a difference of this size needs about 7 seeds)."
    ]
