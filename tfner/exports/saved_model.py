"""Format `savedmodel`: a SavedModel that takes raw text, with the files that describe it.

Takes a `TrainedModel` and returns a function that fills a folder, which `tfner.tagging`, `tfner.serving` and TF Serving load.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from tfner import __version__
from tfner.contents import note_contents
from tfner.contract import signatures_of
from tfner.evaluation import plots
from tfner.evaluation.scores import write_scores
from tfner.exports.card import model_card
from tfner.exports.graph import signatures
from tfner.exports.warmup import write_warmup
from tfner.folder import (
    CALIBRATION,
    CARD,
    CONFIG,
    EXTRA,
    HISTORY,
    LABELS,
    LIMITS,
    SCORES,
    TOKENIZER,
    WEIGHTS,
    digest,
    of_task,
    read_history,
    write_json,
)
from tfner.modeling.pretrained import piece_limit
from tfner.modeling.variants import ENCODER, for_inference, logits_function
from tfner.training.state import TrainedModel


def writer(trained: TrainedModel, say: Callable[[str], None] = print) -> Callable[[Path], None]:
    """Returns a function that fills a folder with the SavedModel. The model can only be used for inference afterwards.

    Args:
        trained: the model.
        say: called with a line if the model cannot take raw text.
    """
    for_inference(trained.model)
    logits = logits_function(trained.model)
    encoder = trained.model.get_layer(ENCODER).config
    positions = piece_limit(encoder, trained.row_encoder.tokenizer)
    functions, pieces_only = signatures(logits, trained.heads, trained.config, encoder.vocab_size, positions)
    described = signatures_of(list(trained.heads), takes_text=pieces_only is None)

    def write(folder: Path) -> None:
        module = tf.Module()
        # only the variables: Keras would also save the Python functions of every layer
        module.weights = logits.get_concrete_function().variables
        tf.saved_model.save(module, str(folder), signatures=functions)
        (folder / EXTRA).mkdir()
        write_warmup(folder, described)
        _describe(folder / EXTRA, trained, positions)
        (folder / EXTRA / CARD).write_text(model_card(trained, "savedmodel", described, pieces_only), "utf-8")
        note_contents(folder)

    if pieces_only:
        say(f"the exported model takes word pieces only, not raw text: {pieces_only}; Tagger tokenizes in Python")
    return write


def _describe(extra: Path, trained: TrainedModel, positions: int) -> None:
    """Writes the files that travel with the SavedModel: settings, labels, tokenizer, history, scores, plots."""
    config, row_encoder = trained.config, trained.row_encoder
    (extra / CONFIG).write_text(config.to_json(), "utf-8")
    shutil.copy2(trained.state / HISTORY, extra / HISTORY)
    row_encoder.tokenizer.save_pretrained(extra / TOKENIZER)
    write_json(extra / LIMITS, {"max_pieces": positions, "tfner": __version__, "weights": digest(trained.state / WEIGHTS)})
    history = read_history(extra / HISTORY)
    if history:
        best = config.monitor if config.monitor in history[0] else "f1"
        plots.save(plots.learning_curves(history, best=best), extra / "learning_curves.png")
    for task, head in trained.heads.items():
        place = of_task(extra, config, task)
        place.mkdir(exist_ok=True)
        shutil.copy2(of_task(trained.state, config, task) / LABELS, place / LABELS)
        write_json(place / CALIBRATION, head.calibration.to_values())
        write_scores(place / SCORES, trained.scores[task])
        for split, scores in trained.scores[task].items():
            title = f"Words of the {split} split by gold and predicted tag"
            plots.save(plots.confusion_matrix(scores, title=title), place / f"confusion_{split}.png")
