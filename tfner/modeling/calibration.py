"""What makes scores of a model say how often it is right: a temperature, and the scores from which entities are accepted.

`training.calibrate` finds both on validation sentences. Taggers and the exported graph use them.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfner.folder import read_json

LEAST = float(np.finfo(np.float32).tiny)
"""The least score of a word with pieces, and what a probability of 0 is taken for, whose logarithm is infinite."""


@dataclass(frozen=True)
class Calibration:
    """A temperature and thresholds.

    Attributes:
        temperature: logits are divided by it before softmax (Guo et al. 2017, arXiv:1706.04599). It changes scores, not tags.
        thresholds: for each type the score from which an entity is accepted, or None where none is; without thresholds, every
            entity is accepted.
        min_precision: the precision that the thresholds were found for, or None.
    """

    temperature: float = 1.0
    thresholds: Mapping[str, float | None] | None = None
    min_precision: float | None = None

    def least(self, kind: str) -> float:
        """The score from which entities of a type are accepted: infinite where none is, and never 0 (see `decoding.unseen`)."""
        found = 0.0 if self.thresholds is None else self.thresholds.get(kind)
        return math.inf if found is None else max(found, LEAST)

    def accepts(self, kind: str, score: float) -> bool:
        """Whether an entity with this type and score is accepted."""
        return score >= self.least(kind)

    def to_values(self) -> dict[str, Any]:
        """The attributes, for JSON."""
        return asdict(self)

    @classmethod
    def from_values(cls, values: Any) -> Calibration:
        """What `to_values` returned. Raises ValueError for something else."""
        try:
            found = cls(**values)
            thresholds = {} if found.thresholds is None else found.thresholds
            numbers = [value for value in (*thresholds.values(), found.min_precision) if value is not None]
            known = all(type(value) in (int, float) and math.isfinite(value) for value in (found.temperature, *numbers))
        except (TypeError, AttributeError):
            known = False
        if not known or found.temperature <= 0:
            raise ValueError(f"expected a temperature and thresholds, found {reprlib.repr(values)}")
        return found


UNCALIBRATED = Calibration()
"""Scores as the model gives them, and every entity accepted."""


def read_calibration(path: Path) -> Calibration:
    """The calibration in a file; a model of an earlier version has none. Raises OSError or ValueError for a damaged file."""
    return Calibration.from_values(read_json(path)) if path.is_file() else UNCALIBRATED
