"""The three variants: functional Keras models from piece ids to logits.

They take `input_ids` and `attention_mask`, int32, shape (batch, length), and return `logits`, float32, shape
(batch, length, labels). Training, softmax and decoding are left to others.
"""

# Internals of other libraries that this module depends on, checked with transformers 4.54.1 and tf-keras 2.21.0.
# tests/modeling/test_variants.py compares the variants with transformers' own models.
# - Keras: `Layer._name`, set to name the encoder after its construction.
# - transformers, models: `base_model_prefix` names the attribute that holds the main layer; its `pooler` can be removed (MPNet
#   calls it in any case, so it is replaced by the identity there). A model for token classification has a `classifier`.
# - transformers, loading: `output_loading_info=True` returns `missing_keys` and `mismatched_keys`;
#   `TF_MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING` lists the architectures.
# - transformers, configs: `num_hidden_layers`, `is_encoder_decoder`, `model_type`, `architectures`, `id2label`, `num_labels`,
#   `position_embedding_type`, which of the TensorFlow models only ESM reads.

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tfner.config import AUTO, PRECISIONS, VARIANTS, Config
from tfner.errors import UserError, one_line, setting
from tfner.modeling.layers import Dropout, Stack, speed_up
from tfner.modeling.merged import Merged
from tfner.modeling.pretrained import description_of, from_hub_or_folder, load_encoder_config, own_temperature

ENCODER = "encoder"
"""The name of the layer that holds the encoder. All other layers of a model are new, without pretrained weights."""
MERGED = "tfner_merged"
"""The entry of an encoder's config with the ids of the source labels of each merged label."""
_ABOVE = {"esm": "encoder.emb_layer_norm_after", "roberta-prelayernorm": "LayerNorm"}
"""For each model type that has one, the layer of its encoder above the transformer layers. Everything else is below them."""


def _finetune(hidden: tf.Tensor, labels: Sequence[int], settings: Config, loaded: Any) -> tf.Tensor:
    """The classification layer of transformers' `TFAutoModelForTokenClassification`, which was loaded."""
    return loaded.classifier(hidden)


def _replace(hidden: tf.Tensor, labels: Sequence[int], settings: Config, loaded: Any) -> tf.Tensor:
    """One dense layer."""
    return keras.layers.Dense(sum(labels), kernel_initializer=_initializer(settings), name="classifier")(hidden)


def _head(hidden: tf.Tensor, labels: Sequence[int], settings: Config, loaded: Any) -> tf.Tensor:
    """An MLP for each task: a dense layer with activation for each of `head_units`, then a linear one for the labels."""
    logits = [_mlp(hidden, number, settings, f"_{task}" if task else "") for task, number in enumerate(labels)]
    return logits[0] if len(logits) == 1 else keras.layers.Concatenate(name="classifiers")(logits)


def _mlp(hidden: tf.Tensor, labels: int, settings: Config, suffix: str) -> tf.Tensor:
    for i, units in enumerate(settings.head_units):
        initializer, name = keras.initializers.HeUniform(seed=settings.seed + i), f"head_{i}{suffix}"
        hidden = keras.layers.Dense(units, settings.head_activation, kernel_initializer=initializer, name=name)(hidden)
    initializer = keras.initializers.GlorotUniform(seed=settings.seed + len(settings.head_units))
    return keras.layers.Dense(labels, kernel_initializer=initializer, name=f"classifier{suffix}")(hidden)


BUILDERS: dict[str, Callable[[tf.Tensor, Sequence[int], Config, Any], tf.Tensor]] = {
    "finetune": _finetune,
    "head": _head,
    "replace": _replace,
}
"""The layers that each variant puts on the last hidden states, after dropout; the keys are those of `config.VARIANTS`. They
take the number of labels of each task, and return the logits of all. One dense layer for all tasks is one for each, side by
side.

`replace` has one dense layer on an encoder without its last transformer layer. The study describes it as BERT whose last layer
is replaced by a classification layer. Its last layer may mean the last transformer layer, or whatever comes last in a model
object (a pooler or a pretraining head). The second reading makes it the same as `finetune`, so tfner follows the first: n - 1
of n transformer layers remain, with their pretrained weights, and the classification layer takes their output.
"""


def build_model(
    variant: str,
    source: str,
    labels: int | Sequence[int],
    settings: Config,
    weights: bool = True,
    names: Sequence[str] = (),
    merged: Sequence[Sequence[int]] | None = None,
) -> keras.Model:
    """Builds a variant.

    Args:
        variant: a key of `config.VARIANTS`.
        source: the model folder or hub name of the encoder (see `pretrained.encoder_source`).
        labels: the number of labels, or of each task for a model of several, whose logits stand side by side.
        settings: `drop_layers`, `dropout`, `head_units`, `head_activation`, `precision` (`auto` is float32 here) and `seed`
            are used.
        weights: False leaves the weights of the encoder random, for a model whose weights are loaded afterwards.
        names: the labels. If an encoder comes with a classification layer for the same ones, in any order, `finetune` keeps its
            weights, multiplied by the temperature that an export of tfner divided them by.
        merged: keeps the encoder's own classification layer and merges its labels: for each label, the ids of its source
            labels; for `finetune` [the entry `MERGED` of the encoder's config].

    Raises:
        UserError: for an unknown variant, an encoder that transformers cannot run on TensorFlow or that has too few layers, and
            weights that are missing, damaged or of another encoder.
    """
    if variant not in VARIANTS:
        raise UserError(f"{setting('variant', variant)}: expected one of {', '.join(VARIANTS)}")
    sizes = [labels] if isinstance(labels, int) else list(labels)
    config = copy.deepcopy(load_encoder_config(source))
    _refuse_unsupported(config, source)
    merged = merged or getattr(config, MERGED, None)
    order = list(range(config.num_labels)) if merged else _classifier_order(config, names)
    config.num_labels = config.num_labels if merged else sum(sizes)
    _remove_layers(config, variant, settings.drop_layers, source)
    policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(PRECISIONS["float32" if settings.precision == AUTO else settings.precision])
    try:
        new = ("pooler",) if order else ("pooler", "classifier")
        loaded = _load(config, source, weights, new, classified=variant == "finetune")
        encoder = _main_layer(loaded, config, source)
        if variant == "finetune":
            _prepare_classifier(loaded.classifier, config.hidden_size, settings, order, own_temperature(source))
        ids = keras.Input((None,), dtype=tf.int32, name="input_ids")
        mask = keras.Input((None,), dtype=tf.int32, name="attention_mask")
        hidden = encoder(input_ids=ids, attention_mask=mask)[0]
        hidden = Dropout(settings.dropout, name="dropout")(hidden)
        logits = BUILDERS[variant](hidden, sizes, settings, loaded)
        if merged:
            logits = Merged(merged, name="merged", dtype=tf.float32)(logits)
        logits = keras.layers.Activation("linear", dtype=tf.float32, name="logits")(logits)
        return keras.Model({"input_ids": ids, "attention_mask": mask}, logits, name=variant)
    finally:
        keras.mixed_precision.set_global_policy(policy)


def classifier_note(variant: str, source: str, names: Sequence[str]) -> str | None:
    """What becomes of the classification layer that an encoder comes with, as a line for the terminal; None without one.

    `names` are the labels of the corpus, none for several tasks.
    """
    own = own_labels(load_encoder_config(source))
    if own is None:
        return None
    if variant != "finetune":
        note = f"the encoder's own classification layer is left out: {variant} has layers of its own"
        if variant == description_of(source).get("config", {}).get("variant") == "replace":
            note += "; the encoder is without its last transformer layer already, and replace removes another one"
        return note
    if not names:
        return "the encoder's own classification layer is left out: a model for several tasks has a new one"
    if sorted(own) == sorted(names):
        return "the encoder's own classification layer, which has the labels of the corpus, is trained further"
    shown = ", ".join(own[:8]) + (", ..." if len(own) > 8 else "")
    return f"the encoder's own classification layer is left out, because its labels differ from the corpus's: {shown}"


def logits_function(model: keras.Model) -> tf.types.experimental.PolymorphicFunction:
    """The model in inference mode as a function of `input_ids` and `attention_mask`, traced once for all shapes."""
    array = tf.TensorSpec((None, None), tf.int32)

    @tf.function(input_signature=[array, array])
    def logits(input_ids: tf.Tensor, attention_mask: tf.Tensor) -> tf.Tensor:
        return model({"input_ids": input_ids, "attention_mask": attention_mask}, training=False)

    return logits


def for_inference(model: keras.Model) -> bool:
    """Changes a model to a faster form that can only be used for inference (see `layers.Stack.for_inference`).

    Returns:
        Whether the model has such a form. If so, create its `logits_function` again before an export.
    """
    stack = getattr(model.get_layer(ENCODER), "encoder", None)
    if not isinstance(stack, Stack):
        return False
    stack.for_inference()
    return True


def trained_variables(model: keras.Model, frozen: int = 0) -> list[tf.Variable]:
    """The variables of a model that a training changes.

    Args:
        model: the model. Its `trainable` flags stay as they are, as the order of its weights depends on them.
        frozen: the number of the lowest transformer layers that stay as they are, with all that is below them.

    Raises:
        UserError: where the encoder has fewer layers, or layers of another kind.
    """
    if not frozen:
        return list(model.trainable_variables)
    encoder = model.get_layer(ENCODER)
    stack = getattr(encoder, "encoder", None) or getattr(encoder, "transformer", None)
    layers = getattr(stack, "layer", None)
    if layers is None:
        raise UserError(
            f"{setting('freeze_layers', frozen)}: expected an encoder with a layer of its own for each step, as BERT has, "
            f"found {encoder.config.model_type}: leave it out"
        )
    if frozen > len(layers):
        raise UserError(
            f"{setting('freeze_layers', frozen)}: expected at most {len(layers)}, the transformer layers of the model"
        )
    above = _ABOVE.get(encoder.config.model_type)
    upper = [*layers[frozen:], *([attrgetter(above)(encoder)] if above else [])]
    trained = {v.ref() for v in (*new_variables(model), *(v for layer in upper for v in layer.trainable_variables))}
    return [v for v in model.trainable_variables if v.ref() in trained]


def new_variables(model: keras.Model) -> list[tf.Variable]:
    """The trainable variables of a model outside its encoder."""
    return [v for layer in model.layers if layer.name != ENCODER for v in layer.trainable_variables]


def parameter_counts(model: keras.Model) -> dict[str, int]:
    """The numbers of trainable parameters in the encoder and in the new layers."""
    new = sum(math.prod(v.shape) for v in new_variables(model))
    return {"encoder": sum(math.prod(v.shape) for v in model.trainable_variables) - new, "new": new}


def _initializer(settings: Config) -> Any:
    return keras.initializers.TruncatedNormal(stddev=0.02, seed=settings.seed)  # BERT's initializer_range


def _refuse_unsupported(config: Any, source: str) -> None:
    from transformers import TF_MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING

    if config.is_encoder_decoder:
        raise UserError(
            f"expected an encoder such as BERT, found {config.model_type}, which is an encoder-decoder: choose an encoder",
            source,
        )
    if type(config) not in TF_MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING:
        raise UserError(
            "expected an architecture with which transformers can classify tokens on TensorFlow, found "
            f"{config.model_type!r}: choose an encoder such as BERT, DistilBERT, RoBERTa or ELECTRA",
            source,
        )
    positions = getattr(config, "position_embedding_type", "absolute")
    if str(positions).startswith("relative") and config.model_type != "esm":
        raise UserError(
            f"config.json: expected absolute positions, found position_embedding_type {positions!r}, which transformers "
            f"computes for {config.model_type} with PyTorch alone: choose an encoder with absolute positions",
            source,
        )


def _remove_layers(config: Any, variant: str, dropped: int, source: str) -> None:
    """Removes the highest transformer layers: that of `replace`, then as many as are dropped."""
    left = config.num_hidden_layers
    if variant == "replace":
        if left < 2:
            raise UserError(
                f"{setting('variant', variant)} removes the last transformer layer: expected an encoder of at least 2, found "
                f"{left}: choose another encoder or variant",
                source,
            )
        left -= 1
    if dropped > left:
        raise UserError(
            f"{setting('drop_layers', dropped)}: expected at most {left}, the transformer layers of the encoder"
            f"{' that replace leaves' if variant == 'replace' else ''}",
            source,
        )
    if left - dropped == config.num_hidden_layers:
        return
    try:
        config.num_hidden_layers = left - dropped
    except NotImplementedError as error:  # Funnel, whose layers are in blocks
        given = setting("drop_layers", dropped) if dropped else setting("variant", variant)
        raise UserError(
            f"{given}: expected an encoder from which single layers can be removed, such as BERT, found {config.model_type}: "
            "choose another encoder, or keep all layers",
            source,
        ) from error


def own_labels(config: Any) -> list[str] | None:
    """The labels of the classification layer that an encoder comes with, or None if it has none."""
    if not any("ForTokenClassification" in name for name in config.architectures or ()):
        return None
    return [name for _, name in sorted(config.id2label.items())]


def _classifier_order(config: Any, names: Sequence[str]) -> list[int] | None:
    """For each label its place in the encoder's own classification layer, or None if that has other labels."""
    own = own_labels(config)
    return [own.index(name) for name in names] if own and sorted(own) == sorted(names) else None


def _prepare_classifier(layer: Any, width: int, settings: Config, order: list[int] | None, temperature: float) -> None:
    """Gives a classification layer new weights, or puts its own, times the temperature, into the order of the labels."""
    if not layer.built:
        layer.build((None, None, width))
    if order is None:
        layer.kernel.assign(_initializer(settings)(layer.kernel.shape))
        layer.bias.assign(tf.zeros_like(layer.bias))
    else:
        layer.kernel.assign(temperature * tf.gather(layer.kernel, order, axis=1))
        layer.bias.assign(temperature * tf.gather(layer.bias, order))


def _load(config: Any, source: str, weights: bool, new: tuple[str, ...], classified: bool) -> Any:
    """A model of transformers, with a classification layer for tokens or without. Layers in `new` may lack weights."""
    from safetensors import SafetensorError
    from transformers import TFAutoModel, TFAutoModelForTokenClassification

    architecture = TFAutoModelForTokenClassification if classified else TFAutoModel
    if weights:

        def load(name: str, **options: Any) -> Any:
            options |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
            return architecture.from_pretrained(name, config=config, **options)

        try:
            model, info = from_hub_or_folder(source, "weights", load)
        except (SafetensorError, ImportError, tf.errors.OpError) as error:
            raise UserError(
                f"the weights cannot be read ({one_line(error)}): download or save them again, as safetensors or tf_model.h5",
                source,
            ) from error
        missing, mismatched = (  # their order differs between runs
            sorted(str(key) for key in info[kind] if not any(part in str(key) for part in new))
            for kind in ("missing_keys", "mismatched_keys")
        )
        if missing or mismatched:
            raise UserError(
                f"expected the weights of a {config.model_type} encoder as in config.json, found that {len(missing)} variables "
                f"are missing and {len(mismatched)} have another shape, such as {(missing or mismatched)[0]}: use weights and "
                "config.json of the same model",
                source,
            )
    else:
        model = architecture.from_config(config)
    return model


def _main_layer(model: Any, config: Any, source: str) -> Any:
    """The encoder of a model, named `ENCODER`. It has no pooler, because token classification does not use one."""
    main = getattr(model, model.base_model_prefix, None)
    if main is None:
        raise UserError(
            f"expected an architecture whose encoder is a single layer, found {config.model_type!r}: choose an encoder such as "
            "BERT, DistilBERT, RoBERTa or ELECTRA",
            source,
        )
    if getattr(main, "pooler", None) is not None:
        main.pooler = keras.layers.Activation("linear") if config.model_type == "mpnet" else None  # MPNet calls it in any case
    main._name = ENCODER
    speed_up(main)
    return main
