"""Format `onnx`: a folder for ONNX Runtime, written without PyTorch.

Takes a `TrainedModel` of any variant and returns a function that fills a folder with `model.onnx`, config, tokenizer and model
card. tf2onnx converts the graph, and `int8` quantizes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfner.contract import PIECES, Field, Signature
from tfner.errors import UserError, one_line, setting
from tfner.exports import int8, runtime
from tfner.exports.gate import Gate, one_way
from tfner.folder import ENCODER, GRAPHS
from tfner.modeling.variants import build_model
from tfner.tagging.onnx import OnnxTagger
from tfner.training.state import TrainedModel

OPSET = 17  # ONNX Runtime reads it since 1.12
MAX_BYTES = 2**31  # the size limit of a protobuf message, and so of an ONNX file

LOGITS = "logits"
SIGNATURE = Signature(
    GRAPHS["onnx"],
    "Takes word pieces as the tokenizer in this folder returns them. A word's prediction is that of its first piece.",
    {name: replace(field, dtype="int64") for name, field in PIECES.inputs.items()},
    {LOGITS: Field("float32", ("batch", "length", "labels"), "logit of each label")},
)
INPUTS = list(SIGNATURE.inputs)


def writer(trained: TrainedModel, gate: Gate, precision: str = "float32") -> Callable[[Path], None]:
    """Returns a function that fills a folder for ONNX Runtime.

    Args:
        trained: the model.
        gate: decides whether the export is kept.
        precision: float32, or int8, where the matrix products multiply integers.

    Raises:
        UserError: if the model does not fit into ONNX.
    """
    graph = onnx_graph(trained)

    def write_graph(folder: Path, graph: Any) -> None:
        (folder / GRAPHS["onnx"]).write_bytes(graph.SerializeToString())

    ways = {
        "int8": lambda: int8.ways(graph, {"int8": int8.dynamic}, write_graph),
        "float32": lambda: one_way("float32", partial(write_graph, graph=graph), exact=True),
    }
    return runtime.writer(trained, "onnx", SIGNATURE, ways, OnnxTagger, precision, gate)


def onnx_graph(trained: TrainedModel):
    """A model as an `onnx.ModelProto` with the inputs and outputs of `SIGNATURE`, in float32 whatever it was trained in.

    Its logits are divided by the model's temperature, those of each task by its own.

    Raises:
        UserError: if the weights are too large for ONNX, or ONNX cannot express the encoder.
    """
    import onnx
    import tf2onnx

    model = in_float32(trained)
    temperatures = np.repeat([head.calibration.temperature for head in trained.heads.values()], trained.sizes)
    size = sum(variable.shape.num_elements() * variable.dtype.size for variable in model.weights)
    if size >= MAX_BYTES:
        raise UserError(
            f"{setting('format', 'onnx')}: expected less than 2 GiB of weights, the limit of an ONNX file, found "
            f"{size / 2**30:.1f} GiB: use {setting('format', 'savedmodel')} or {setting('format', 'transformers')}"
        )

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int64, name) for name in INPUTS])
    def logits(input_ids, attention_mask):
        inputs = {"input_ids": tf.cast(input_ids, tf.int32), "attention_mask": tf.cast(attention_mask, tf.int32)}
        values = model(inputs, training=False)
        return {LOGITS: values if (temperatures == 1).all() else values / temperatures.astype(np.float32)}

    graph, _ = tf2onnx.convert.from_function(
        logits, logits.input_signature, opset=OPSET, custom_op_handlers={"Erfc": (_erfc, ["Erf"])}
    )
    for value in (*graph.graph.input, *graph.graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim[:2], ("batch", "length"), strict=True):
            dimension.dim_param = name
    try:
        onnx.checker.check_model(graph)
    except onnx.checker.ValidationError as error:  # tf2onnx keeps operations that it cannot convert
        raise UserError(
            f"{setting('format', 'onnx')}: ONNX cannot express this encoder ({one_line(error)}): use "
            f"{setting('format', 'savedmodel')}"
        ) from error
    return graph


def in_float32(trained: TrainedModel) -> keras.Model:
    """The model in float32: the same object, or a new one with the same weights if it was trained in another precision."""
    config = trained.config
    if config.precision == "float32":
        return trained.model
    config = replace(config, precision="float32")
    exact = build_model(config.variant, str(trained.state / ENCODER), trained.sizes, config, weights=False)
    exact.set_weights(trained.model.get_weights())  # mixed precision keeps weights in float32
    return exact


def _erfc(context, node, name, args):
    """A tf2onnx handler for Erfc, which Keras uses in GELU and ONNX lacks: 1 - Erf (tf2onnx has changed the node to Erf)."""
    one = context.make_const(f"{name}_one", np.float32(1))
    context.insert_node_on_output(context.make_node("Sub", [one.output[0], node.output[0]]), node.output[0])
