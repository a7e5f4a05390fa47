"""A training state on disk: all that is needed to rebuild a trained model.

`NAME/training/N/` holds settings, labels, the encoder's config and tokenizer, the best weights, the history and the scores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tf_keras as keras

from tfner.config import Config
from tfner.errors import UserError, one_line
from tfner.evaluation.scores import Scores, read_scores
from tfner.folder import CONFIG, ENCODER, LABELS, SCORES, WEIGHTS, read_settings
from tfner.labels import LabelSet
from tfner.modeling.pretrained import load_encoder_config, load_tokenizer, piece_limit
from tfner.modeling.rows import RowEncoder, make_row_encoder
from tfner.modeling.variants import build_model


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with what belongs to it: the exporters' input.

    `state` is the folder of its training state, `scores` are its scores by split, as far as they are known.
    """

    model: keras.Model
    row_encoder: RowEncoder
    config: Config
    state: Path
    scores: Mapping[str, Scores]


def begin_state(folder: Path, config: Config, labels: LabelSet, source: str, tokenizer) -> None:
    """Writes all that rebuilding a model needs except its weights."""
    (folder / CONFIG).write_text(config.to_json(), "utf-8")
    (folder / LABELS).write_text(json.dumps(labels.names, ensure_ascii=False), "utf-8")
    load_encoder_config(source).save_pretrained(folder / ENCODER)
    tokenizer.save_pretrained(folder / ENCODER)


def load_state(folder: Path) -> TrainedModel:
    """Rebuilds the model of a training state with its best weights.

    Raises UserError where files are missing or damaged.
    """
    try:
        config, labels = read_settings(folder)
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"not a complete training state ({error}): train again with python -m tfner.train", folder) from error
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise UserError(f"{WEIGHTS} is missing, as the training ended before its first epoch did: train again", folder)
    source = str(folder / ENCODER)
    tokenizer = load_tokenizer(source)
    model = build_model(config.variant, source, len(labels), config, weights=False)
    try:
        model.load_weights(weights)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"the file cannot be read ({one_line(error)}): train again with python -m tfner.train", weights
        ) from error
    row_encoder = make_row_encoder(tokenizer, labels, config, piece_limit(load_encoder_config(source), tokenizer))
    return TrainedModel(model, row_encoder, config, folder, read_scores(folder / SCORES))
