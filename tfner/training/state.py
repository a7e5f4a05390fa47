"""The training state on disk: everything that is needed to rebuild a trained model.

Writes and reads a folder `NAME/training/N` with settings, labels, config and tokenizer of the encoder, best weights, history
and scores. `run` says when the weights are written, and writes the scores; `report` writes the history.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tf_keras as keras

from tfner.config import Config
from tfner.contents import check_contents
from tfner.errors import UserError, one_line
from tfner.evaluation.scores import Scores, read_scores
from tfner.folder import CALIBRATION, CONFIG, ENCODER, LABELS, SCORES, WEIGHTS, check_room, read_settings, write_whole
from tfner.labels import LabelSet
from tfner.modeling.calibration import UNCALIBRATED, Calibration, read_calibration
from tfner.modeling.pretrained import load_encoder_config, load_tokenizer, piece_limit
from tfner.modeling.rows import RowEncoder, make_row_encoder
from tfner.modeling.variants import build_model

WEIGHT_OVERHEAD = 8192
"""Bytes that a file of weights has at most besides those of each variable."""


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with what belongs to it. Exporters take it.

    Attributes:
        model: the Keras model with its best weights.
        row_encoder: tokenizer, label set and row length.
        config: the settings of the training.
        state: the folder of the training state.
        scores: the scores by split, as far as they are known.
        calibration: the temperature, and which entities are accepted.
    """

    model: keras.Model
    row_encoder: RowEncoder
    config: Config
    state: Path
    scores: Mapping[str, Scores]
    calibration: Calibration = UNCALIBRATED


def begin_state(folder: Path, config: Config, labels: LabelSet, source: str, tokenizer: Any) -> None:
    """Writes what is needed to rebuild a model, except its weights."""
    (folder / CONFIG).write_text(config.to_json(), "utf-8")
    (folder / LABELS).write_text(json.dumps(labels.names, ensure_ascii=False), "utf-8")
    load_encoder_config(source).save_pretrained(folder / ENCODER)
    tokenizer.save_pretrained(folder / ENCODER)


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
        calibration = read_calibration(folder / CALIBRATION)
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
    model = build_model(config.variant, source, len(labels), config, weights=False)
    try:
        model.load_weights(weights)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"the weights cannot be read ({one_line(error)}): train again with python -m tfner.train", weights
        ) from error
    row_encoder = make_row_encoder(tokenizer, labels, config, piece_limit(load_encoder_config(source), tokenizer))
    return TrainedModel(model, row_encoder, config, folder, read_scores(folder / SCORES), calibration)
