"""A trained model as a folder for ONNX Runtime.

In go a Keras model of any variant, its encoder and its training state, out come `model.onnx`, config, tokenizer and a card.
Nothing here needs PyTorch; the conversion is tf2onnx's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tfner.config import Config
from tfner.contract import PIECES
from tfner.errors import UserError, one_line, setting
from tfner.exports.transformers import write_description
from tfner.folder import ENCODER
from tfner.modeling.variants import build_model
from tfner.training.state import TrainedModel

MODEL = "model.onnx"
INPUTS = list(PIECES.inputs)
OPSET = 17  # read by ONNX Runtime since 1.12
MAX_BYTES = 2**31  # bytes that a protobuf message, and so model.onnx, can hold

_USAGE = """## Use

`model.onnx` takes `input_ids` and `attention_mask`, int64, shape (batch, length), and gives `logits`, float32, shape (batch,
length, labels). The prediction of a word is that of its first word piece.

```python
import onnxruntime
from transformers import AutoTokenizer

inputs = AutoTokenizer.from_pretrained(FOLDER)([TEXT], padding=True, return_tensors="np")
session = onnxruntime.InferenceSession(FOLDER + "/model.onnx")
logits = session.run(["logits"], dict(inputs))[0]
```
"""


def writer(trained: TrainedModel, say: Callable[[str], None] = print) -> Callable[[Path], None]:
    """A function that fills a folder for ONNX Runtime.

    Raises UserError where tf2onnx is not installed, or the model does not fit into ONNX.
    """
    graph = onnx_graph(trained.model, trained.config, trained.state)

    def write(folder: Path) -> None:
        (folder / MODEL).write_bytes(graph.SerializeToString())
        write_description(folder, trained, _USAGE, "onnx", INPUTS)

    return write


def onnx_graph(model: keras.Model, config: Config, state: Path):
    """A model as an `onnx.ModelProto` in float32, whatever precision it was trained in.

    Inputs `input_ids` and `attention_mask`, int64, shape (batch, length), both dynamic, as tokenizers return them; output
    `logits`, float32, shape (batch, length, labels).

    Raises:
        UserError: where tf2onnx is not installed, or the encoder does not fit into ONNX.
    """
    import onnx
    import tf2onnx

    model = in_float32(model, config, state)
    size = sum(variable.shape.num_elements() * variable.dtype.size for variable in model.weights)
    if size >= MAX_BYTES:
        raise UserError(
            f"{setting('format', 'onnx')}: expected less than 2 GiB of weights, which is all that model.onnx can hold, got "
            f"{size / 2**30:.1f} GiB: choose {setting('format', 'savedmodel')} or transformers"
        )

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int64, name) for name in INPUTS])
    def logits(input_ids, attention_mask):
        inputs = {"input_ids": tf.cast(input_ids, tf.int32), "attention_mask": tf.cast(attention_mask, tf.int32)}
        return {"logits": model(inputs, training=False)}

    graph, _ = tf2onnx.convert.from_function(
        logits, logits.input_signature, opset=OPSET, custom_op_handlers={"Erfc": (_erfc, ["Erf"])}
    )
    for value in (*graph.graph.input, *graph.graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim[:2], ("batch", "length"), strict=True):
            dimension.dim_param = name
    try:
        onnx.checker.check_model(graph)
    except onnx.checker.ValidationError as error:  # tf2onnx leaves an operation in place that it cannot express
        raise UserError(
            f"{setting('format', 'onnx')}: ONNX cannot express this encoder ({one_line(error)}): choose "
            f"{setting('format', 'savedmodel')}"
        ) from error
    return graph


def in_float32(model: keras.Model, config: Config, state: Path) -> keras.Model:
    """The model with float32 arithmetic: itself, or built anew where it was trained in another precision."""
    if config.precision == "float32":
        return model
    exact = build_model(
        config.variant, str(state / ENCODER), model.output_shape[-1], replace(config, precision="float32"), weights=False
    )
    exact.set_weights(model.get_weights())  # mixed precision keeps its weights in float32
    return exact


def _erfc(context, node, name, args):
    """A handler of tf2onnx: Erfc, which Keras's GELU is made of and ONNX lacks, as 1 - Erf (the node's type by now)."""
    one = context.make_const(f"{name}_one", np.float32(1))
    context.insert_node_on_output(context.make_node("Sub", [one.output[0], node.output[0]]), node.output[0])
