"""The learning rate of every step, as a share of its peak, and the number of epochs.

Takes the steps of an epoch and the scores of the epochs; needs no TensorFlow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

AUTO_WARMUP_EPOCHS = 3
"""With `--epochs auto`, the rate rises for as many steps as it would in a training of this many epochs."""
AUTO_PATIENCE = 1
"""Epochs without improvement before the rate falls with `--epochs auto`."""
AUTO_MOST_EPOCHS = 60
"""The cooldown begins after this epoch at the latest."""


HIGHEST_RATE, HIGHEST_NEW_RATE = 2e-3, 1e-2
"""The highest learning rates of an encoder and of new layers that follow from the encoder's width."""


def default_rates(width: int) -> tuple[float, float]:
    """The peak learning rates of an encoder whose hidden states have this width, and of new layers on it.

    The first is the usual 5e-5 at a width of 768 (Devlin et al. 2019) and falls with the square of the width. The second falls
    with the width above 384, because the logits change by a step in proportion to both (Yang et al., arXiv:2203.03466). At 384
    (MiniLM) both were measured (`benchmarks/sweep`); elsewhere they are a conjecture.
    """
    return min(HIGHEST_RATE, 5e-5 * (768 / width) ** 2), min(HIGHEST_NEW_RATE, HIGHEST_NEW_RATE * 384 / width)


class Schedule(Protocol):
    """How long a training lasts, and its learning rate."""

    def share(self, step: int) -> float:
        """The rate in a step, counted from 0 over all epochs, as a share of the peak: from 0 to 1."""
        ...

    def epochs(self, values: Sequence[float]) -> int | None:
        """The number of epochs, from one value for each epoch so far, of which more is better; None if it is not known yet."""
        ...


def best_epoch(values: Sequence[float]) -> int:
    """The epoch with the highest value, the first of equal ones, counted from 1; 0 if no epoch has a value."""
    best, at = -math.inf, 0
    for number, value in enumerate(values, start=1):
        if value > best:  # never, where it is NaN
            best, at = value, number
    return at


def stalled(values: Sequence[float], patience: int) -> int | None:
    """The epoch at which the values had not improved for `patience` epochs, or None if there is none yet."""
    numbers = range(1, len(values) + 1)
    return next((n for n in numbers if n - best_epoch(values[:n]) >= patience), None)


class FixedSchedule:
    """Rises linearly from 0 in `warmup` of the steps, then falls linearly to 0 at the last (Devlin et al. 2019).

    The training ends earlier after `patience` epochs without a better value.
    """

    def __init__(self, epochs: int, steps: int, warmup: float, patience: int):
        self._epochs, self._patience, self.total = epochs, patience, epochs * steps
        self.rise = round(self.total * warmup)

    def share(self, step: int) -> float:
        rise = (step + 1) / max(1, self.rise)
        fall = (self.total - step) / max(1, self.total - self.rise)
        return min(1.0, max(0.0, min(rise, fall)))

    def epochs(self, values: Sequence[float]) -> int:
        return stalled(values, self._patience) or self._epochs


class AdaptiveSchedule:
    """Keeps the rate until the validation score stops improving, then lets it fall to 0 (Stollenwerk, arXiv 2202.02617).

    The rate falls linearly over half as many epochs as it took to get there, rounded up.
    """

    def __init__(self, steps: int, warmup: float):
        self.steps = steps
        self.rise = round(AUTO_WARMUP_EPOCHS * steps * warmup)
        self._values: Sequence[float] = ()

    def share(self, step: int) -> float:
        rise = (step + 1) / max(1, self.rise)
        constant = self.constant_epochs(self._values)
        if constant is None:
            return min(1.0, rise)
        cooldown = cooldown_epochs(constant)
        fall = ((constant + cooldown) * self.steps - step) / (cooldown * self.steps)
        return min(1.0, max(0.0, min(rise, fall)))

    def epochs(self, values: Sequence[float]) -> int | None:
        self._values = values
        constant = self.constant_epochs(values)
        return None if constant is None else constant + cooldown_epochs(constant)

    @staticmethod
    def constant_epochs(values: Sequence[float]) -> int | None:
        """The number of epochs before the cooldown, or None if the score may still improve."""
        most = AUTO_MOST_EPOCHS if len(values) >= AUTO_MOST_EPOCHS else None
        return stalled(values[:AUTO_MOST_EPOCHS], AUTO_PATIENCE) or most


def cooldown_epochs(constant: int) -> int:
    """The epochs in which the rate falls, after `constant` epochs in which it does not."""
    return math.ceil(constant / 2)
