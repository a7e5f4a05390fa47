"""Makes a training state of a checkpoint that was trained elsewhere, so that it is exported like tfner's own models.

Takes a model folder or a hub name of transformers with a classification layer for tokens, and writes a state with its weights,
its tokenizer, and its labels in IOB2. Nothing is trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfner.config import make_config
from tfner.contents import note_contents
from tfner.errors import UserError, setting
from tfner.evaluation.scores import write_scores
from tfner.folder import CALIBRATION, ENCODER, HISTORY, SCORES, TRAINING, next_version, publish, write_json
from tfner.labels import LabelSet, split_tag
from tfner.modeling.calibration import Calibration
from tfner.modeling.pretrained import encoder_source, load_encoder_config, load_tokenizer, own_temperature
from tfner.modeling.variants import MERGED, build_model, own_labels
from tfner.training.report import COLUMNS
from tfner.training.run import resolved
from tfner.training.state import begin_state, save_weights

_PREFIXES = {"O": "O", "B": "BSU", "I": "IEL"}
"""The prefixes of BIOES and BILOU that become each prefix of IOB2."""


def adopt(source: str, folder: Path, corpus: Mapping[str, Any]) -> int:
    """Writes the next training state of a model.

    Args:
        source: a model folder or hub name with a classification layer for tokens.
        folder: the folder of the model.
        corpus: the settings of a corpus for evaluations and gates (`config.CORPUS_SETTINGS`). With task `pos`, labels are used
            as they are.

    Returns:
        The number of the state.

    Raises:
        UserError: if there is no such checkpoint, its weights or labels cannot be used, or it has no classification layer.
    """
    source = encoder_source(source)
    description = load_encoder_config(source)
    own = own_labels(description)
    if own is None:
        found = ", ".join(description.architectures or ()) or "none"
        raise UserError(
            f"expected a checkpoint with a classification layer for tokens, found the architecture {found}: train it with "
            f"python -m tfner.train {setting('encoder', source)}",
            source,
        )
    config = make_config("standard", encoder=source, output=str(folder), precision="float32", **{"corpus": "", **corpus})
    if len(config.tasks) > 1:
        raise UserError(f"{setting('task', config.task)}: expected the one task that the checkpoint was trained for")
    calibration = Calibration(own_temperature(source))
    config = replace(config, decode="greedy", temperature=calibration.temperature)  # an I- of IOB1 may begin an entity
    config = resolved(config, description.hidden_size)
    labels, numbers = labels_of(own, config.task == "pos", source)
    merged = None if numbers == [[i] for i in range(len(own))] else numbers
    model = build_model(config.variant, source, len(labels), config, names=labels.names, merged=merged)

    def write(state: Path) -> None:
        begin_state(state, config, {config.task: labels}, source, load_tokenizer(source))
        if merged:
            path = state / ENCODER / "config.json"
            path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {MERGED: merged}, indent=2), "utf-8")
        write_json(state / CALIBRATION, calibration.to_values())
        note_contents(state)
        save_weights(state, model)
        (state / HISTORY).write_text(",".join(COLUMNS) + "\n", "utf-8")
        write_scores(state / SCORES, {})

    number = next_version(folder)
    publish(folder / TRAINING / str(number), write)
    return number


def labels_of(own: Sequence[str], plain: bool, source: str) -> tuple[LabelSet, list[list[int]]]:
    """The labels of a checkpoint in IOB2, and for each of them the ids of its source labels in the checkpoint.

    Args:
        own: its own labels, in IOB2, IOB1, BIOES or BILOU. IOB1 is read like IOB2: an `I-` that continues nothing begins an
            entity.
        plain: whether the labels are used as they are.
        source: the checkpoint, for messages.

    Raises:
        UserError: for labels of another kind.
    """
    if plain:
        return LabelSet(tuple(own), plain=True), [[i] for i in range(len(own))]
    try:
        parts = [split_tag(name) for name in own]
    except UserError as error:
        raise UserError(f"the labels in its config.json are not those of entities: {error.message}", source) from error
    types = list(dict.fromkeys(kind for _, kind in parts if kind))
    names = ("O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI"))
    if sorted(names) == sorted(own):  # IOB2 already, in any order
        return LabelSet(tuple(own)), [[i] for i in range(len(own))]
    wanted = [split_tag(name) for name in names]
    return LabelSet(names), [
        [i for i, (prefix, kind) in enumerate(parts) if kind == own_kind and prefix in _PREFIXES[own_prefix]]
        for own_prefix, own_kind in wanted
    ]
