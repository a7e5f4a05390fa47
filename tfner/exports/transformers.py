"""A trained model as a folder that PyTorch transformers loads, 4 and 5 alike, written without PyTorch.

In go a Keras model, its encoder and its training state, out come weights by PyTorch's names, config, tokenizer and a card.
`write_description` writes all but the weights, for other formats as well.
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
from tfner.folder import CARD, CONFIG, ENCODER, HISTORY, SCORES, SETTINGS, read_history
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
"""By model type, the class that is the encoder, dropout and one linear layer on its last hidden states, as `finetune` is, and
the name it has for the encoder."""

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
        UserError: for variant `head` and for encoders that are not in `CLASSES`: no class is known to compute the same.
    """
    from transformers.modeling_tf_pytorch_utils import apply_transpose, convert_tf_weight_name_to_pt_weight_name

    kind = model.get_layer(variants.ENCODER).config.model_type
    if config.variant == "head":
        raise UserError(
            f"{setting('format', 'transformers')}: expected variant finetune or replace, got head: "
            f"transformers has no class with an MLP head; {setting('format', 'onnx')} takes it"
        )
    if kind not in CLASSES:
        raise UserError(
            f"{setting('format', 'transformers')}: expected an encoder of type {', '.join(CLASSES)}, "
            f"got {kind}, for which no PyTorch class is known to compute the same; {setting('format', 'onnx')} takes it"
        )
    prefix = CLASSES[kind][1]
    kernel, bias = model.get_layer("classifier").weights
    weights = {"classifier.weight": kernel.numpy().T, "classifier.bias": bias.numpy()}
    for variable in model.get_layer(variants.ENCODER).weights:
        # encoder/embeddings/... in a model that was built anew, tf_bert_model/bert/embeddings/... in a pretrained one
        name = (variable.name.partition(f"/{prefix}/")[2] or variable.name.partition("/")[2]).removesuffix(":0")
        name, transpose = convert_tf_weight_name_to_pt_weight_name(f"scope/{prefix}/{name}", tf_weight_shape=variable.shape)
        weights[name] = apply_transpose(transpose, variable.numpy(), pt_to_tf=False)
    return {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}  # safetensors writes the buffer


def writer(trained: TrainedModel, say: Callable[[str], None] = print) -> Callable[[Path], None]:
    """A function that fills a folder for `AutoModelForTokenClassification`.

    Raises UserError where no PyTorch class computes the same as the model.
    """
    from safetensors.numpy import save

    weights = pytorch_weights(trained.model, trained.config)
    # plain labels have no B- and I- for the pipeline to join pieces by
    usage = _USAGE.format(options="" if trained.row_encoder.labels.plain else ', aggregation_strategy="first"')

    def write(folder: Path) -> None:
        # save_file would make a file that nobody else may read
        (folder / "model.safetensors").write_bytes(save(weights, metadata={"format": "pt"}))
        write_description(folder, trained, usage, "transformers")

    return write


def write_description(folder: Path, trained: TrainedModel, usage: str, library: str, inputs: list[str] | None = None) -> None:
    """Writes transformers' `config.json` with the labels, the tokenizer, the settings, the scores and a model card.

    Args:
        folder: where to.
        trained: the model.
        usage: the last section of the card.
        library: the library that loads the folder, by its name on the hub.
        inputs: what the tokenizer returns [its own choice].
    """
    config, labels = trained.config, trained.row_encoder.labels
    # the config of the encoder as it is: variant replace has one layer less
    description = copy.deepcopy(trained.model.get_layer(variants.ENCODER).config)
    same = config.variant != "head" and description.model_type in CLASSES
    description.architectures = [CLASSES[description.model_type][0]] if same else None
    description.id2label = dict(enumerate(labels.names))
    description.label2id = {name: i for i, name in enumerate(labels.names)}
    description.torch_dtype = "float32"
    if hasattr(description, "classifier_dropout"):  # DistilBERT has another name for each of its uses
        description.classifier_dropout = config.dropout
    if hasattr(description, "position_embedding_type"):
        description.position_embedding_type = "absolute"  # the only type that the TensorFlow classes compute
    description.save_pretrained(folder)

    tokenizer = load_tokenizer(str(trained.state / ENCODER))
    tokenizer.model_max_length = piece_limit(description, tokenizer)  # where a pipeline cuts
    if inputs:
        tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = inputs  # the latter is what gets saved
    tokenizer.save_pretrained(folder)

    (folder / SETTINGS).write_text(config.to_json(), "utf-8")
    write_scores(folder / SCORES, trained.scores)
    card = model_card(config, labels, trained.scores, read_history(trained.state / HISTORY))
    card = card.partition("## Signature")[0].replace(f"`{CONFIG}`", f"`{SETTINGS}`")  # signatures are the SavedModel's
    front = f"---\nlibrary_name: {library}\npipeline_tag: token-classification\n---\n\n"
    (folder / CARD).write_text(front + card + usage, "utf-8")
