"""The loss and the accuracy, under one rule: a position counts if and only if its label is not `IGNORED_LABEL`.

In go labels (batch, length) and logits (batch, length, labels); out come a sum over the counted positions and their number.
The attention mask plays no part: padding is ignored because its label is -100.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfner.labels import IGNORED_LABEL
from tfner.modeling.rows import Row


def _counted(labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where labels count, bool, and labels that are valid ids everywhere; both of the labels' shape."""
    counted = tf.not_equal(labels, IGNORED_LABEL)
    return counted, tf.where(counted, labels, 0)


def summed_crossentropy(labels: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sparse crossentropy from logits, summed over counted positions, in nats, and their number; two float32 scalars."""
    counted, labels = _counted(labels)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.cast(logits, tf.float32))
    return tf.reduce_sum(tf.where(counted, losses, 0.0)), tf.reduce_sum(tf.cast(counted, tf.float32))


class MaskedCrossentropy(keras.losses.Loss):
    """Mean crossentropy over the counted positions of a batch; 0 for a batch without any.

    Under `tf.distribute` the mean is taken over the counted positions of all replicas, so that the step is the one a single
    device would take, however unevenly positions fall on replicas.
    """

    def __init__(self, name: str = "masked_crossentropy"):
        super().__init__(name=name)

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The loss, a float32 scalar, of labels (batch, length) and logits (batch, length, labels)."""
        if sample_weight is not None:
            raise ValueError("MaskedCrossentropy takes no sample weights: ignore a position by giving it the label -100")
        total, number = summed_crossentropy(tf.cast(y_true, tf.int32), y_pred)
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            # Keras divides the loss by the number of replicas and sums the gradients
            number = context.all_reduce(tf.distribute.ReduceOp.SUM, number) / context.num_replicas_in_sync
        return tf.math.divide_no_nan(total, number)

    def get_config(self):
        return {"name": self.name}


class MaskedMean(keras.metrics.Metric):
    """Sum over counted positions divided by their number, both kept apart over all batches; subclasses give the two."""

    def __init__(self, name: str):
        super().__init__(name=name, dtype=tf.float32)
        self.total = self.add_weight("total", initializer="zeros")
        self.number = self.add_weight("number", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch: labels (batch, length) and logits (batch, length, labels)."""
        total, number = self.sum_and_number(tf.cast(y_true, tf.int32), y_pred)
        self.total.assign_add(total)
        self.number.assign_add(number)

    def sum_and_number(self, labels: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What a batch adds to the sum and to the number of counted positions."""
        raise NotImplementedError

    def result(self):
        """The mean over everything added, 0 where nothing counted."""
        return tf.math.divide_no_nan(self.total, self.number)

    def get_config(self):
        return {"name": self.name}


class MaskedAccuracy(MaskedMean):
    """Share of counted positions where the largest logit is the label's."""

    def __init__(self, name: str = "masked_accuracy"):
        super().__init__(name)

    def sum_and_number(self, labels, logits):
        counted, labels = _counted(labels)
        right = counted & tf.equal(tf.argmax(logits, -1, tf.int32), labels)
        return tf.reduce_sum(tf.cast(right, tf.float32)), tf.reduce_sum(tf.cast(counted, tf.float32))


def accuracies_of_one_class(rows: Sequence[Row], label: int, length: int) -> dict[str, float]:
    """What two accuracies say of a model that predicts `label` everywhere.

    The first is stock Keras's over rows filled up to `length` pieces whose padding and special pieces carry `label`, as in
    the study; the second `MaskedAccuracy` over the same rows. Longer rows are left as they are.
    """
    stock, masked = keras.metrics.SparseCategoricalAccuracy(), MaskedAccuracy()
    ignored = [np.pad(row.labels, (0, max(0, length - len(row))), constant_values=IGNORED_LABEL) for row in rows]
    labels = np.concatenate(ignored)
    filled = np.where(labels == IGNORED_LABEL, label, labels)
    logits = np.zeros((len(labels), max(label, filled.max()) + 1), np.float32)
    logits[:, label] = 1
    stock.update_state(filled, logits)
    masked.update_state(labels, logits)
    return {"stock accuracy, padding counted as right": float(stock.result()), "masked accuracy": float(masked.result())}


class MaskedLoss(MaskedMean):
    """The crossentropy over all counted positions of an epoch (Keras's own `loss` averages batches of unequal size)."""

    def __init__(self, name: str = "masked_loss"):
        super().__init__(name)

    def sum_and_number(self, labels, logits):
        return summed_crossentropy(labels, logits)
