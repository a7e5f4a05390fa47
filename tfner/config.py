"""The settings of a training: names, choices, defaults, help texts and checks.

The command line is derived from `Config`, and every model carries its own as `config.json`. Defaults that depend on the
encoder are in `PRESETS`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import Field, asdict, dataclass, field, fields, replace
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from tfner.errors import UserError, setting

VARIANTS = {
    "finetune": "encoder, dropout, one classification layer",
    "head": "encoder, dropout, an MLP head (dense 20 ReLU, dense 8 ReLU), a classification layer",
    "replace": "encoder without its last transformer layer, dropout, one classification layer",
}
AUTO = "auto"
"""The value of settings that tfner chooses itself when it is given."""
TASKS = ("ner", "pos", "chunk")
UNSEEN_LABELS = ("error", "keep")
LABEL_PIECES = ("first", "all")
CONTEXTS = {
    "sentence": "a sentence",
    "document": "as much of a document as fits",
    "mixed": "from a sentence to as much of a document as fits in training, and as much as fits in tagging",
}
"""What a row holds (`modeling.rows`)."""
SENTENCES = {"split": "at full stops and line breaks", "line": "at line breaks", "none": "not at all"}
"""How text is divided into sentences (`data.sentences`)."""
DECODERS = {"greedy": "the most probable label of each word", "viterbi": "the most probable labels that are IOB2 together"}
"""How labels follow from probabilities (`modeling.decoding`)."""
DECODE_HELP = "how tags are chosen: " + "; ".join(f"{name}: {how}" for name, how in DECODERS.items())
SENTENCES_HELP = "how text is divided into sentences: " + ", ".join(f"{name} ({how})" for name, how in SENTENCES.items())
ACTIVATIONS = ("relu", "gelu", "tanh", "elu", "swish")
STRATEGIES = (AUTO, "none", "mirrored", "multiworker")
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
"""Each precision and Keras's name of its policy."""
MONITORS = {"f1": "max", "val_masked_accuracy": "max", "val_loss": "min"}
"""What early stopping can watch on the validation split, and whether more or less of it is better."""
RUNTIMES = {"tensorflow": "TensorFlow", "openvino": "OpenVINO", "onnx": "ONNX Runtime"}
"""What runs an exported model, and its name."""
INPUT_FORMATS = {"text": "one text a line", "jsonl": "JSON lines", "conll": "CoNLL columns", "conllu": "CoNLL-U"}
"""What `predict` reads."""
EXPORT_FORMATS = {
    "savedmodel": "for tfner and TensorFlow Serving",
    "transformers": "for PyTorch transformers, variants finetune and replace",
    "onnx": "for ONNX Runtime",
    "openvino": "for OpenVINO",
}

GROUPS = {
    "model": "model",
    "corpus": "corpus",
    "training": "training",
    "devices": "devices",
    "rows": "words to word pieces",
    "tagging": "tagging",
    "output": "output",
}
"""Groups of settings and their headings in `--help`."""


def _setting(
    group: str,
    default: Any,
    help: str,
    choices: Collection[str] = (),
    least: float | None = None,
    most: float | None = None,
    absent: str = "",
    auto: bool = False,
    metavar: str = "NAME",
) -> Any:
    """A field of `Config`; `absent` describes the default where that is None, and a number may be `AUTO` with `auto`."""
    metadata = {"group": group, "help": help, "choices": tuple(choices), "least": least, "most": most, "absent": absent}
    metadata |= {"auto": auto, "metavar": metavar}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """The settings of a training. Each is a flag of `tfner train`; rates are per optimizer step, shares are from 0 to 1.

    Raises UserError on creation for a value that is out of range, not finite or not among the choices.
    """

    variant: str = _setting("model", "finetune", "classifier on the encoder", VARIANTS)
    encoder: str = _setting("model", "demo", "model folder, name on the Hugging Face hub, or demo (the embedded encoder)")
    head_units: tuple[int, ...] = _setting("model", (20, 8), "units of the dense layers of variant head", least=1, most=100_000)
    head_activation: str = _setting("model", "relu", "activation of those layers", ACTIVATIONS)
    drop_layers: int = _setting(
        "model", 0, "transformer layers to remove from the top of the encoder, besides the one that replace removes", least=0
    )
    dropout: float = _setting("model", 0.1, "dropout between encoder and classifier", least=0, most=0.9)
    precision: str = _setting(
        "model", AUTO, "precision of matrix products; auto takes the faster one; weights are float32", (AUTO, *PRECISIONS)
    )

    corpus: str = _setting("corpus", "demo", "file, folder, name on the Hugging Face hub, or demo (the embedded corpus)")
    task: str = _setting(
        "corpus", "ner", f"tags to learn: {', '.join(TASKS)}, or several with commas between them", metavar="TASK[,TASK]"
    )
    tag_column: int | None = _setting(
        "corpus", None, "column of the tags, from 1 (negative: from the last)", absent="the usual column of the task"
    )
    text_encoding: str | None = _setting(
        "corpus", None, "encoding of the files, such as latin-1", absent="UTF-8, or ISO-8859-1 with a note"
    )
    one_document: bool = _setting("corpus", False, "read a file without document marks as one document")
    train_share: float = _setting(
        "corpus",
        1.0,
        "share of the training sentences that is used, drawn at random, the same for every seed and part of any larger share",
    )
    unseen_labels: str = _setting(
        "corpus", "error", "labels that do not occur in train: stop, or keep them and score them as missed", UNSEEN_LABELS
    )

    epochs: int | str = _setting(
        "training",
        3,
        "passes over the training sentences; auto: until the scores stop improving",
        least=1,
        most=10_000,
        auto=True,
    )
    batch_size: int = _setting(
        "training", 16, "sentences per step (with --context document: rows that hold about as many)", least=1, most=100_000
    )
    learning_rate: float | str = _setting(
        "training", AUTO, "peak learning rate of the encoder; auto follows from its width", least=0, most=1, auto=True
    )
    head_learning_rate: float | str = _setting(
        "training",
        AUTO,
        "peak learning rate of the new layers; auto follows from the encoder's width",
        least=0,
        most=1,
        auto=True,
    )
    freeze_layers: int = _setting(
        "training", 0, "lowest transformer layers that are not trained, nor are the embeddings then", least=0
    )
    weight_decay: float = _setting("training", 0.01, "decay of weights other than biases and LayerNorm", least=0, most=1)
    warmup: float = _setting(
        "training", 0.1, "share of the steps in which the rates rise (with --epochs auto: of 3 epochs)", least=0, most=1
    )
    clip_norm: float = _setting(
        "training", 1.0, "global norm that gradients are scaled down to; 0 for no limit", least=0, most=1e6
    )
    monitor: str = _setting("training", "f1", "what early stopping watches on validation", MONITORS)
    patience: int = _setting(
        "training", 2, "epochs without improvement before training stops; not used with --epochs auto", least=1
    )
    seed: int = _setting("training", 0, "seed of weights, dropout and order", least=0, most=2**32 - 1)
    deterministic: bool = _setting("training", False, "use only operations that give the same result in every run")
    strategy: str = _setting("devices", AUTO, "devices that train together, through tf.distribute", STRATEGIES)
    accumulate_steps: int = _setting(
        "devices", 1, "parts that each step is computed in, one after the other, which takes less memory", least=1
    )
    xla: bool = _setting(
        "devices", False, "compile steps with XLA, with batches padded to few sizes; for GPUs, slower on most processors"
    )

    label_pieces: str = _setting("rows", "first", "label the first piece of a word, or all of them", LABEL_PIECES)
    context: str = _setting(
        "rows", "sentence", "what a row holds: " + ", ".join(f"{name} ({what})" for name, what in CONTEXTS.items()), CONTEXTS
    )
    max_pieces: int | None = _setting(
        "rows",
        None,
        "longest row in word pieces",
        least=8,
        absent="the encoder's limit, or 128 with --context document and mixed",
    )

    sentences: str = _setting("tagging", "split", SENTENCES_HELP, SENTENCES)
    decode: str = _setting("tagging", "viterbi", DECODE_HELP, DECODERS)
    temperature: float | str = _setting(
        "tagging",
        1.0,
        "what logits are divided by before softmax; auto finds it on validation, 1 leaves them as they are",
        least=0.25,
        most=100,
        auto=True,
    )
    min_precision: float | None = _setting(
        "tagging",
        None,
        "accept entities from the score from which validation shows this precision for their type; 0 for every entity",
        least=0,
        most=0.999,
        absent="every entity is accepted",
    )

    tensorboard: str | None = _setting("output", None, "folder for TensorBoard logs", absent="no logs")
    checkpoint_minutes: float = _setting(
        "output", 10.0, "minutes between checkpoints within an epoch; 0 for none but those after each epoch", least=0, most=1e6
    )
    output: str | None = _setting("output", None, "folder for the numbered versions", absent="saved_models/VARIANT")

    def __post_init__(self) -> None:
        for one in fields(self):
            object.__setattr__(self, one.name, _plain(getattr(self, one.name)))
            _check(one, getattr(self, one.name))
        object.__setattr__(self, "min_precision", self.min_precision or None)
        split_tasks(self.task)
        if not 0 < self.train_share <= 1:
            raise UserError(f"{setting('train_share', self.train_share)}: expected a share above 0, up to 1")
        if self.learning_rate == 0 and self.head_learning_rate == 0:
            rates = f"{setting('learning_rate', 0)} and {setting('head_learning_rate', 0)}"
            raise UserError(f"{rates}: nothing would be learned: raise one of them")

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that a model is trained for together, in order."""
        return split_tasks(self.task)

    @property
    def folder(self) -> Path:
        """The folder of the numbered versions."""
        return Path(self.output or f"saved_models/{self.variant}")

    def to_json(self) -> str:
        """The settings as a JSON object."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_values(cls, values: Any) -> Config:
        """The settings in the JSON object that `to_json` wrote.

        Raises UserError for unknown names, which another version of tfner may use, and ValueError for what is not an object.
        """
        if not isinstance(values, dict):
            raise ValueError(f"expected a JSON object of settings, found {type(values).__name__}")
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise UserError(
                f"config.json has the unknown settings {', '.join(sorted(unknown))}: it was written by another version of "
                "tfner: use that version"
            )
        return cls(**{"sentences": "none", "decode": "greedy", **values})  # what models of earlier versions do


PRESETS: dict[str, dict[str, Any]] = {
    "standard": {},
    "demo": {"epochs": 4, "batch_size": 32, "learning_rate": 2e-3, "head_learning_rate": 8e-3},
    "paper": {
        "encoder": "bert-base-cased",
        "corpus": "conll2003",
        "learning_rate": 2e-5,
        "head_learning_rate": 1e-3,
        "weight_decay": 0.01,
        "epochs": 3,
        "batch_size": 8,
        "label_pieces": "all",
        "decode": "greedy",
    },
}
"""`standard` suits pretrained encoders, `demo` the embedded one, which is not trained; `paper` is the study's own."""


def make_config(preset: str | None = None, **given: Any) -> Config:
    """A `Config` from a preset and the settings given, which override it.

    Without a preset, `demo` is used with the embedded encoder and `standard` with any other. Raises UserError as `Config` does,
    and for an unknown preset.
    """
    if preset is None:
        preset = "demo" if given.get("encoder", Config.encoder) == "demo" else "standard"
    if preset not in PRESETS:
        raise UserError(f"{setting('preset', preset)}: expected one of {', '.join(PRESETS)}")
    return replace(Config(), **{**PRESETS[preset], **given})


def as_flags(config: Config) -> list[str]:
    """The arguments that give `tfner train` these settings. Those that have their default are left out."""
    usual = replace(make_config(encoder=config.encoder), encoder=Config.encoder)
    flags = []
    for one in fields(Config):
        value = getattr(config, one.name)
        if value != getattr(usual, one.name):
            flags += as_flag(one.name, value)
    return flags


def as_flag(name: str, value: object) -> list[str]:
    """The arguments that give a command this setting: none for None and for a switch that is off."""
    if value is None or value is False:
        return []
    values = value if isinstance(value, tuple) else () if value is True else (value,)
    return ["--" + name.replace("_", "-"), *map(str, values)]


def split_tasks(task: str) -> tuple[str, ...]:
    """The tasks that a setting names. Raises UserError for an unknown one, or one that it names twice."""
    tasks = tuple(task.split(","))
    if not set(tasks) <= set(TASKS) or len(set(tasks)) < len(tasks):
        raise UserError(f"{setting('task', task)}: expected one of {', '.join(TASKS)}, or several, such as ner,pos")
    return tasks


CORPUS_SETTINGS = ("corpus", "task", "tag_column", "text_encoding", "one_document", "unseen_labels")
"""The settings that say how a corpus is read. Commands other than train take these as flags too."""


def default_text(one: Field[Any]) -> str:
    """The default of a setting for `--help` and the documentation, with the embedded encoder's where that differs."""
    if one.default is None:
        return str(one.metadata["absent"])
    if one.default is False:
        return ""
    shown = " ".join(map(str, one.default)) if isinstance(one.default, tuple) else f"{one.default}"
    demo = PRESETS["demo"].get(one.name)
    return shown if demo is None else f"{demo} with the embedded encoder, {shown} with others"


def add_flags(parser: argparse.ArgumentParser, names: Iterable[str] | None = None, default: str | None = None) -> None:
    """Adds a flag for each setting, or for those named, in groups. A flag that is not given is absent from the namespace.

    `default` is what the help text says of a flag that is not given, where that is not the setting's own default. Commands that
    name their settings take one task.
    """
    hints = get_type_hints(Config)
    groups: Mapping[str, Any] = {}
    for one in fields(Config):
        if names is not None and one.name not in names:
            continue
        group = one.metadata["group"]
        if group not in groups:
            groups = {**groups, group: parser.add_argument_group(GROUPS[group])}
        kind = next((t for t in get_args(hints[one.name]) or (hints[one.name],) if t not in (type(None), ...)), str)
        reads, metavar = kind, {int: "N", float: "X"}.get(kind, one.metadata["metavar"])
        if one.metadata["auto"]:
            reads, metavar = _number_or_auto(kind), f"{metavar}|{AUTO}"
        choices, shown = one.metadata["choices"], default_text(one) if default is None else default
        text = one.metadata["help"]
        if one.name == "task" and names is not None:
            choices, text = TASKS, "task: which tags of the corpus are used; of a model for several tasks, the one to use"
        help = text + (f" [{shown}]" if shown else "")
        options: dict[str, Any] = {"dest": one.name, "default": argparse.SUPPRESS, "help": help.replace("%", "%%")}
        if kind is bool:
            options["action"] = "store_true"
        else:
            options |= {"type": reads, "metavar": "|".join(choices) if choices else metavar}
            if one.name == "task" and choices:
                options["choices"] = choices
            if isinstance(one.default, tuple):
                options["nargs"] = "*"
        groups[group].add_argument("--" + one.name.replace("_", "-"), **options)


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """Adds the flag `--runtime`, for commands that run an exported model."""
    choices = (AUTO, *RUNTIMES)
    parser.add_argument(
        "--runtime",
        default=AUTO,
        choices=choices,
        metavar="|".join(choices),
        help="what runs the model; auto takes the fastest that it is exported for and that is installed [auto]",
    )


def _number_or_auto(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        return text if text == AUTO else kind(text)

    read.__name__ = f"{kind.__name__} or {AUTO}"  # argparse shows it with a value that it cannot read
    return read


@cache
def _kinds() -> dict[str, tuple[type, ...]]:
    """The types that the value of each setting may have."""
    hints = get_type_hints(Config)
    return {
        name: tuple(get_origin(kind) or kind for kind in (get_args(hint) if get_origin(hint) is UnionType else (hint,)))
        for name, hint in hints.items()
    }


_NAMES = ("encoder", "text_encoding", "tensorboard", "output")
"""Settings that cannot be empty."""
_CALLED = {int: "a whole number", float: "a number", str: "text", bool: "true or false", tuple: "whole numbers"}


def _plain(value: Any) -> Any:
    """Numbers of NumPy, lists and paths as JSON has them."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_plain, value))
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (bool, int, float)):
        return value
    return int(value) if isinstance(value, Integral) else float(value) if isinstance(value, Real) else value


def _has_kind(value: Any, kind: type) -> bool:
    if kind is tuple:
        return isinstance(value, tuple) and all(_has_kind(item, int) for item in value)
    return isinstance(value, (int, float) if kind is float else kind) and isinstance(value, bool) <= (kind is bool)


def _check(one: Field[Any], value: Any) -> None:
    if one.metadata["auto"] and value == AUTO:
        return
    kinds = [kind for kind in _kinds()[one.name] if not (one.metadata["auto"] and kind is str)]
    if not any(_has_kind(value, kind) for kind in kinds):
        names = [_CALLED[kind] for kind in kinds if kind in _CALLED] + ([AUTO] if one.metadata["auto"] else [])
        expected = " or ".join(names)
        raise UserError(f"{setting(one.name)}: expected {expected}, found {reprlib.repr(value)}")
    if value is None:
        return
    if value == "" and one.name in _NAMES:
        raise UserError(f"{setting(one.name)}: expected a name, found nothing: leave the flag out for its default")
    choices, least, most = (one.metadata[key] for key in ("choices", "least", "most"))
    if choices and value not in choices:
        raise UserError(f"{setting(one.name, value)}: expected one of {', '.join(choices)}")
    for number in value if isinstance(value, tuple) else (value,):
        shown = setting(one.name, number)
        if isinstance(number, float) and not math.isfinite(number):
            raise UserError(f"{shown}: expected a finite number")
        if least is not None and not number >= least:
            raise UserError(f"{shown}: expected at least {least}")
        if most is not None and not number <= most:
            raise UserError(f"{shown}: expected at most {most}")
