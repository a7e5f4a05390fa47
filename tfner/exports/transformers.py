"""Format `transformers`: a folder that PyTorch transformers 4 and 5 load, written without PyTorch.

Takes a `TrainedModel` and returns a function that fills a folder with weights under the names of PyTorch, config, tokenizer and
model card. `write_description` writes everything except the weights, for format `onnx` too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tf_keras as keras

from tfner.config import Config
from tfner.errors import UserError, setting
from tfner.evaluation.scores import write_scores
from tfner.exports.card import model_card
from tfner.folder import CARD, ENCODER, SCORES, SETTINGS
from tfner.modeling import variants
from tfner.modeling.pretrained import load_tokenizer, piece_limit
from tfner.training.state import TrainedModel

CLASSES = {
    "bert": ("BertForTokenClassification", "bert"),
    "camembert": ("CamembertForTokenClassification", "roberta"),
    "distilbert": ("DistilBertForTokenClassification", "distilbert"),
    "electra": ("ElectraForTokenClassification", "electra"),
    "roberta": ("RobertaForTokenClassification", "roberta"),
    "xlm-roberta": ("XLMRobertaForTokenClassification", "roberta"),
}
"""For each model type, the class with the architecture of `finetune` (encoder, dropout, one linear layer on the last hidden
states), and the name of the encoder in that class."""


def pytorch_weights(model: keras.Model, config: Config) -> dict[str, np.ndarray]:
    """The weights of a model, float32, with the names and shapes of the PyTorch class.

    Raises:
        UserError: for variant `head` and for encoders that are not in `CLASSES`, because no PyTorch class computes the same.
    """
    from transformers.modeling_tf_pytorch_utils import apply_transpose, convert_tf_weight_name_to_pt_weight_name

    kind = model.get_layer(variants.ENCODER).config.model_type
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
    weights = {"classifier.weight": kernel.numpy().T, "classifier.bias": bias.numpy()}
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

    weights = pytorch_weights(trained.model, trained.config)

    def write(folder: Path) -> None:
        # save_file makes a file that other users cannot read
        (folder / "model.safetensors").write_bytes(save(weights, metadata={"format": "pt"}))
        write_description(folder, trained)
        (folder / CARD).write_text(model_card(trained, "transformers"), "utf-8")

    return write


def write_description(folder: Path, trained: TrainedModel, inputs: list[str] | None = None) -> None:
    """Writes the `config.json` of transformers with the labels, the tokenizer, the settings and the scores.

    Args:
        folder: the folder to write into.
        trained: the model.
        inputs: the names of the arrays that the tokenizer returns; None leaves its own.
    """
    config, labels = trained.config, trained.row_encoder.labels
    # the config of the encoder in the model: with variant replace it has one layer fewer
    description = copy.deepcopy(trained.model.get_layer(variants.ENCODER).config)
    same = config.variant != "head" and description.model_type in CLASSES
    description.architectures = [CLASSES[description.model_type][0]] if same else None
    description.id2label = dict(enumerate(labels.names))
    description.label2id = {name: i for i, name in enumerate(labels.names)}
    description.torch_dtype = "float32"
    if hasattr(description, "classifier_dropout"):  # DistilBERT has other names for its dropouts
        description.classifier_dropout = config.dropout
    if hasattr(description, "position_embedding_type"):
        description.position_embedding_type = "absolute"  # the only type that the TensorFlow classes compute
    description.save_pretrained(folder)

    tokenizer = load_tokenizer(str(trained.state / ENCODER))
    tokenizer.model_max_length = piece_limit(description, tokenizer)  # a pipeline cuts longer texts
    if inputs:
        tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = inputs  # the latter is saved
    tokenizer.save_pretrained(folder)

    (folder / SETTINGS).write_text(config.to_json(), "utf-8")
    write_scores(folder / SCORES, trained.scores)
