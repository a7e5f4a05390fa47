"""The settings of a training: names, defaults, help texts and checks, once.

The command line is derived from ``Config``, and a model carries its own as ``config.json``. What depends on the encoder (a
pretrained one wants gentler settings than the embedded one) stands in ``PRESETS``.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from tfner.errors import UserError


def _setting(default: Any, help: str, choices: tuple[str, ...] = (), least: float | None = None, most: float | None = None):
    return field(default=default, metadata={"help": help, "choices": choices, "least": least, "most": most})


@dataclass(frozen=True)
class Config:
    """What a training is told. Every field is a flag of ``tfner train``; rates are per optimizer step, shares are 0 to 1.

    Raises UserError on creation for a value that is out of range or not among the choices.
    """

    variant: str = _setting("finetune", "classifier on the encoder", ("finetune", "head", "replace"))
    encoder: str = _setting("demo", "model folder, name on the Hugging Face hub, or demo (the embedded encoder)")
    corpus: str = _setting("demo", "file, folder, name on the Hugging Face hub, or demo (the embedded corpus)")
    task: str = _setting("ner", "which tags to learn", ("ner", "pos", "chunk"))
    tag_column: int | None = _setting(
        None, "column of the tags, from 1 (negative: from the last), where --task does not find it"
    )
    text_encoding: str | None = _setting(
        None, "encoding of the corpus files, such as latin-1 [UTF-8, else ISO-8859-1 with a note]"
    )
    one_document: bool = _setting(False, "read a file without document marks as one document")
    unseen_labels: str = _setting(
        "error", "labels outside the training split: stop, or keep and score as missed", ("error", "keep")
    )
    epochs: int = _setting(3, "passes over the training sentences", least=1)
    batch_size: int = _setting(32, "sentences per step (with --context document: rows that hold about as many)", least=1)
    learning_rate: float = _setting(5e-5, "peak learning rate of the encoder", least=0)
    head_learning_rate: float = _setting(1e-3, "peak learning rate of the new layers", least=0)
    weight_decay: float = _setting(0.01, "decay of weights other than biases and LayerNorm", least=0)
    warmup: float = _setting(0.1, "share of the steps in which the learning rates rise", least=0, most=1)
    clip_norm: float = _setting(1.0, "global norm that gradients are scaled down to", least=0)
    label_pieces: str = _setting("first", "label a word's first piece, or all of them", ("first", "all"))
    context: str = _setting(
        "sentence", "what a row holds: a sentence, or as much of a document as fits", ("sentence", "document")
    )
    max_pieces: int | None = _setting(
        None, "longest row in word pieces [the encoder's limit; 128 with --context document]", least=8
    )
    head_units: tuple[int, ...] = _setting((20, 8), "units of the dense layers of variant head", least=1)
    head_activation: str = _setting("relu", "activation of those layers", ("relu", "gelu", "tanh", "elu", "swish"))
    dropout: float = _setting(0.1, "dropout between encoder and classifier", least=0, most=0.9)
    precision: str = _setting("float32", "arithmetic of the layers; weights stay float32", ("float32", "bfloat16", "float16"))
    monitor: str = _setting("f1", "what early stopping watches on validation", ("f1", "val_masked_accuracy", "val_loss"))
    patience: int = _setting(2, "epochs without improvement before training stops", least=1)
    seed: int = _setting(0, "seed of weights, dropout and order: the same seed gives the same run on the same machine", least=0)
    tensorboard: str | None = _setting(None, "folder for TensorBoard logs")
    output: str | None = _setting(None, "folder that gets the numbered versions of the model [saved_models/VARIANT]")

    def __post_init__(self):
        for setting in fields(self):
            _check(setting, getattr(self, setting.name))
        if self.learning_rate == 0 and self.head_learning_rate == 0:
            raise UserError("--learning-rate and --head-learning-rate are both 0: nothing would be learned")

    @property
    def folder(self) -> Path:
        """Where the numbered versions go."""
        return Path(self.output or f"saved_models/{self.variant}")

    def to_json(self) -> str:
        """The settings as a JSON object."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Config:
        """The settings that ``to_json`` wrote. Raises UserError for unknown names, which another version of tfner may use."""
        values = json.loads(text)
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise UserError(
                f"config.json has the unknown settings {sorted(unknown)}: it was written by another version of tfner"
            )
        values["head_units"] = tuple(values.get("head_units", cls.head_units))
        return cls(**values)


PRESETS: dict[str, dict[str, Any]] = {
    "standard": {},
    "demo": {"epochs": 6, "learning_rate": 2e-3, "head_learning_rate": 4e-3},
    "paper": {
        "encoder": "bert-base-cased",
        "corpus": "conll2003",
        "learning_rate": 2e-5,
        "weight_decay": 0.01,
        "epochs": 3,
        "batch_size": 8,
        "label_pieces": "all",
    },
}
"""``standard`` suits pretrained encoders, ``demo`` the embedded one, which starts untrained; ``paper`` is the study's own."""


def make_config(preset: str | None = None, **given: Any) -> Config:
    """A ``Config`` from a preset and what was given besides, which wins. Without a preset, ``demo`` goes with the embedded
    encoder and ``standard`` with any other."""
    if preset is None:
        preset = "demo" if given.get("encoder", Config.encoder) == "demo" else "standard"
    if preset not in PRESETS:
        raise UserError(f"expected a preset out of {', '.join(PRESETS)}, got {preset!r}")
    return replace(Config(), **{**PRESETS[preset], **given})


CORPUS_SETTINGS = ("corpus", "task", "tag_column", "text_encoding", "one_document", "unseen_labels")
"""The settings that say how a corpus is read; commands other than train take these as flags as well."""


def add_flags(parser: argparse.ArgumentParser, names: Iterable[str] | None = None) -> None:
    """Adds a flag for each setting (or those named). What is not given stays out of the parsed namespace."""
    hints = get_type_hints(Config)
    for setting in fields(Config):
        if names is not None and setting.name not in names:
            continue
        kind = next((t for t in get_args(hints[setting.name]) or (hints[setting.name],) if t not in (type(None), ...)), str)
        help, choices = setting.metadata["help"], setting.metadata["choices"]
        options: dict[str, Any] = {"dest": setting.name, "default": argparse.SUPPRESS}
        if kind is bool:
            options.update(action="store_true", help=help)
        else:
            shown = " ".join(map(str, setting.default)) if isinstance(setting.default, tuple) else setting.default
            options.update(type=kind, help=help if setting.default is None else f"{help} [{shown}]")
            options["metavar"] = "|".join(choices) if choices else {int: "N", float: "X"}.get(kind, "NAME")
            if isinstance(setting.default, tuple):
                options["nargs"] = "*"
        parser.add_argument("--" + setting.name.replace("_", "-"), **options)


def _check(setting, value: Any) -> None:
    flag = "--" + setting.name.replace("_", "-")
    if value is None:
        return
    choices, least, most = (setting.metadata[key] for key in ("choices", "least", "most"))
    if choices and value not in choices:
        raise UserError(f"{flag}: expected one of {', '.join(choices)}, got {value!r}")
    for number in value if isinstance(value, (tuple, list)) else (value,):
        if isinstance(number, float) and not math.isfinite(number):
            raise UserError(f"{flag}: expected a finite number, got {number!r}")
        if least is not None and not number >= least:
            raise UserError(f"{flag}: expected at least {least}, got {number!r}")
        if most is not None and not number <= most:
            raise UserError(f"{flag}: expected at most {most}, got {number!r}")
