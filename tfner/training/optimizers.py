"""The optimizer: AdamW without weight decay for biases and norms, with another rate for new layers.

Takes gradients and updates variables. Momenta are kept as Keras keeps them, so checkpoints, mixed precision and distribution
work as with the optimizers of Keras.
"""

# Names of `keras.optimizers.Optimizer` that are not public, as they are in tf-keras 2.21.0. Check them with another version:
# - called: `_build_learning_rate`, `_var_key`, `_index_dict`, `_deduplicate_sparse_grad`, `_serialize_hyperparameter`
# - extended: `_clip_gradients`, `_distributed_apply_gradients_fn`
# - set: `_learning_rate`, `_built`

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tfner.config import Config
from tfner.modeling.variants import ENCODER, new_variables, trained_variables


def make_optimizer(model: keras.Model, settings: Config) -> tuple[Any, float]:
    """The optimizer of a training, built, and the peak of its learning rate.

    An encoder whose learning rate is 0 is not trained: its variables become constants of the model.

    Args:
        model: the model, created in the scope of the strategy that is entered now.
        settings: `learning_rate` and `head_learning_rate`, both numbers, `freeze_layers`, `weight_decay`, `clip_norm` and
            `precision` are used.
    """
    rate, new_rate = float(settings.learning_rate), float(settings.head_learning_rate)
    peak = rate or new_rate
    model.get_layer(ENCODER).trainable = rate > 0
    optimizer: Any = AdamW(
        peak,
        weight_decay=settings.weight_decay,
        new_variables=new_variables(model),
        new_factor=new_rate / peak,
        global_clipnorm=settings.clip_norm or None,
    )
    if settings.precision == "float16":
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    optimizer.build(trained_variables(model, settings.freeze_layers))
    return optimizer, peak


class AdamW(keras.optimizers.Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), one fused kernel per variable.

    A step updates only those rows of an embedding table that its batch uses, because a batch contains a small part of the
    vocabulary. The momenta of other rows do not change. Their weight decay is added up and applied when they are used next; a
    row that is never used keeps its values.

    A step whose gradients are not all finite changes nothing but the number of steps.

    Attributes:
        norm: the global norm of the gradients, before clipping, in the step that was traced last: a float32 scalar.

    Args:
        learning_rate: a rate or schedule, per step, for the encoder.
        weight_decay: per step and unit of learning rate. It is not applied to variables of one dimension, which are the biases
            and the LayerNorm parameters.
        new_variables: the variables of newly initialized layers.
        new_factor: their learning rate as a multiple of `learning_rate`.
        global_clipnorm: the norm of all gradients together that they are scaled down to; None for no limit.
        beta_1, beta_2, epsilon: as in Devlin et al. 2019.
    """

    def __init__(
        self,
        learning_rate=5e-5,
        weight_decay: float = 0.01,
        new_variables: Sequence[tf.Variable] = (),
        new_factor: float = 1.0,
        global_clipnorm: float | None = 1.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        name: str = "AdamW",
    ):
        super().__init__(name=name, global_clipnorm=global_clipnorm, weight_decay=None, jit_compile=False)
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.decay, self.new_factor = weight_decay, new_factor  # Keras applies an attribute weight_decay to all variables
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self._new = {self._var_key(variable) for variable in new_variables}

    def build(self, var_list):
        """Creates the momenta: zeros with the shape of each variable."""
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self._built = True
        self._m = [self.add_variable_from_reference(variable, "m") for variable in var_list]
        self._v = [self.add_variable_from_reference(variable, "v") for variable in var_list]
        self._owed = [  # the weight decay of each row since its last use
            self.add_variable_from_reference(variable, "owed", variable.shape[:1]) if len(variable.shape) > 1 else None
            for variable in var_list
        ]

    def _clip_gradients(self, grads):
        """Sums the slices of sparse gradients first; otherwise a row counts once for every piece that uses it."""
        grads = self._deduplicate_sparse_grad(grads)
        self.norm = tf.linalg.global_norm(grads)
        self._finite = tf.math.is_finite(self.norm)
        scale = self.global_clipnorm / tf.maximum(self.norm, self.global_clipnorm) if self.global_clipnorm else 1.0
        scale = tf.where(self._finite, scale, 0.0)

        def scaled(x):  # 0 where the norm is not finite, as no gradient may stay NaN
            return tf.math.multiply_no_nan(x, tf.cast(scale, x.dtype))

        return [
            tf.IndexedSlices(scaled(g.values), g.indices, g.dense_shape) if isinstance(g, tf.IndexedSlices) else scaled(g)
            for g in grads
        ]

    def _distributed_apply_gradients_fn(self, *arguments, **options):
        """Computes first what is equal for all variables, which saves a thousand operations in the traced step."""
        rate, step = tf.cast(self.learning_rate, tf.float32), tf.cast(self.iterations + 1, tf.float32)
        rate = tf.where(self._finite, rate, 0.0)
        betas = [tf.where(self._finite, beta, 1.0) for beta in (self.beta_1, self.beta_2)]
        powers = [beta**step for beta in (self.beta_1, self.beta_2)]
        self._scalars = rate, rate * self.new_factor, *betas, *powers, tf.constant(self.epsilon)
        return super()._distributed_apply_gradients_fn(*arguments, **options)

    def update_step(self, gradient, variable):
        """Updates one variable in place."""
        key = self._var_key(variable)
        index = self._index_dict[key]
        m, v = self._m[index], self._v[index]
        rate, new_rate, beta_1, beta_2, power_1, power_2, epsilon = (tf.cast(x, variable.dtype) for x in self._scalars)
        rate = new_rate if key in self._new else rate
        if isinstance(gradient, tf.IndexedSlices):  # each row once, see _clip_gradients
            rows, owed = gradient.indices, self._owed[index]
            owed.assign_add(tf.fill(owed.shape, rate * self.decay))
            new_m = beta_1 * tf.gather(m, rows) + (1 - beta_1) * gradient.values
            new_v = beta_2 * tf.gather(v, rows) + (1 - beta_2) * tf.square(gradient.values)
            change = rate * tf.sqrt(1 - power_2) / (1 - power_1) * new_m / (tf.sqrt(new_v) + epsilon)
            kept = tf.exp(-tf.gather(owed, rows))[:, None]
            m.scatter_update(tf.IndexedSlices(new_m, rows))
            v.scatter_update(tf.IndexedSlices(new_v, rows))
            owed.scatter_update(tf.IndexedSlices(tf.zeros_like(rows, owed.dtype), rows))
            variable.scatter_update(tf.IndexedSlices(kept * tf.gather(variable, rows) - change, rows))
            return
        if len(variable.shape) > 1 and self.decay:
            variable.assign_sub(variable * (rate * self.decay))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=m.handle,
            v=v.handle,
            beta1_power=power_1,
            beta2_power=power_2,
            lr=rate,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            grad=gradient,
        )

    def get_config(self):
        return {
            "name": self.name,
            "global_clipnorm": self.global_clipnorm,
            "learning_rate": self._serialize_hyperparameter(self._learning_rate),
            "weight_decay": self.decay,
            "new_factor": self.new_factor,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
