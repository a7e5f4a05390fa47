"""The files of an export for another runtime besides its graph or weights.

Takes a `TrainedModel` and writes the config of transformers with the labels, the tokenizer, the scores, and what tfner knows of
the export.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfner.evaluation.scores import write_scores
from tfner.folder import DESCRIPTION, ENCODER, SCORES, WEIGHTS, digest, of_task
from tfner.modeling import variants
from tfner.modeling.pretrained import CLASSES, load_tokenizer, piece_limit
from tfner.tagging.exported import describe
from tfner.training.state import TrainedModel


def write_description(folder: Path, trained: TrainedModel, inputs: list[str] | None = None) -> None:
    """Writes the `config.json` of transformers with the labels, the tokenizer, the scores and `DESCRIPTION`.

    In the config, the labels of several tasks have names such as `pos/NN`.

    Args:
        folder: the folder to write into.
        trained: the model.
        inputs: the names of the arrays that the tokenizer returns; None leaves its own.
    """
    config, several = trained.config, len(trained.heads) > 1
    labels = {task: head.row_encoder.labels.names for task, head in trained.heads.items()}
    names = [f"{task}/{name}" if several else name for task, own in labels.items() for name in own]
    # the config of the encoder in the model: with variant replace it has one layer fewer
    description = copy.deepcopy(trained.model.get_layer(variants.ENCODER).config)
    same = config.variant != "head" and description.model_type in CLASSES
    description.architectures = [CLASSES[description.model_type][0]] if same else None
    description.id2label = dict(enumerate(names))
    description.label2id = {name: i for i, name in enumerate(names)}
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

    for task, scores in trained.scores.items():
        place = of_task(folder, config, task)
        place.mkdir(exist_ok=True)
        write_scores(place / SCORES, scores)
    describe_export(folder, trained, "float32", {})


def describe_export(folder: Path, trained: TrainedModel, precision: str, measured: Mapping[str, Any]) -> None:
    """Writes `DESCRIPTION`.

    Args:
        folder: the folder of the export.
        trained: the model.
        precision: the precision of the export's matrix products.
        measured: what was measured, by name.
    """
    encoder = trained.model.get_layer(variants.ENCODER).config
    text = describe(
        trained.config,
        {task: head.row_encoder.labels for task, head in trained.heads.items()},
        {task: head.calibration for task, head in trained.heads.items()},
        piece_limit(encoder, trained.row_encoder.tokenizer),
        digest(trained.state / WEIGHTS),
        precision=precision,
        measured=measured,
    )
    (folder / DESCRIPTION).write_text(text, "utf-8")
