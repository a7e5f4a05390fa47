"""Labels that stand for several labels of a checkpoint's own classification layer.

Takes the logits of the layer and returns those of the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras


class Merged(keras.layers.Layer):
    """The logits of labels that stand for several others, as B- for B- and S- of BIOES, and I- for I- and E-.

    The probability of such a label is the sum of theirs. A label that stands for none has a probability of 0.

    Args:
        numbers: for each label the numbers of the labels that it stands for.
    """

    _NEVER = -1e4

    def __init__(self, numbers: Sequence[Sequence[int]], **options: Any):
        super().__init__(**options)
        self.numbers = [list(some) for some in numbers]

    def call(self, logits: tf.Tensor) -> tf.Tensor:
        """Logits, float32, shape (batch, length, labels), of logits of shape (batch, length, labels of the layer)."""
        parts = [
            tf.reduce_logsumexp(tf.gather(logits, some, axis=-1), -1) if some else tf.fill(tf.shape(logits)[:-1], self._NEVER)
            for some in self.numbers
        ]
        return tf.stack(parts, -1)
