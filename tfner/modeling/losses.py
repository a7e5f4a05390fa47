"""Loss and accuracy of training. They share one rule: a position counts if and only if its label is not `IGNORED_LABEL`.

Takes labels of shape (batch, length) and logits of shape (batch, length, labels); sums over the counted positions and counts
them. Where a model has several tasks, the last dimension of both holds those of all tasks. The attention mask is not used:
padding is ignored because its label is -100.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfner.labels import IGNORED_LABEL
from tfner.modeling.rows import Row


def _counted(labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Which positions count (bool), and labels with valid ids in all positions; both have the shape of `labels`."""
    counted = tf.not_equal(labels, IGNORED_LABEL)
    return counted, tf.where(counted, labels, 0)


def summed_crossentropy(labels: tf.Tensor, logits: tf.Tensor, tasks: Sequence[slice] = ()) -> tuple[tf.Tensor, tf.Tensor]:
    """The crossentropy in nats, summed over the counted positions, and their number: two float32 scalars.

    `tasks`: the columns of the logits of each task, where labels have shape (batch, length, tasks).
    """
    if tasks:
        sums = [summed_crossentropy(*of_task) for of_task in _by_task(labels, logits, tasks)]
        return tf.add_n([total for total, _ in sums]), tf.add_n([number for _, number in sums])
    counted, labels = _counted(labels)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.cast(logits, tf.float32))
    return tf.reduce_sum(tf.where(counted, losses, 0.0)), tf.reduce_sum(tf.cast(counted, tf.float32))


def _by_task(labels: tf.Tensor, logits: tf.Tensor, tasks: Sequence[slice]) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Labels and logits of each task."""
    return [(labels[..., i], logits[..., columns]) for i, columns in enumerate(tasks)]


def counted_right(labels: tf.Tensor, logits: tf.Tensor, tasks: Sequence[slice] = ()) -> tf.Tensor:
    """The number of counted positions whose label has the largest logit, a float32 scalar; `tasks` as above."""
    if tasks:
        return tf.add_n([counted_right(*of_task) for of_task in _by_task(labels, logits, tasks)])
    counted, labels = _counted(labels)
    return tf.reduce_sum(tf.cast(counted & tf.equal(tf.argmax(logits, -1, tf.int32), labels), tf.float32))


class MaskedCrossentropy(keras.losses.Loss):
    """The mean crossentropy over the counted positions of a batch, 0 where none counts.

    Under `tf.distribute` the mean is over the counted positions of all replicas. A step then equals the step of a single
    device, however unevenly the positions are spread over replicas.
    """

    def __init__(self, name: str = "masked_crossentropy"):
        super().__init__(name=name)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        """The loss as a float32 scalar, from labels (batch, length) and logits (batch, length, labels)."""
        if sample_weight is not None:
            raise ValueError("MaskedCrossentropy takes no sample weights: ignore a position by giving it the label -100")
        total, number = summed_crossentropy(tf.cast(y_true, tf.int32), y_pred)
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            # Keras divides the loss by the number of replicas and sums the gradients
            number = context.all_reduce(tf.distribute.ReduceOp.SUM, number) / context.num_replicas_in_sync
        return tf.math.divide_no_nan(total, number)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


class MaskedAccuracy(keras.metrics.Metric):
    """The share of counted positions whose label has the largest logit, over all batches since the last reset."""

    def __init__(self, name: str = "masked_accuracy"):
        super().__init__(name=name, dtype=tf.float32)
        self.right = self.add_weight("right", initializer="zeros")
        self.number = self.add_weight("number", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch: labels (batch, length) and logits (batch, length, labels)."""
        labels = tf.cast(y_true, tf.int32)
        self.right.assign_add(counted_right(labels, y_pred))
        self.number.assign_add(tf.reduce_sum(tf.cast(_counted(labels)[0], tf.float32)))

    def result(self) -> tf.Tensor:
        """The share over all batches so far, 0 where no position counted."""
        return tf.math.divide_no_nan(self.right, self.number)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


def accuracies_of_one_class(rows: Sequence[Row], label: int, length: int) -> dict[str, float]:
    """Two accuracies of a model that predicts `label` everywhere, to show how much the handling of padding matters.

    Args:
        rows: the rows with their gold labels.
        label: the id of the label that the model predicts.
        length: pieces that rows are padded to; longer rows stay as they are.

    Returns:
        The accuracy of stock Keras over rows whose padding and special pieces are labelled `label`, as in the study, and
        `MaskedAccuracy` over the same rows.
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
