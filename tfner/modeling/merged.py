"""Merges the labels of a checkpoint's classification layer into fewer ones.

Takes the logits of the layer and returns those of the merged labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras


class Merged(keras.layers.Layer):
    """Merges labels, such as B- and S- of BIOES into B-, and I- and E- into I-.

    The probability of a merged label is the sum of the probabilities of its source labels. A label without source labels has
    probability 0.

    Args:
        numbers: for each merged label, the ids of its source labels.
    """

    _NEVER = -1e4

    def __init__(self, numbers: Sequence[Sequence[int]], **options: Any):
        super().__init__(**options)
        self.numbers = [list(some) for some in numbers]

    def call(self, logits: tf.Tensor) -> tf.Tensor:
        """Logits, float32, shape (batch, length, labels), from logits of shape (batch, length, source labels)."""
        parts = [
            tf.reduce_logsumexp(tf.gather(logits, some, axis=-1), -1) if some else tf.fill(tf.shape(logits)[:-1], self._NEVER)
            for some in self.numbers
        ]
        return tf.stack(parts, -1)
