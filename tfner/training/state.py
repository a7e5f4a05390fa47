"""The training state on disk: everything that is needed to rebuild a trained model.

Writes and reads a folder `NAME/training/N` with settings, labels, config and tokenizer of the encoder, best weights, history
and scores. `run` says when the weights are written, and writes the scores; `report` writes the history.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tf_keras as keras

from tfner.config import Config
from tfner.contents import CONTENTS, check_contents, sampled
from tfner.errors import UserError, one_line, setting
from tfner.evaluation.scores import Scores, read_scores
from tfner.folder import (
    CALIBRATION,
    CONFIG,
    ENCODER,
    LABELS,
    SCORES,
    WEIGHTS,
    check_room,
    of_task,
    read_json,
    read_settings,
    write_json,
    write_whole,
)
from tfner.labels import LabelSet
from tfner.modeling.calibration import read_calibration
from tfner.modeling.pretrained import load_encoder_config, load_tokenizer, piece_limit
from tfner.modeling.rows import RowEncoder, row_encoders
from tfner.modeling.variants import build_model
from tfner.tagging.tagger import Head

WEIGHT_OVERHEAD = 8192
"""Bytes that a file of weights has at most besides those of each variable."""


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with what belongs to it. Exporters take it.

    Attributes:
        model: the Keras model with its best weights.
        heads: for each task its row encoder and its calibration, in order.
        config: the settings of the training.
        state: the folder of the training state.
        scores: for each task the scores by split, as far as they are known.
    """

    model: keras.Model
    heads: Mapping[str, Head]
    config: Config
    state: Path
    scores: Mapping[str, Mapping[str, Scores]]

    @property
    def row_encoder(self) -> RowEncoder:
        """The row encoder of the first task. Those of other tasks have other labels."""
        return next(iter(self.heads.values())).row_encoder

    @property
    def sizes(self) -> list[int]:
        """The number of labels of each task."""
        return [len(head.row_encoder.labels) for head in self.heads.values()]

    def alone(self, task: str) -> TrainedModel:
        """The model as one of a single task. Raises UserError for a task that it does not have."""
        if task not in self.heads:
            raise UserError(f"{setting('task', task)}: expected a task of this model: {', '.join(self.heads)}", self.state)
        config, scores = replace(self.config, task=task), {task: self.scores[task]}
        return replace(self, heads={task: self.heads[task]}, config=config, scores=scores)


def begin_state(folder: Path, config: Config, labels: Mapping[str, LabelSet], source: str, tokenizer: Any) -> None:
    """Writes what is needed to rebuild a model, except its weights. `labels` are those of each task."""
    (folder / CONFIG).write_text(config.to_json(), "utf-8")
    for task, own in labels.items():
        place = of_task(folder, config, task)
        place.mkdir(exist_ok=True)
        (place / LABELS).write_text(json.dumps(own.names, ensure_ascii=False), "utf-8")
    load_encoder_config(source).save_pretrained(folder / ENCODER)
    tokenizer.save_pretrained(folder / ENCODER)


def change_settings(folder: Path, config: Config) -> None:
    """Writes the settings of a training that goes on with others (`request.MAY_DIFFER`)."""
    if (folder / CONFIG).read_text("utf-8") == config.to_json():
        return
    write_whole(folder / CONFIG, lambda draft: draft.write_text(config.to_json(), "utf-8"))
    if (folder / CONTENTS).is_file():
        noted = read_json(folder / CONTENTS) | {CONFIG: sampled(folder / CONFIG)}
        write_whole(folder / CONTENTS, lambda draft: write_json(draft, noted))


def save_weights(folder: Path, model: keras.Model) -> None:
    """Writes the weights, whole or not at all. Raises OSError where they cannot be written."""

    def write(draft: Path) -> None:
        check_room(draft, sum(4 * math.prod(w.shape) + WEIGHT_OVERHEAD for w in model.weights))
        model.save_weights(draft, save_format="h5")

    write_whole(folder / WEIGHTS, write)


def load_state(folder: Path) -> TrainedModel:
    """Rebuilds the model of a training state with its best weights.

    Raises:
        UserError: if files are missing or damaged.
    """
    try:
        config, labels = read_settings(folder)
        places = {task: of_task(folder, config, task) for task in labels}
        calibrations = {task: read_calibration(place / CALIBRATION) for task, place in places.items()}
        check_contents(folder)
    except UserError as error:
        raise UserError(error.message, folder) from error
    except (OSError, ValueError) as error:
        raise UserError(
            f"expected a complete training state, found a missing or damaged file ({one_line(error)}): train again with "
            "python -m tfner.train",
            folder,
        ) from error
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise UserError(
            f"expected {WEIGHTS}, which is missing because the training ended during its first epoch: train again with "
            "python -m tfner.train",
            folder,
        )
    source = str(folder / ENCODER)
    tokenizer = load_tokenizer(source)
    model = build_model(config.variant, source, [len(own) for own in labels.values()], config, weights=False)
    try:
        model.load_weights(weights)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"the weights cannot be read ({one_line(error)}): train again with python -m tfner.train", weights
        ) from error
    encoders = row_encoders(tokenizer, labels, config, piece_limit(load_encoder_config(source), tokenizer))
    heads = {task: Head(encoder, calibrations[task]) for task, encoder in encoders.items()}
    return TrainedModel(model, heads, config, folder, {task: read_scores(place / SCORES) for task, place in places.items()})
