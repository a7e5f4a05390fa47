"""A trained model as a folder that PyTorch transformers loads, 4 and 5 alike, written without PyTorch.

In go a Keras model, its encoder and its training state, out come weights by PyTorch's names, config, tokenizer and a card.
``write_description`` writes all but the weights, for other formats as well.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tf_keras as keras

from tfner.config import Config
from tfner.errors import UserError
from tfner.evaluation.scores import Scores
from tfner.exports import saved_model as bundle
from tfner.exports.card import model_card
from tfner.modeling.pretrained import load_tokenizer, piece_limit
from tfner.modeling.rows import Encoder
from tfner.modeling.variants import ENCODER

CLASSES = {
    "bert": ("BertForTokenClassification", "bert"),
    "camembert": ("CamembertForTokenClassification", "roberta"),
    "distilbert": ("DistilBertForTokenClassification", "distilbert"),
    "electra": ("ElectraForTokenClassification", "electra"),
    "roberta": ("RobertaForTokenClassification", "roberta"),
    "xlm-roberta": ("XLMRobertaForTokenClassification", "roberta"),
}
"""By model type, the class that is the encoder, dropout and one linear layer on its last hidden states, as ``finetune`` is, and
the name it has for the encoder."""

SETTINGS = "tfner.json"
"""The settings of the training: ``config.json`` is transformers' own file in these folders."""

_USAGE = """## Use

```python
from transformers import pipeline

pipeline("token-classification", FOLDER{options})("My name is Ahmed and I work in Nice.")
```

For PyTorch transformers 4 and 5. The prediction of a word is that of its first word piece; for text that is split into words
already, call the tokenizer with `is_split_into_words=True`.
"""


def pytorch_weights(model: keras.Model, config: Config) -> dict[str, np.ndarray]:
    """The weights of a model, float32, by the names and in the shapes that PyTorch's class has for them.

    Raises:
        UserError: for variant ``head`` and for encoders that are not in ``CLASSES``: no class is known to compute the same.
    """
    from transformers.modeling_tf_pytorch_utils import apply_transpose, convert_tf_weight_name_to_pt_weight_name

    kind = model.get_layer(ENCODER).config.model_type
    if config.variant == "head":
        raise UserError(
            "--format transformers: expected variant finetune or replace, got head: transformers has no class with an MLP "
            "head; --format onnx takes it"
        )
    if kind not in CLASSES:
        raise UserError(
            f"--format transformers: expected an encoder of type {', '.join(CLASSES)}, got {kind}, of which tfner knows no "
            "PyTorch class that computes the same; --format onnx takes it"
        )
    prefix = CLASSES[kind][1]
    kernel, bias = model.get_layer("classifier").weights
    weights = {"classifier.weight": kernel.numpy().T, "classifier.bias": bias.numpy()}
    for variable in model.get_layer(ENCODER).weights:
        # encoder/embeddings/... in a model that was built anew, tf_bert_model/bert/embeddings/... in a pretrained one
        name = (variable.name.partition(f"/{prefix}/")[2] or variable.name.partition("/")[2]).removesuffix(":0")
        name, transpose = convert_tf_weight_name_to_pt_weight_name(f"scope/{prefix}/{name}", tf_weight_shape=variable.shape)
        weights[name] = apply_transpose(transpose, variable.numpy(), pt_to_tf=False)
    return {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}  # safetensors writes the buffer


def write_transformers(
    folder: Path,
    weights: Mapping[str, np.ndarray],
    model: keras.Model,
    encoder: Encoder,
    config: Config,
    state: Path,
    scores: Mapping[str, Scores],
) -> None:
    """Fills a folder for ``AutoModelForTokenClassification``; ``weights`` are the model's ``pytorch_weights``."""
    from safetensors.numpy import save

    # save_file would make a file that nobody else may read
    (folder / "model.safetensors").write_bytes(save(dict(weights), metadata={"format": "pt"}))
    # plain labels have no B- and I- for the pipeline to join pieces by
    usage = _USAGE.format(options="" if encoder.labels.plain else ', aggregation_strategy="first"')
    write_description(folder, model, encoder, config, state, scores, usage, "transformers")


def write_description(
    folder: Path,
    model: keras.Model,
    encoder: Encoder,
    config: Config,
    state: Path,
    scores: Mapping[str, Scores],
    usage: str,
    library: str,
    inputs: list[str] | None = None,
) -> None:
    """Writes transformers' ``config.json`` with the labels, the tokenizer, the settings, the scores and a model card.

    ``usage`` is the card's last section, ``library`` its name on the hub, ``inputs`` what the tokenizer is to return [its own
    choice].
    """
    names = encoder.labels.names
    description = copy.deepcopy(model.get_layer(ENCODER).config)  # of the encoder as it is: variant replace has a layer less
    same = config.variant != "head" and description.model_type in CLASSES
    description.architectures = [CLASSES[description.model_type][0]] if same else None
    description.id2label = dict(enumerate(names))
    description.label2id = {name: i for i, name in enumerate(names)}
    description.torch_dtype = "float32"
    if hasattr(description, "classifier_dropout"):  # DistilBERT's has another name for each of its uses
        description.classifier_dropout = config.dropout
    if hasattr(description, "position_embedding_type"):
        description.position_embedding_type = "absolute"  # the only type that TensorFlow's classes compute
    description.save_pretrained(folder)

    tokenizer = load_tokenizer(str(state / "encoder"))
    tokenizer.model_max_length = piece_limit(description, tokenizer)  # where a pipeline cuts
    if inputs:
        tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = inputs  # the latter is what gets saved
    tokenizer.save_pretrained(folder)

    (folder / SETTINGS).write_text(config.to_json(), "utf-8")
    bundle.write_scores(folder / bundle.SCORES, scores)
    card = model_card(config, encoder.labels, scores, bundle.read_history(state / bundle.HISTORY))
    card = card.partition("## Signature")[0].replace("`config.json`", f"`{SETTINGS}`")  # that section is the SavedModel's
    front = f"---\nlibrary_name: {library}\npipeline_tag: token-classification\n---\n\n"
    (folder / "README.md").write_text(front + card + usage, "utf-8")
