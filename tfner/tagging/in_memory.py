"""A tagger over a model in memory, such as one that was just trained.

Takes the function that computes the model's logits. Training and loading the model are left to others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfner.config import Config
from tfner.tagging.tagger import Head, RowTagger


class InMemoryTagger(RowTagger):
    """Tags with a function in memory.

    Args:
        logits: takes `input_ids` and `attention_mask`, int32, shape (batch, length), and returns logits, float32, shape (batch,
            length, labels), as a TensorFlow tensor.
        heads: what the model has for each task, all of its tasks or some.
        config: the settings of the training.
    """

    def __init__(self, logits: Callable[[np.ndarray, np.ndarray], Any], heads: Mapping[str, Head], config: Config):
        super().__init__(heads, config, f"the trained {config.variant}")
        self.logits: Any = logits

    def probabilities(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        self.check_open()
        logits, found = self.logits(input_ids, attention_mask), []
        for head in self.heads.values():
            found.append(tf.nn.softmax(logits[..., head.row_encoder.columns] / head.calibration.temperature))
        return tf.concat(found, -1).numpy()

    def close(self) -> None:
        super().close()
        self.logits = None
