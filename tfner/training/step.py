"""One optimizer step: loss and gradients of a batch, in parts and on every replica, and the update.

Takes the elements of `batches.training_batches`; returns the sums that loss and accuracy are computed from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras as keras

from tfner.modeling.layers import dropout_masks
from tfner.modeling.losses import counted_right, summed_crossentropy
from tfner.modeling.variants import trained_variables

Gradient = Any
"""A tensor, the slices of an embedding table, or None for a variable that the model does not use."""


class StepResult(NamedTuple):
    """Sums over a batch: `loss` in nats and `right` over its `number` labels. A piece has one of each task.

    `stops` says whether any process was asked to stop; `norm` is the global norm of the gradients, 0 where the loss is scaled.
    """

    loss: float
    right: float
    number: float
    stops: bool
    norm: float


def train_step(
    model: keras.Model,
    optimizer: Any,
    strategy: tf.distribute.Strategy,
    xla: bool = False,
    frozen: int = 0,
    tasks: Sequence[slice] = (),
) -> Callable[[Iterator[Any], bool], StepResult]:
    """A function that takes an iterator over training batches, and whether this process is to stop, and makes one step.

    The loss of a step is the mean crossentropy of the labels of the whole batch, however its rows are spread over parts and
    replicas.

    Args:
        model: the model, created in the scope of the strategy.
        optimizer: an `AdamW`, or a `LossScaleOptimizer` around one.
        strategy: how the replicas work together; TensorFlow's default strategy for one device.
        xla: whether loss and gradients are compiled with XLA, anew for every shape. The update is not: its kernels are fused,
            and replicas exchange gradients before it.
        frozen: the lowest transformer layers that are not trained, as for `make_optimizer`.
        tasks: the columns of the logits of each task, where there are several tasks.
    """
    variables = trained_variables(model, frozen)
    scales = isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer)
    single = strategy.num_replicas_in_sync == 1

    def gradients(part: tuple[tf.Tensor, ...], number: tf.Tensor, seed: tf.Tensor) -> tuple[list[Gradient], tf.Tensor]:
        ids, mask, labels, *first = part
        with dropout_masks(seed, first[0] if first else 0, tf.shape(ids)[0]), tf.GradientTape() as tape:
            logits = model({"input_ids": ids, "attention_mask": mask}, training=True)
            total, own = summed_crossentropy(labels, logits, tasks)
            loss = tf.math.divide_no_nan(total, number)
            loss = optimizer.get_scaled_loss(loss) if scales else loss
        return tape.gradient(loss, variables), tf.stack([total, counted_right(labels, logits, tasks), own])

    compiled = tf.function(gradients, jit_compile=True) if xla else gradients

    def gradients_of(part: tuple[tf.Tensor, ...], element: dict[str, Any]) -> tuple[list[Gradient], tf.Tensor]:
        whole = single and len(element["parts"]) == 1
        return compiled(part[:3] if whole else part, element["number"], element["seed"])

    def replica_step(element: dict[str, Any], stop: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        gradients, sums = gradients_of(element["parts"][0], element)
        for part in element["parts"][1:]:
            # one after the other; otherwise TensorFlow may compute them side by side, in as much memory as the whole batch
            with tf.control_dependencies([sums, *_values(gradients)]):
                more, more_sums = gradients_of(tuple(map(tf.identity, part)), element)
                gradients, sums = [_add(a, b) for a, b in zip(gradients, more, strict=True)], sums + more_sums
        if scales:
            gradients = optimizer.get_unscaled_gradients(gradients)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return tf.concat([sums, [stop]], 0), tf.zeros(()) if scales else optimizer.norm

    @tf.function
    def step(iterator: Iterator[Any], stop: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        sums, norm = strategy.run(replica_step, args=(next(iterator), stop))
        total = strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None)
        return total, strategy.reduce(tf.distribute.ReduceOp.MEAN, norm, axis=None)

    def run(iterator: Iterator[Any], stop: bool) -> StepResult:
        sums, norm = step(iterator, tf.constant(float(stop)))
        loss, right, number, stops = map(float, sums.numpy())
        return StepResult(loss, right, number, stops > 0, float(norm))

    return run


def _values(gradients: Sequence[Gradient]) -> list[tf.Tensor]:
    return [g.values if isinstance(g, tf.IndexedSlices) else g for g in gradients if g is not None]


def _add(a: Gradient, b: Gradient) -> Gradient:
    """The sum of two gradients. The slices of embedding tables are collected; the optimizer adds up those of the same row."""
    if a is None or b is None:  # a variable that the model does not use
        return None
    if isinstance(a, tf.IndexedSlices):
        return tf.IndexedSlices(
            tf.concat([a.values, b.values], 0), tf.concat([a.indices, b.indices], 0), dense_shape=a.dense_shape
        )
    return a + b
