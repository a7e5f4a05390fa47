"""Faster parts for an encoder of transformers, which also need less memory in training: dropout, exact GELU, layer
normalisation, attention, and the stack of transformer layers that is built from them.

`speed_up` takes an encoder and puts these parts into it. Weights, outputs and gradients stay the same. Each part has its own
gradient function, which keeps the inputs of the part instead of every intermediate value. `variants` builds the models.
"""

# Internals of other libraries that this module depends on, checked with transformers 4.54.1, tf-keras 2.21.0 and
# tensorflow 2.21.0. tests/modeling/test_layers.py compares logits and gradients with those of transformers' own layers.
# - transformers, names of classes: those in `STACKS`.
# - transformers, attributes of a main layer: `config` (`hidden_act` or `activation`, `is_decoder`), `encoder`, `call`.
# - transformers, attributes of a stack: `layer`, a list of layers with `attention.self_attention` (`query`, `key`, `value`,
#   `dropout`, `num_attention_heads`, `attention_head_size`, `all_head_size`), `attention.dense_output` and `bert_output`
#   (each with `dense`, `dropout`, `LayerNorm`), and `intermediate` (`dense`, `intermediate_act_fn`).
# - transformers, arguments and result of a stack's `call`: `modeling_tf_outputs.TFBaseModelOutputWithPastAndCrossAttentions`.
# - transformers, where the other architectures keep GELU: a layer's `activation`, a function with "gelu" in its name.
# - Keras: sublayers are plain attributes (in `vars`) that can be replaced after construction; `Dropout.noise_shape`.

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
import tf_keras as keras

STACKS = ("TFBertEncoder", "TFCamembertEncoder", "TFElectraEncoder", "TFRobertaEncoder", "TFXLMRobertaEncoder")
"""Classes of transformers that `Stack` can replace, because their layers compute the same."""


def speed_up(encoder: Any) -> None:
    """Replaces parts of an encoder, the main layer of a transformers model, by those of this module where they fit."""
    for layer in encoder.submodules:
        for name, part in list(vars(layer).items()):
            if type(part) is keras.layers.Dropout and part.noise_shape is None:
                setattr(layer, name, Dropout(part.rate, name=part.name, dtype=part.dtype_policy))
    if getattr(encoder.config, "hidden_act", getattr(encoder.config, "activation", None)) == "gelu":
        for layer in encoder.submodules:
            for name in ("intermediate_act_fn", "activation"):
                if "gelu" in getattr(getattr(layer, name, None), "__name__", ""):
                    setattr(layer, name, gelu)
    stack = getattr(encoder, "encoder", None)
    if type(stack).__name__ in STACKS and not encoder.config.is_decoder:
        encoder.encoder = Stack(stack)
        # control flow does not depend on values in these encoders, and converting it takes half of the time to build them
        encoder.call = tf.autograph.experimental.do_not_convert(encoder.call)


class Stack(keras.layers.Layer):
    """The transformer layers of BERT, RoBERTa or ELECTRA. It uses the weights of transformers' layers and computes the same.

    Matrix products are over (pieces, hidden), which lets TensorFlow fuse bias and activation into them. In mixed precision,
    only the products and their inputs have the lower precision; softmax, layer normalisation and residuals are float32.

    Args:
        stack: the stack that is replaced, one of `STACKS`.
    """

    def __init__(self, stack: Any):
        super().__init__(name=stack.name, dtype=tf.float32)
        self.layer = stack.layer
        self.product_type = tf.as_dtype(stack.compute_dtype)
        self._weights = lambda part: [tf.cast(variable, self.product_type) for variable in (part.kernel, part.bias)]
        self._inference = False

    def build(self, input_shape: Any = None) -> None:
        for layer in self.layer:
            with tf.name_scope(layer.name):
                layer.build(None)
        super().build(input_shape)

    def call(
        self,
        hidden_states: tf.Tensor,
        attention_mask: tf.Tensor,
        return_dict: bool = True,
        training: bool = False,
        **unused: Any,
    ) -> Any:
        """The last hidden states, float32, shape (batch, length, hidden), in the form that transformers returns them.

        Args:
            hidden_states: shape (batch, length, hidden).
            attention_mask: what is added to the attention scores, shape (batch, 1, 1, length).
            return_dict: False for a tuple.
            training: whether values are dropped.
            unused: other arguments of transformers, which tfner leaves at their defaults.
        """
        from transformers.modeling_tf_outputs import TFBaseModelOutputWithPastAndCrossAttentions

        shape = tf.shape(hidden_states)
        x = tf.reshape(tf.cast(hidden_states, tf.float32), [-1, hidden_states.shape[-1]])
        mask = tf.cast(attention_mask, tf.float32)
        for layer in self.layer:
            own, out = layer.attention.self_attention, layer.attention.dense_output
            heads = [shape[0], shape[1], own.num_attention_heads, own.attention_head_size]
            query, key, value = (
                self._swap(tf.reshape(self._dense(x, part), heads)) for part in (own.query, own.key, own.value)
            )
            query *= tf.cast(1 / math.sqrt(own.attention_head_size), query.dtype)
            context = attention(query, key, value, mask, own.dropout.rate if training else 0.0)
            context = tf.reshape(self._swap(context), [-1, own.all_head_size])
            x = self._close(context, out, x, training)
            inner = self._dense(x, layer.intermediate.dense)
            activation = layer.intermediate.intermediate_act_fn
            inner = _fusable_gelu(inner) if activation is gelu and not training else activation(inner)
            x = self._close(inner, layer.bert_output, x, training)
        x = tf.reshape(x, [shape[0], shape[1], hidden_states.shape[-1]])
        return TFBaseModelOutputWithPastAndCrossAttentions(last_hidden_state=x) if return_dict else (x,)

    def for_inference(self) -> None:
        """Optimizes for inference whatever is traced after this call; training is not possible any more.

        Weights are stored in the type of the products, which saves a cast in every call and makes an export smaller. Axes are
        swapped as integers (see `_swap`).
        """
        self._inference = True
        if self.product_type != tf.float32:
            stored = {
                id(part): [tf.Variable(weight, trainable=False) for weight in self._weights(part)]
                for part in self.submodules
                if isinstance(part, keras.layers.Dense)
            }
            self._weights = lambda part: stored[id(part)]  # not an attribute, so that Keras does not track them as weights

    def _swap(self, x: tf.Tensor) -> tf.Tensor:
        """`x` with the second and third of its four axes swapped.

        In inference this is done on integers: on a CPU, TensorFlow passes the transposition of floats to oneDNN, whose overhead
        per call is larger than the time to move a sentence.
        """
        if not self._inference:
            return tf.transpose(x, [0, 2, 1, 3])
        integer = {2: tf.int16, 4: tf.int32}[x.dtype.size]
        return tf.bitcast(tf.transpose(tf.bitcast(x, integer), [0, 2, 1, 3]), x.dtype)

    def _dense(self, x: tf.Tensor, part: Any) -> tf.Tensor:
        kernel, bias = self._weights(part)
        return tf.nn.bias_add(tf.matmul(tf.cast(x, self.product_type), kernel), bias)

    def _close(self, x: tf.Tensor, part: Any, residual: tf.Tensor, training: bool) -> tf.Tensor:
        """The end of both halves of a transformer layer: dense layer, dropout, residual connection, layer normalisation."""
        x = tf.cast(self._dense(x, part.dense), tf.float32)
        x = dropout(x, part.dropout.rate if training else 0.0) + residual
        return layer_norm(x, part.LayerNorm.gamma, part.LayerNorm.beta, part.LayerNorm.epsilon)


class Dropout(keras.layers.Layer):
    """Keras's dropout layer with the faster masks of `dropout`."""

    def __init__(self, rate: float, **options: Any):
        super().__init__(**options)
        self.rate = rate

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """`inputs`, of any shape. In training, values are dropped and the others scaled up."""
        return dropout(inputs, self.rate if training else 0.0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}


def dropout(x: tf.Tensor, rate: float) -> tf.Tensor:
    """Sets a share `rate` of the values to 0, rounded to a multiple of 1/65536, and scales up the others."""
    if not rate:
        return x
    drop = _mask(tf.shape(x), rate)
    return tf.custom_gradient(lambda x: (drop(x), drop))(x)


class _Masks(threading.local):
    """Where the masks of the current thread come from; a replica is traced in a thread of its own."""

    def __init__(self) -> None:
        self.source: tuple[tf.Tensor, tf.Tensor | int, tf.Tensor] | None = None
        self.drawn = 0


_masks = _Masks()


@contextlib.contextmanager
def dropout_masks(seed: tf.Tensor, first_row: tf.Tensor | int, rows: tf.Tensor) -> Iterator[None]:
    """Makes all dropout masks within the block functions of a seed. Without this, they come from TensorFlow's global seed.

    A row gets the same masks whether its batch is computed as a whole or in parts, on one device or on several.

    Args:
        seed: uint64 scalar; another one for each step.
        first_row: the number of rows of the batch in the parts before this one.
        rows: the number of rows in this part. The first axis of everything that is masked runs over rows, or over rows and
            pieces.
    """
    before = _masks.source, _masks.drawn
    _masks.source, _masks.drawn = (seed, first_row, rows), 0
    try:
        yield
    finally:
        _masks.source, _masks.drawn = before


def _mask(shape: tf.Tensor, rate: float) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function that drops the same values of a tensor of this shape in every call.

    It draws 16 random bits per value and keeps one byte per value for the gradient. Keras draws 32 bits and converts them to a
    float.
    """
    least = round(rate * 2**16)
    if not least:
        return lambda x: x
    bits = _random_bits(tf.reduce_prod(shape))
    stays = tf.reshape(bits >= least, shape)
    scale = 2**16 / (2**16 - least)
    return lambda x: x * (tf.cast(stays, x.dtype) * tf.cast(scale, x.dtype))


def _random_bits(number: tf.Tensor) -> tf.Tensor:
    """`number` random values of type uint16, from Philox (Salmon et al. 2011): a block of 8 values for each count."""
    block, skip = tf.constant(0, tf.int64), None
    if _masks.source is None:
        key = tf.cast(tf.random.uniform((), maxval=tf.int32.max, dtype=tf.int32), tf.uint64)
    else:
        seed, first_row, rows = _masks.source
        _masks.drawn += 1
        key = seed + tf.constant(_masks.drawn * 0x9E3779B97F4A7C15 % 2**64, tf.uint64)
        if not (isinstance(first_row, int) and first_row == 0):
            first = tf.cast(first_row, tf.int64) * tf.cast(number // tf.maximum(rows, 1), tf.int64)
            block, skip = first // 8, tf.cast(first % 8, tf.int32)
    # the values to skip are drawn in any case, because XLA wants a shape that does not depend on them
    pairs = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[(number + (1 if skip is None else 8)) // 2],
        key=key[None],
        counter=tf.stack([tf.cast(block, tf.uint64), tf.constant(0, tf.uint64)]),
        alg=1,
        dtype=tf.int32,
    )
    bits = tf.reshape(tf.bitcast(pairs, tf.uint16), [-1])
    return tf.slice(bits, [0 if skip is None else skip], [number])


@tf.custom_gradient
def gelu(x: tf.Tensor) -> tf.Tensor:
    """Exact GELU (Hendrycks and Gimpel, arXiv:1606.08415), computed in float32 and returned in the type of `x`.

    It uses `erf`. TensorFlow's own GELU uses `erfc`, which has no vectorized CPU kernel.
    """

    def parts() -> tuple[tf.Tensor, tf.Tensor]:
        x32 = tf.cast(x, tf.float32)
        return x32, 0.5 * tf.math.erf(x32 * math.sqrt(0.5)) + 0.5

    def gradient(dy):
        x32, share = parts()
        density = tf.exp(-0.5 * tf.square(x32)) * (1 / math.sqrt(2 * math.pi))
        return tf.cast(tf.cast(dy, tf.float32) * (share + x32 * density), x.dtype)

    x32, share = parts()
    return tf.cast(x32 * share, x.dtype), gradient


def _fusable_gelu(x: tf.Tensor) -> tf.Tensor:
    """Exact GELU, written so that TensorFlow on a CPU recognizes it and fuses it into the matrix product before it."""
    return (0.5 * (tf.math.erf(x * tf.cast(math.sqrt(0.5), x.dtype)) + 1.0)) * x


def layer_norm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float) -> tf.Tensor:
    """Layer normalisation (Ba et al., arXiv:1607.06450) over the last axis of `x`, (pieces, hidden), float32."""

    @tf.custom_gradient
    def normalize(x, gamma, beta):
        centred = x - tf.reduce_mean(x, -1, keepdims=True)
        scale = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), -1, keepdims=True) + epsilon)
        normal = centred * scale

        def gradient(dy):
            d = dy * gamma
            dx = scale * (d - tf.reduce_mean(d, -1, keepdims=True) - normal * tf.reduce_mean(d * normal, -1, keepdims=True))
            return dx, tf.reduce_sum(dy * normal, 0), tf.reduce_sum(dy, 0)

        return normal * gamma + beta, gradient

    return normalize(x, tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta))


def attention(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, mask: tf.Tensor, rate: float) -> tf.Tensor:
    """Attention (Vaswani et al., arXiv:1706.03762) with dropout of its probabilities.

    Args:
        query: shape (batch, heads, length, size), already scaled.
        key: of the same shape and type.
        value: of the same shape and type.
        mask: float32, added to the scores of shape (batch, heads, length, length).
        rate: the share of the probabilities to drop.

    Returns:
        The context vectors, with the shape and type of `query`.
    """
    shape = tf.shape(query)
    drop = _mask(tf.concat([shape[:3], shape[2:3]], 0), rate)

    @tf.custom_gradient
    def attend(query, key, value):
        shares = tf.nn.softmax(tf.cast(tf.matmul(query, key, transpose_b=True), tf.float32) + mask)

        def gradient(dy):
            d = drop(tf.cast(tf.matmul(dy, value, transpose_b=True), tf.float32)) * shares
            d = tf.cast(d - shares * tf.reduce_sum(d, -1, keepdims=True), query.dtype)
            d_value = tf.matmul(tf.cast(drop(shares), dy.dtype), dy, transpose_a=True)
            return tf.matmul(d, key), tf.matmul(d, query, transpose_a=True), d_value

        return tf.matmul(tf.cast(drop(shares), value.dtype), value), gradient

    return attend(query, key, value)
