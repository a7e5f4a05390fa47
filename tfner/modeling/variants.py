"""The three variants: piece ids to logits, as functional Keras models with the same inputs and the same output.

Inputs `input_ids` and `attention_mask`, int32, shape (batch, length); output `logits`, float32, shape
(batch, length, labels). Nothing here trains or decodes, and softmax is applied elsewhere.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfner.config import PRECISIONS, VARIANTS
from tfner.errors import UserError, one_line, setting
from tfner.modeling.layers import Dropout, Stack, speed_up
from tfner.modeling.pretrained import from_hub_or_folder, load_encoder_config

ENCODER = "encoder"
"""Name of the layer that holds the encoder; every other variable of a model belongs to a new layer."""


def _finetune(hidden: tf.Tensor, labels: int, settings) -> tf.Tensor:
    """Dropout and one dense layer, the same layers as transformers' `TFAutoModelForTokenClassification` puts there."""
    hidden = Dropout(settings.dropout, name="dropout")(hidden)
    return keras.layers.Dense(labels, kernel_initializer=_initializer(settings), name="classifier")(hidden)


def _head(hidden: tf.Tensor, labels: int, settings) -> tf.Tensor:
    """An MLP: a dense layer with activation for each of `head_units` (the study's 20 and 8 ReLU), then one of n labels."""
    hidden = Dropout(settings.dropout, name="dropout")(hidden)
    for i, units in enumerate(settings.head_units):
        initializer = keras.initializers.HeUniform(seed=settings.seed + i)
        hidden = keras.layers.Dense(units, settings.head_activation, kernel_initializer=initializer, name=f"head_{i}")(hidden)
    initializer = keras.initializers.GlorotUniform(seed=settings.seed + len(settings.head_units))
    return keras.layers.Dense(labels, kernel_initializer=initializer, name="classifier")(hidden)


BUILDERS: dict[str, Callable] = {"finetune": _finetune, "head": _head, "replace": _finetune}
"""What each variant puts on the encoder's last hidden states.

`replace` is `finetune` on an encoder whose last transformer layer is gone. The study words it as BERT with its last layer
replaced by a classification layer. Two readings are possible: the last layer of the encoder's stack, or whatever came last
in a model object (a pooler, or a pretraining head). The second one is `finetune` under another name, so tfner takes the
first: of n transformer layers n - 1 remain, with their pretrained weights, and the classification layer reads their output.
"""


def build_model(variant: str, source: str, labels: int, settings, weights: bool = True) -> keras.Model:
    """Builds a variant.

    Args:
        variant: a key of `config.VARIANTS`.
        source: model folder or hub name of the encoder (see `pretrained.encoder_source`).
        labels: the number of labels.
        settings: a `config.Config`; `dropout`, `head_units`, `head_activation`, `precision` and `seed` are read.
        weights: False leaves the encoder's weights random, for a model whose weights are loaded afterwards.

    Raises:
        UserError: for an unknown variant or precision, an encoder that TensorFlow transformers cannot run or that has too few
            layers, and weights that are missing or damaged.
    """
    if variant not in VARIANTS:
        raise UserError(f"{setting('variant', variant)}: expected one of {', '.join(VARIANTS)}")
    config = copy.deepcopy(load_encoder_config(source))
    _refuse_unsupported(config, source)
    if variant == "replace":
        if config.num_hidden_layers < 2:
            raise UserError(
                f"{source}: variant replace removes the last of {config.num_hidden_layers} layers: expected at least 2"
            )
        config.num_hidden_layers -= 1
    policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(PRECISIONS[settings.precision])
    try:
        encoder = _load_encoder(config, source, weights)
        ids = keras.Input((None,), dtype=tf.int32, name="input_ids")
        mask = keras.Input((None,), dtype=tf.int32, name="attention_mask")
        hidden = encoder(input_ids=ids, attention_mask=mask)[0]
        logits = BUILDERS[variant](hidden, labels, settings)
        logits = keras.layers.Activation("linear", dtype=tf.float32, name="logits")(logits)
        return keras.Model({"input_ids": ids, "attention_mask": mask}, logits, name=variant)
    finally:
        keras.mixed_precision.set_global_policy(policy)


def logits_function(model: keras.Model) -> Callable[[np.ndarray, np.ndarray], tf.Tensor]:
    """The model without dropout, traced once for every shape: int32 (batch, length) twice, to float32 logits."""
    array = tf.TensorSpec((None, None), tf.int32)

    @tf.function(input_signature=[array, array])
    def logits(input_ids, attention_mask):
        return model({"input_ids": input_ids, "attention_mask": attention_mask}, training=False)

    return logits


def for_inference(model: keras.Model) -> bool:
    """Whether a model has changed to a form that is faster, and for inference alone (see `layers.Stack`); its
    `logits_function` is to be made anew then, before an export."""
    stack = getattr(model.get_layer(ENCODER), "encoder", None)
    if not isinstance(stack, Stack):
        return False
    stack.for_inference()
    return True


def new_variables(model: keras.Model) -> list[tf.Variable]:
    """The trainable variables of a model's new layers: all but the encoder's."""
    return [v for layer in model.layers if layer.name != ENCODER for v in layer.trainable_variables]


def parameter_counts(model: keras.Model) -> dict[str, int]:
    """Trainable parameters: in the encoder, in the new layers."""
    new = sum(math.prod(v.shape) for v in new_variables(model))
    return {"encoder": sum(math.prod(v.shape) for v in model.trainable_variables) - new, "new": new}


def _initializer(settings):
    return keras.initializers.TruncatedNormal(stddev=0.02, seed=settings.seed)  # BERT's own initializer_range


def _refuse_unsupported(config, source: str) -> None:
    from transformers import TF_MODEL_MAPPING

    if config.is_encoder_decoder:
        raise UserError(
            f"{source}: {config.model_type} is an encoder-decoder: expected an encoder such as BERT, one vector a piece"
        )
    if type(config) not in TF_MODEL_MAPPING:
        raise UserError(
            f"{source}: transformers has no TensorFlow model for {config.model_type!r}: choose a BERT, DistilBERT, "
            "RoBERTa or ELECTRA"
        )


def _load_encoder(config, source: str, weights: bool) -> keras.layers.Layer:
    """The main layer of an encoder, named `ENCODER`, without its pooler, which token classification does not use."""
    from safetensors import SafetensorError
    from transformers import TFAutoModel

    if weights:

        def load(name, **options):
            return TFAutoModel.from_pretrained(name, config=config, output_loading_info=True, **options)

        try:
            model, info = from_hub_or_folder(source, "weights", load)
        except (SafetensorError, ImportError, tf.errors.OpError) as error:
            raise UserError(
                f"{source}: its weights cannot be read ({one_line(error)}): fetch them again, as safetensors or tf_model.h5"
            ) from error
        missing = [name for name in info["missing_keys"] if "pooler" not in name]
        if missing or info["mismatched_keys"]:
            raise UserError(
                f"{source}: its weights lack {len(missing)} and misfit {len(info['mismatched_keys'])} of the encoder's "
                f"variables, such as {(missing or info['mismatched_keys'])[0]}: expected the weights of a "
                f"{config.model_type} encoder"
            )
    else:
        model = TFAutoModel.from_config(config)
    main = getattr(model, model.base_model_prefix, None)
    if main is None:
        raise UserError(
            f"{source}: {config.model_type} has no single encoder layer that tfner can build on: choose a BERT-like encoder"
        )
    if getattr(main, "pooler", None) is not None:
        main.pooler = keras.layers.Activation("linear") if config.model_type == "mpnet" else None  # MPNet calls it unasked
    main._name = ENCODER
    speed_up(main)
    return main
