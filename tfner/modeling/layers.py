"""Parts of an encoder that cost less than the stock ones, in time and in what a training step must remember: dropout, exact
GELU, layer normalisation, attention; and the stack of BERT's layers made of them.

`speed_up` puts them into an encoder of transformers, whose weights stay where they are; outputs and gradients stay the same.
Each part has a gradient of its own, which keeps its inputs instead of every intermediate value.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf
import tf_keras as keras

STACKS = ("TFBertEncoder", "TFCamembertEncoder", "TFElectraEncoder", "TFRobertaEncoder", "TFXLMRobertaEncoder")
"""Classes of transformers whose layers compute the same, and that a `Stack` takes the place of."""


def speed_up(encoder: keras.layers.Layer) -> None:
    """Makes an encoder, the main layer of a transformers model, use the parts of this file where they fit."""
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
        # no control flow of these encoders depends on values, and converting it is half the time of building them
        encoder.call = tf.autograph.experimental.do_not_convert(encoder.call)


class Stack(keras.layers.Layer):
    """The transformer layers of a BERT, RoBERTa or ELECTRA: computes what transformers' layers do, with their weights.

    Matrix products are over (pieces, hidden), so that bias and activation become part of them. In mixed precision only
    products and what goes into them are of the lower precision; softmax, layer normalisation and residuals are float32.
    """

    def __init__(self, stack: keras.layers.Layer):
        super().__init__(name=stack.name, dtype=tf.float32)
        self.layer = stack.layer
        self.product_type = tf.as_dtype(stack.compute_dtype)
        self._weights = lambda part: [tf.cast(variable, self.product_type) for variable in (part.kernel, part.bias)]
        self._inference = False

    def build(self, input_shape=None):
        for layer in self.layer:
            with tf.name_scope(layer.name):
                layer.build(None)
        super().build(input_shape)

    def call(self, hidden_states, attention_mask, return_dict=True, training=False, **unused):
        """Hidden states (batch, length, hidden) and what to add to attention scores, (batch, 1, 1, length), to the last
        layer's hidden states, float32. The other arguments are those of transformers, which have their defaults here."""
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
        """Changes what is traced from now on, which is for inference alone: weights are stored in the products' type, so that
        they need not be cast in every call and an export is smaller; and axes are swapped as `_swap` says."""
        self._inference = True
        if self.product_type != tf.float32:
            stored = {
                id(part): [tf.Variable(weight, trainable=False) for weight in self._weights(part)]
                for part in self.submodules
                if isinstance(part, keras.layers.Dense)
            }
            self._weights = lambda part: stored[id(part)]  # no attribute, so that they are no weights of the model

    def _swap(self, x: tf.Tensor) -> tf.Tensor:
        """`x`, of four axes, with the two in the middle swapped: in inference as integers, as TensorFlow hands floats to
        oneDNN on a CPU, which takes longer to begin than to move a sentence."""
        if not self._inference:
            return tf.transpose(x, [0, 2, 1, 3])
        integer = {2: tf.int16, 4: tf.int32}[x.dtype.size]
        return tf.bitcast(tf.transpose(tf.bitcast(x, integer), [0, 2, 1, 3]), x.dtype)

    def _dense(self, x: tf.Tensor, part: keras.layers.Dense) -> tf.Tensor:
        kernel, bias = self._weights(part)
        return tf.nn.bias_add(tf.matmul(tf.cast(x, self.product_type), kernel), bias)

    def _close(self, x: tf.Tensor, part: keras.layers.Layer, residual: tf.Tensor, training: bool) -> tf.Tensor:
        """What ends both halves of a layer: a dense layer, dropout, the residual, layer normalisation."""
        x = tf.cast(self._dense(x, part.dense), tf.float32)
        x = dropout(x, part.dropout.rate if training else 0.0) + residual
        return layer_norm(x, part.LayerNorm.gamma, part.LayerNorm.beta, part.LayerNorm.epsilon)


class Dropout(keras.layers.Layer):
    """Keras's dropout, with the masks of `dropout`."""

    def __init__(self, rate: float, **options):
        super().__init__(**options)
        self.rate = rate

    def call(self, inputs, training=None):
        """`inputs`, of any shape; in training, values are dropped and those that stay are scaled up."""
        return dropout(inputs, self.rate if training else 0.0)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


def dropout(x: tf.Tensor, rate: float) -> tf.Tensor:
    """Sets a share of values to 0, `rate` to the nearest 65536th, and scales up those that stay."""
    if not rate:
        return x
    drop = _mask(tf.shape(x), rate)
    return tf.custom_gradient(lambda x: (drop(x), drop))(x)


def _mask(shape: tf.Tensor, rate: float) -> Callable[[tf.Tensor], tf.Tensor]:
    """What drops values, the same ones in each call. It takes 16 random bits a value, where Keras takes 32 and makes a fraction
    of them, and remembers one byte a value."""
    least = round(rate * 2**16)
    if not least:
        return lambda x: x
    number = tf.reduce_prod(shape)
    key = tf.cast(tf.random.uniform((1,), maxval=tf.int32.max, dtype=tf.int32), tf.uint64)
    philox = {"counter": tf.zeros((2,), tf.uint64), "alg": 1}
    pairs = tf.raw_ops.StatelessRandomUniformFullIntV2(shape=[(number + 1) // 2], key=key, dtype=tf.int32, **philox)
    stays = tf.reshape(tf.reshape(tf.bitcast(pairs, tf.uint16), [-1])[:number] >= least, shape)
    scale = 2**16 / (2**16 - least)
    return lambda x: x * (tf.cast(stays, x.dtype) * tf.cast(scale, x.dtype))


@tf.custom_gradient
def gelu(x: tf.Tensor) -> tf.Tensor:
    """Exact GELU (Hendrycks and Gimpel, arXiv:1606.08415), computed in float32 and returned in the type of `x`.

    It goes through `erf`: TensorFlow's own goes through `erfc`, for which its CPU kernels have no vector code.
    """

    def parts():
        x32 = tf.cast(x, tf.float32)
        return x32, 0.5 * tf.math.erf(x32 * math.sqrt(0.5)) + 0.5

    def gradient(dy):
        x32, share = parts()
        density = tf.exp(-0.5 * tf.square(x32)) * (1 / math.sqrt(2 * math.pi))
        return tf.cast(tf.cast(dy, tf.float32) * (share + x32 * density), x.dtype)

    x32, share = parts()
    return tf.cast(x32 * share, x.dtype), gradient


def _fusable_gelu(x: tf.Tensor) -> tf.Tensor:
    """The same, in the form that TensorFlow recognises on a CPU and makes part of the matrix product before it."""
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
    """Attention (Vaswani et al., arXiv:1706.03762) of queries that are scaled already, with dropout of its probabilities.

    Args:
        query, key, value: of one type, shape (batch, heads, length, size).
        mask: float32, added to the scores (batch, heads, length, length).
        rate: share of the probabilities to drop.

    Returns:
        The shape and the type of `query`.
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
