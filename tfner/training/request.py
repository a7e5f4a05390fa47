"""Checks before a training starts, without TensorFlow: the output folder, the packages, the corpus.

Takes a `Config` and returns its corpus, or the number of an interrupted training. The encoder is checked when the model is
built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tfner.config import AUTO, Config
from tfner.corpus import Corpus
from tfner.data.load import corpus_of
from tfner.errors import UserError, one_line, setting
from tfner.folder import SAVED_MODEL, TRAINING, check_output, check_writable, interrupted_states, read_settings, versions
from tfner.modeling.pretrained import newest_state

_OF_FILES = ("tag_column", "text_encoding", "one_document")
"""Settings of corpora in files alone."""


def check_request(config: Config) -> Corpus:
    """Checks what a training needs and reads its corpus. Nothing is written.

    Raises:
        UserError: if the output folder cannot be used, a package is missing, or the corpus cannot be read or lacks a split.
    """
    check_output(config.folder)
    encoder = Path(config.encoder).expanduser()
    if config.encoder != "demo" and newest_state(encoder) and encoder.absolute() == config.folder.expanduser().absolute():
        raise UserError(f"{setting('encoder', config.encoder)}: this is the output folder: choose another {setting('output')}")
    if config.tensorboard:
        check_writable("tensorboard", Path(config.tensorboard), "TensorBoard logs")
        if not find_spec("tensorboard"):
            raise UserError(
                f"{setting('tensorboard', config.tensorboard)}: TensorBoard is not installed: pip install -e '.[tensorboard]'"
            )
    corpus = corpus_of(config)
    for split, names in (("train", "train"), ("validation", "valid or dev")):
        if split not in corpus.splits:
            raise UserError(
                f"{setting('corpus', config.corpus)}: expected a {split} split, found only {', '.join(corpus.splits)}: add a "
                f"file with {names} in its name"
            )
    if config.corpus == "demo" and (given := [name for name in _OF_FILES if getattr(config, name)]):
        raise UserError(
            f"{setting(given[0], getattr(config, given[0]))}: the embedded corpus has no files: give yours with "
            f"{setting('corpus', 'FOLDER')}"
        )
    if not any(any(sentence.words) for sentence in corpus.splits["train"]):
        raise UserError(f"{setting('corpus', config.corpus)}: expected words to learn from, found only empty ones")
    for task, one in corpus.tasks.items():
        if len(one.labels) == 1:
            what = f"the label {one.labels.names[0]!r}" + (f" of {task}" if corpus.others else "")
            remedy = "" if corpus.others else f", and {setting('tag_column')}"
            raise UserError(
                f"{setting('corpus', config.corpus)}: every word has {what}, so nothing can be learned: check the file{remedy}"
            )
    return corpus


TAGGING = ("sentences", "temperature", "min_precision")
"""Settings of the exported model, which `tfner.export` takes too."""
MAY_DIFFER = ("output", "tensorboard", "checkpoint_minutes", "strategy", "accumulate_steps", *TAGGING)
"""Settings that a training may be resumed with other values of: they do not change what is learned."""
CHOSEN = ("learning_rate", "head_learning_rate", "precision")
"""Settings whose value in a training state is the one that was chosen where `auto` was given."""


def find_interrupted(config: Config) -> int | None:
    """The number of an interrupted training with the same settings, or None."""
    folder = config.folder
    return next((n for n in interrupted_states(folder) if not differences(folder / TRAINING / str(n), config)), None)


def check_resume(config: Config) -> int | None:
    """The number of the training that `--resume` continues, or None if there is no interrupted one.

    Raises:
        UserError: if the interrupted training has other settings.
    """
    number = find_interrupted(config)
    others = interrupted_states(config.folder)
    if number is None and others:
        state = config.folder / TRAINING / str(others[0])
        raise UserError(
            f"{setting('resume', True)}: the settings differ from those of the interrupted training "
            f"({'; '.join(differences(state, config))}): use its settings, or train anew without resuming",
            state,
        )
    return number


def find_finished(config: Config) -> int | None:
    """The number of the newest training if it has these settings and its model is exported, or None."""
    newest = max(versions(config.folder / TRAINING), default=0)
    exported = (config.folder / str(newest) / SAVED_MODEL).is_file()
    return newest if exported and not differences(config.folder / TRAINING / str(newest), config) else None


def differences(state: Path, config: Config) -> list[str]:
    """The settings that differ between a training state and `config`, as text. `auto` equals what was chosen for it."""
    try:
        before, now = asdict(read_settings(state)[0]), asdict(config)
    except (OSError, ValueError) as error:  # a UserError, of another version of tfner, is a ValueError
        return [f"its own cannot be read: {one_line(error)}"]
    names = (n for n in now if n not in MAY_DIFFER and not (n in CHOSEN and now[n] == AUTO))
    return changes(before, {name: now[name] for name in names})


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The settings of `now` that have another value in `before`, as text."""

    def shown(value: Any) -> Any:
        return "none" if value is None else value

    return [
        f"{setting(name, shown(value))} instead of {shown(before.get(name))}"
        for name, value in now.items()
        if before.get(name) != value
    ]


def as_before(config: Config, state: Path) -> Config:
    """The settings with what was chosen in a training state in place of `auto`."""
    before = read_settings(state)[0]
    return replace(config, **{name: getattr(before, name) for name in CHOSEN if getattr(config, name) == AUTO})
