import math
from itertools import pairwise

import pytest

from tfner.training.schedule import (
    AUTO_MOST_EPOCHS,
    AUTO_PATIENCE,
    AdaptiveSchedule,
    FixedSchedule,
    best_epoch,
    cooldown_epochs,
    default_rates,
)

STEPS = 10


def shares(schedule, values, epochs):
    """The share of every step, if the epochs have these values one after the other."""
    found = []
    for epoch in range(epochs):
        schedule.epochs(values[:epoch])
        found += [schedule.share(epoch * STEPS + step) for step in range(STEPS)]
    return found


@pytest.mark.parametrize(
    ("step", "share"), [(0, 0.25), (1, 0.5), (3, 1.0), (4, 1.0), (5, 5 / 6), (9, 1 / 6), (10, 0.0), (25, 0.0)]
)
def test_the_rate_rises_for_four_of_ten_steps_and_falls_to_zero(step, share):
    assert FixedSchedule(2, 5, 0.4, 3).share(step) == pytest.approx(share)


def test_without_warmup_the_rate_starts_at_its_peak():
    assert [FixedSchedule(1, 4, 0.0, 3).share(i) for i in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_with_warmup_alone_the_rate_only_rises():
    assert [FixedSchedule(2, 2, 1.0, 3).share(i) for i in range(4)] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("warmup", [0.0, 0.14, 1.0])
def test_the_rate_is_never_negative_and_never_above_its_peak(warmup):
    values = [FixedSchedule(5, STEPS, warmup, 3).share(i) for i in range(80)]
    assert min(values) == 0.0 and max(values) == 1.0


@pytest.mark.parametrize(
    ("values", "best"),
    [([], 0), ([0.5], 1), ([-2.0, -1.0], 2), ([0.5, 0.5], 1), ([0.1, 0.3, 0.2, 0.3], 2), ([math.nan], 0), ([math.nan, 0.1], 2)],
)
def test_the_best_epoch_is_the_first_with_the_highest_value(values, best):
    assert best_epoch(values) == best


@pytest.mark.parametrize(
    ("values", "epochs"),
    [
        ([], 9),
        ([0.5, 0.4], 9),
        ([0.5, 0.4, 0.3], 3),
        ([0.5, 0.5, 0.5], 3),
        ([0.5, 0.4, 0.6, 0.5], 9),
        ([0.5, 0.4, 0.6, 0.5, 0.5], 5),
        ([math.nan, math.nan], 2),
    ],
)
def test_a_fixed_number_of_epochs_is_cut_short_after_some_without_a_better_value(values, epochs):
    assert FixedSchedule(9, STEPS, 0.1, 2).epochs(values) == epochs


def test_the_number_of_epochs_is_unknown_while_the_scores_improve():
    schedule = AdaptiveSchedule(STEPS, 0.1)
    assert [schedule.epochs(values) for values in ([], [0.1], [0.1, 0.2], [-3.0, -2.5, -2.0])] == [None] * 4


@pytest.mark.parametrize(
    ("values", "constant"),
    [([0.5, 0.4], 2), ([0.5, 0.5], 2), ([0.1, 0.2, 0.3, 0.25], 4), ([0.0, 0.0, 0.9], 2), ([0.1, math.nan], 2)],
)
def test_the_cooldown_begins_when_an_epoch_is_not_better_and_has_half_as_many_epochs(values, constant):
    assert AUTO_PATIENCE == 1  # what the values are chosen for
    schedule = AdaptiveSchedule(STEPS, 0.1)
    assert schedule.epochs(values) == constant + math.ceil(constant / 2)
    assert schedule.epochs([*values, 0.99, 0.98]) == constant + cooldown_epochs(constant)  # better scores later change nothing


def test_scores_that_improve_for_ever_are_cut_off():
    schedule = AdaptiveSchedule(STEPS, 0.1)
    values = list(range(AUTO_MOST_EPOCHS))
    assert schedule.epochs(values[:-1]) is None
    assert schedule.epochs(values) == AUTO_MOST_EPOCHS + cooldown_epochs(AUTO_MOST_EPOCHS)


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("values", [[0.5, 0.4, 0.6], [0.1, 0.2, 0.3, 0.2, 0.6, 0.7]])
def test_the_adaptive_rate_rises_stays_and_falls_without_a_jump(values, warmup):
    schedule = AdaptiveSchedule(STEPS, warmup)
    epochs = schedule.epochs(values)
    found = shares(schedule, values, epochs)
    assert all(0 < share <= 1 for share in found) and schedule.share(epochs * STEPS) == 0
    assert found[-1] <= 0.11
    rise = max(1, round(3 * STEPS * warmup))
    assert found[0] == pytest.approx(1 / rise)
    peak = found.index(max(found))
    assert all(a <= b for a, b in pairwise(found[: peak + 1])) and all(a >= b for a, b in pairwise(found[peak:]))
    steepest = max(1 / rise, 1 / STEPS)  # of the rise, and of a fall in one epoch
    assert warmup == 0 or max(abs(a - b) for a, b in pairwise(found)) <= steepest + 1e-9


def test_the_share_of_a_step_before_the_cooldown_is_what_it_was():
    schedule = AdaptiveSchedule(STEPS, 0.1)
    before = shares(schedule, [0.2, 0.3, 0.3], 3)
    schedule.epochs([0.2, 0.3, 0.3])
    assert [schedule.share(step) for step in range(3 * STEPS)] == before


@pytest.mark.parametrize(
    ("width", "rate", "new_rate"),
    [(768, 5e-5, 5e-3), (384, 2e-4, 1e-2), (1024, 2.8125e-5, 3.75e-3), (128, 1.8e-3, 1e-2), (16, 2e-3, 1e-2)],
)
def test_the_default_rates_fall_with_the_width_of_the_encoder(width, rate, new_rate):
    assert default_rates(width) == pytest.approx((rate, new_rate))
