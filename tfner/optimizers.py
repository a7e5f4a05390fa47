"""The optimizer: AdamW with warmup and linear decay, no decay for biases and norms, and a rate of its own for new layers.

In go gradients, out come updated variables. The state is Keras's (momenta beside every variable), so checkpoints, mixed
precision and distribution work as with Keras's own optimizers.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
import tf_keras as keras


@keras.saving.register_keras_serializable("tfner")
class WarmupLinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from 0 to ``peak`` in ``warmup`` steps, then falls linearly to 0 at ``total`` (Devlin et al. 2019)."""

    def __init__(self, peak: float, warmup: int, total: int):
        self.peak, self.warmup, self.total = peak, warmup, total

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        rise = (step + 1) / max(1, self.warmup)
        fall = (self.total - step) / max(1, self.total - self.warmup)
        return self.peak * tf.clip_by_value(tf.minimum(rise, fall), 0.0, 1.0)

    def get_config(self):
        return {"peak": self.peak, "warmup": self.warmup, "total": self.total}


class AdamW(keras.optimizers.Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), one fused kernel per variable.

    Args:
        learning_rate: a rate or schedule, per step, for the encoder.
        weight_decay: per step and unit of learning rate; not applied to variables of one dimension, which are the biases and
            the LayerNorm parameters.
        new_variables: those of freshly initialised layers.
        new_factor: their learning rate as a multiple of ``learning_rate``.
        global_clipnorm: the norm, over all gradients together, that they are scaled down to; None for no limit.
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
        super().__init__(name=name, global_clipnorm=global_clipnorm, jit_compile=False)
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.decay, self.new_factor = weight_decay, new_factor  # Keras's own weight_decay would decay everything
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self._new = {self._var_key(variable) for variable in new_variables}

    def build(self, var_list):
        """Makes the momenta, zeros of every variable's shape."""
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self._built = True
        self._m = [self.add_variable_from_reference(variable, "m") for variable in var_list]
        self._v = [self.add_variable_from_reference(variable, "v") for variable in var_list]

    def _clip_gradients(self, grads):
        """Sums the slices of sparse gradients first: their norm would count a row once for every piece that used it."""
        return super()._clip_gradients(self._deduplicate_sparse_grad(grads))

    def update_step(self, gradient, variable):
        """Updates one variable in place."""
        key = self._var_key(variable)
        index = self._index_dict[key]
        rate = tf.cast(self.learning_rate, variable.dtype) * (self.new_factor if key in self._new else 1.0)
        step = tf.cast(self.iterations + 1, variable.dtype)
        if len(variable.shape) > 1 and self.decay:
            variable.assign_sub(variable * (rate * self.decay))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._m[index].handle,
            v=self._v[index].handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), step),
            lr=rate,
            beta1=tf.cast(self.beta_1, variable.dtype),
            beta2=tf.cast(self.beta_2, variable.dtype),
            epsilon=tf.cast(self.epsilon, variable.dtype),
            grad=tf.convert_to_tensor(gradient),  # sparse ones become dense: momenta move for every row
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
