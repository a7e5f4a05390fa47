"""A tagger over a model in memory, such as one that was just trained.

Takes the function that computes the model's logits. Training and loading the model are left to others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfner.config import Config
from tfner.modeling.calibration import UNCALIBRATED, Calibration
from tfner.modeling.rows import RowEncoder
from tfner.tagging.tagger import Head, RowTagger


class InMemoryTagger(RowTagger):
    """Tags with a function in memory, for one task.

    Args:
        logits: takes `input_ids` and `attention_mask`, int32, shape (batch, length), and returns logits, float32, shape (batch,
            length, labels), as a TensorFlow tensor. Those of other tasks are not used.
        row_encoder: encodes sentences as rows; it holds the label set and the row length.
        config: the settings of the training.
        calibration: the temperature, and which entities are accepted.
    """

    def __init__(
        self,
        logits: Callable[[np.ndarray, np.ndarray], Any],
        row_encoder: RowEncoder,
        config: Config,
        calibration: Calibration = UNCALIBRATED,
    ):
        super().__init__({config.task: Head(row_encoder, calibration)}, config, f"the trained {config.variant}")
        columns = row_encoder.columns
        self.logits: Any = logits if columns == slice(None) else lambda ids, mask: logits(ids, mask)[..., columns]

    def probabilities(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        self.check_open()
        return tf.nn.softmax(self.logits(input_ids, attention_mask) / self.calibration.temperature).numpy()

    def close(self) -> None:
        super().close()
        self.logits = None
