"""A tagger over a model in memory, such as one that was just trained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfner.config import Config
from tfner.modeling.rows import RowEncoder
from tfner.tagging.tagger import RowTagger


class InMemoryTagger(RowTagger):
    """Tags with a function in memory.

    Args:
        logits: from `input_ids` and `attention_mask`, int32, shape (batch, length), to logits, float32, shape (batch, length,
            labels), as a TensorFlow tensor.
        row_encoder: alignment, label set and row length.
        config: the settings of the training.
    """

    def __init__(self, logits: Callable, row_encoder: RowEncoder, config: Config):
        super().__init__(row_encoder, config, f"the trained {config.variant}")
        self.logits = logits

    def probabilities(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        return tf.nn.softmax(self.logits(input_ids, attention_mask)).numpy()
