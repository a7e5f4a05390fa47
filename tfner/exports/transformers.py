"""Format `transformers`: a folder that PyTorch transformers 4 and 5 load, written without PyTorch.

Takes a `TrainedModel` and returns a function that fills a folder with weights under the names of PyTorch, config, tokenizer and
model card.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tf_keras as keras

from tfner.config import Config
from tfner.errors import UserError, setting
from tfner.exports.card import model_card
from tfner.exports.description import write_description
from tfner.folder import CARD
from tfner.modeling import variants
from tfner.modeling.pretrained import CLASSES
from tfner.training.state import TrainedModel


def pytorch_weights(
    model: keras.Model, config: Config, temperature: float = 1.0, columns: slice = slice(None)
) -> dict[str, np.ndarray]:
    """The weights of a model, float32, with the names and shapes of the PyTorch class.

    Those of the classification layer are divided by the temperature, so that the logits are. Of a model of several tasks, it
    has the `columns` of one.

    Raises:
        UserError: for variant `head` and for encoders that are not in `CLASSES`, because no PyTorch class computes the same.
    """
    from transformers.modeling_tf_pytorch_utils import apply_transpose, convert_tf_weight_name_to_pt_weight_name

    kind = model.get_layer(variants.ENCODER).config.model_type
    if any(layer.name == "merged" for layer in model.layers):
        raise UserError(
            f"{setting('format', 'transformers')}: the labels of this checkpoint were converted to IOB2, which no class of "
            "transformers does: use the checkpoint itself"
        )
    if config.variant == "head":
        raise UserError(
            f"{setting('format', 'transformers')}: expected variant finetune or replace, found head, for which "
            f"transformers has no class: use {setting('format', 'onnx')}"
        )
    if kind not in CLASSES:
        raise UserError(
            f"{setting('format', 'transformers')}: expected an encoder of type {', '.join(CLASSES)}, found {kind}, for which "
            f"no PyTorch class is known to compute the same: use {setting('format', 'onnx')}"
        )
    prefix = CLASSES[kind][1]
    kernel, bias = model.get_layer("classifier").weights
    weights = {
        "classifier.weight": kernel.numpy().T[columns] / temperature,
        "classifier.bias": bias.numpy()[columns] / temperature,
    }
    for variable in model.get_layer(variants.ENCODER).weights:
        # encoder/embeddings/... in a model with random weights, tf_bert_model/bert/embeddings/... in a pretrained one
        name = (variable.name.partition(f"/{prefix}/")[2] or variable.name.partition("/")[2]).removesuffix(":0")
        name, transpose = convert_tf_weight_name_to_pt_weight_name(f"scope/{prefix}/{name}", tf_weight_shape=variable.shape)
        weights[name] = apply_transpose(transpose, variable.numpy(), pt_to_tf=False)
    return {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}  # safetensors needs C order


def writer(trained: TrainedModel, say: Callable[[str], None] = print) -> Callable[[Path], None]:
    """Returns a function that fills a folder for `AutoModelForTokenClassification`.

    Args:
        trained: the model.
        say: not used; every format has it.

    Raises:
        UserError: if no PyTorch class computes the same as the model.
    """
    from safetensors.numpy import save

    (head,) = trained.heads.values()
    weights = pytorch_weights(trained.model, trained.config, head.calibration.temperature, head.row_encoder.columns)

    def write(folder: Path) -> None:
        # save_file makes a file that other users cannot read
        (folder / "model.safetensors").write_bytes(save(weights, metadata={"format": "pt"}))
        write_description(folder, trained)
        (folder / CARD).write_text(model_card(trained, "transformers"), "utf-8")

    return write
