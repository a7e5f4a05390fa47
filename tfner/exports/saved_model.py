"""A trained model as files: the training state it can be rebuilt from, and the SavedModel that is served.

In goes a Keras model with its encoder and settings, out come folders laid out as TF Serving and ``Tagger`` expect them.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tfner import __version__
from tfner.config import Config
from tfner.errors import UserError, one_line
from tfner.evaluation import plots
from tfner.evaluation.scores import Scores
from tfner.exports.card import model_card
from tfner.exports.graph import signatures
from tfner.exports.warmup import write_warmup
from tfner.labels import LabelSet
from tfner.modeling.pretrained import load_encoder_config, load_tokenizer, piece_limit
from tfner.modeling.rows import Encoder
from tfner.modeling.variants import build_model
from tfner.tagging.tagger import EXTRA, make_encoder, read_settings

WEIGHTS = "best.weights.h5"
HISTORY = "history.csv"
SCORES = "scores.json"


def begin_state(folder: Path, config: Config, labels: LabelSet, source: str, tokenizer) -> None:
    """Writes all that rebuilding a model needs except its weights: settings, labels, the encoder's config and tokenizer."""
    (folder / "config.json").write_text(config.to_json(), "utf-8")
    (folder / "labels.json").write_text(json.dumps(labels.names, ensure_ascii=False), "utf-8")
    load_encoder_config(source).save_pretrained(folder / "encoder")
    tokenizer.save_pretrained(folder / "encoder")


def load_state(folder: Path) -> tuple[keras.Model, Encoder, Config]:
    """Rebuilds the model of a training state with its best weights.

    Raises UserError where files are missing or damaged.
    """
    try:
        config, labels = read_settings(folder)
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"{folder}: not a whole training state ({error}): train again with python -m tfner.train") from error
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder}: {WEIGHTS} is missing: the training ended before its first epoch did; train again")
    source = str(folder / "encoder")
    tokenizer = load_tokenizer(source)
    model = build_model(config.variant, source, len(labels), config, weights=False)
    try:
        model.load_weights(folder / WEIGHTS)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder / WEIGHTS}: cannot be read ({one_line(error)}): train again with python -m tfner.train"
        ) from error
    return model, make_encoder(tokenizer, labels, config, piece_limit(load_encoder_config(source), tokenizer)), config


def write_saved_model(
    folder: Path,
    logits: Callable,
    encoder: Encoder,
    config: Config,
    state: Path,
    scores: Mapping[str, Scores],
    say: Callable[[str], None] = print,
) -> None:
    """Fills a folder with the SavedModel of a model, given as its ``logits_function``, and with what explains it.

    Its signatures are those of ``graph.signatures``. ``state`` is the training state that the encoder's files and the history
    come from; ``say`` is given a line where the model cannot take raw text.
    """
    functions, pieces_only = signatures(logits, encoder)
    if pieces_only:
        say(f"the exported model takes word pieces only, no raw text: {pieces_only}; Tagger tokenizes in Python")
    module = tf.Module()
    # the variables alone: Keras would save every layer's Python functions as well
    module.weights = logits.get_concrete_function().variables
    tf.saved_model.save(module, str(folder), signatures=functions)
    extra = folder / EXTRA
    extra.mkdir()
    write_warmup(folder, functions)
    for name in ("config.json", "labels.json", HISTORY):
        shutil.copy2(state / name, extra / name)
    encoder.tokenizer.save_pretrained(extra / "tokenizer")
    limit = piece_limit(load_encoder_config(str(state / "encoder")), encoder.tokenizer)
    _write_json(extra / "limits.json", {"max_pieces": limit, "tfner": __version__})
    write_scores(extra / SCORES, scores)
    history = read_history(extra / HISTORY)
    if history:
        plots.save(
            plots.learning_curves(history, best=config.monitor if config.monitor in history[0] else "f1"),
            extra / "learning_curves.png",
        )
    for split, s in scores.items():
        plots.save(
            plots.confusion_matrix(s, title=f"Words of the {split} split by gold and predicted tag"),
            extra / f"confusion_{split}.png",
        )
    (extra / "README.md").write_text(model_card(config, encoder.labels, scores, history, pieces_only), "utf-8")


def read_history(path: Path) -> list[dict[str, str]]:
    """The rows of a ``history.csv``, as text."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_scores(path: Path) -> dict[str, Scores]:
    """The scores of each split in a ``scores.json``; none where there is no such file."""
    if not path.is_file():
        return {}
    return {split: Scores.from_json(value) for split, value in json.loads(path.read_text("utf-8")).items()}


def write_scores(path: Path, scores: Mapping[str, Scores]) -> None:
    """Writes the scores of each split."""
    _write_json(path, {split: s.to_json() for split, s in scores.items()})


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2), "utf-8")
