"""What an exported model consists of besides its graph: settings, labels, row length, tokenizer, and where it came from.

Takes the folder of a version (a SavedModel) or of an export for another runtime. The taggers load the graphs; `exports` writes
such folders. Neither TensorFlow nor transformers is needed.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfner.config import Config
from tfner.contents import check_contents
from tfner.errors import UserError
from tfner.folder import (
    CALIBRATION,
    DESCRIPTION,
    EXTRA,
    LIMITS,
    SAVED_MODEL,
    TOKENIZER,
    damaged,
    label_set,
    of_task,
    read_json,
    read_settings,
)
from tfner.labels import LabelSet
from tfner.modeling.calibration import Calibration, read_calibration
from tfner.modeling.rows import row_encoders
from tfner.modeling.tokenizer import WordTokenizer
from tfner.tagging.tagger import Head


@dataclass(frozen=True)
class Exported:
    """An exported model without its graph.

    Attributes:
        config: the settings of the training.
        labels: for each task the labels in the order of their ids.
        max_pieces: the longest row of the encoder in word pieces.
        weights: the SHA-256 of the file of weights that was exported, which every export of the same weights shares; empty
            where an older version of tfner wrote the folder.
        precision: the precision of its matrix products.
        measured: what was measured when it was exported, by name.
        calibrations: for each task the temperature, and which entities are accepted.
        tokenizer: the folder of the tokenizer.
    """

    config: Config
    labels: Mapping[str, LabelSet]
    max_pieces: int
    weights: str
    precision: str
    measured: Mapping[str, Any]
    calibrations: Mapping[str, Calibration]
    tokenizer: Path

    def heads(self) -> dict[str, Head]:
        """What a tagger needs for each task. Raises UserError where the tokenizer is missing or damaged."""
        encoders = row_encoders(WordTokenizer.from_folder(self.tokenizer), self.labels, self.config, self.max_pieces)
        return {task: Head(encoder, self.calibrations[task]) for task, encoder in encoders.items()}


def read_exported(folder: Path, check: bool = True) -> Exported:
    """Reads the description of an export.

    Args:
        folder: the folder of the export.
        check: whether its files are compared with those that were written, as whoever loads it needs.

    Raises:
        UserError: where files are missing or damaged, or another version of tfner wrote them.
    """
    try:
        exported = _of_saved_model(folder / EXTRA) if (folder / SAVED_MODEL).is_file() else _of_runtime(folder)
        if check:
            check_contents(folder)
        return exported
    except UserError as error:
        raise UserError(error.message, folder) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(folder, error) from error


def describe(
    config: Config,
    labels: Mapping[str, LabelSet],
    calibrations: Mapping[str, Calibration],
    max_pieces: int,
    weights: str,
    **more: Any,
) -> str:
    """The content of `DESCRIPTION`, which `read_exported` reads. If there are several tasks, values are by their names."""
    from tfner import __version__

    of_tasks: list[Any] = [
        {task: own.names for task, own in labels.items()},
        {task: own.to_values() for task, own in calibrations.items()},
    ]
    names, calibration = (next(iter(each.values())) if len(labels) == 1 else each for each in of_tasks)
    values = {"tfner": __version__, "labels": names, "max_pieces": max_pieces, "weights": weights, **more}
    values["calibration"] = calibration
    return json.dumps({**values, "config": json.loads(config.to_json())}, ensure_ascii=False, indent=2)


def _of_saved_model(extra: Path) -> Exported:
    config, labels = read_settings(extra)
    calibrations = {task: read_calibration(of_task(extra, config, task) / CALIBRATION) for task in labels}
    return _exported(config, labels, read_json(extra / LIMITS), config.precision, calibrations, extra / TOKENIZER)


def _of_runtime(folder: Path) -> Exported:
    values = read_json(folder / DESCRIPTION)
    config = Config.from_values(values["config"])
    labels, calibrations = values["labels"], values.get("calibration", {})
    if len(config.tasks) == 1:
        labels, calibrations = {config.task: labels}, {config.task: calibrations}
    return _exported(
        config,
        {task: label_set(labels[task], task == "pos") for task in config.tasks},
        values,
        values["precision"],
        {task: Calibration.from_values(calibrations[task]) for task in config.tasks},
        folder,
    )


def _exported(
    config: Config,
    labels: Mapping[str, LabelSet],
    values: Mapping[str, Any],
    precision: str,
    calibrations: Mapping[str, Calibration],
    tokenizer: Path,
) -> Exported:
    if not isinstance(values, dict):
        raise ValueError(f"expected an object with max_pieces, found {reprlib.repr(values)}")
    limit, weights, measured = values["max_pieces"], values.get("weights", ""), values.get("measured", {})
    if not (
        type(limit) is int
        and limit > 2
        and isinstance(weights, str)
        and isinstance(measured, dict)
        and isinstance(precision, str)
    ):
        raise ValueError(f"max_pieces, weights, precision or measured has a value of the wrong kind: {values!r:.80}")
    return Exported(config, labels, limit, weights, precision, measured, calibrations, tokenizer)
