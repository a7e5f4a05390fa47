"""Checkpoints: everything that an interrupted training needs to go on as if it had not been interrupted.

Each is a folder `NAME/training/N/checkpoints/EPOCH-STEP` with the variables of model and optimizer, the progress and checksums.
It is written beside and renamed, so it is complete or absent. Shuffling and dropout masks follow from seed, epoch and step, so
they need no state of their own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfner.errors import UserError, one_line
from tfner.folder import CHECKPOINTS, clear_drafts, digest, publish, write_json
from tfner.training.step import StepResult

KEPT = 2
"""Checkpoints kept besides those of the best epoch."""

PROGRESS, CHECKSUMS, VARIABLES = "progress.json", "checksums.json", "variables"


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        epoch: complete epochs.
        step: steps of the current epoch.
        loss, right, number: the sums of the current epoch over labelled pieces (see `StepResult`).
        seconds: the time spent in the current epoch.
        history: the rows of the complete epochs.
        values: what early stopping watches after each epoch; more is better.
        best: the name of the checkpoint with the best weights, or None before the first epoch is complete.
        data: the checksum of the training rows and the validation sentences.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    right: float = 0.0
    number: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    best: str | None = None
    data: str = ""

    @property
    def name(self) -> str:
        """The name of a checkpoint at this point. Names sort by time."""
        return f"{self.epoch:04d}-{self.step:07d}"

    def add(self, result: StepResult) -> None:
        """Counts a step."""
        self.step += 1
        self.loss += result.loss
        self.right += result.right
        self.number += result.number

    def means(self) -> str:
        """Loss and accuracy of the current epoch so far, over labelled pieces."""
        number = max(1.0, self.number)
        return f"loss {self.loss / number:.3f}, accuracy {self.right / number:.3f}"

    def end_epoch(self) -> None:
        """Moves on to the next epoch, whose sums are zero."""
        self.epoch, self.step = self.epoch + 1, 0
        self.loss = self.right = self.number = self.seconds = 0.0


class Checkpoints:
    """The checkpoints of one training.

    Args:
        state: the folder of the training state.
        variables: what is saved and restored besides the progress, such as model and optimizer.
        say: called with each line for the terminal.
    """

    def __init__(self, state: Path, say: Callable[[str], None], **variables: Any):
        self.folder, self.say = state / CHECKPOINTS, say
        self._variables = tf.train.Checkpoint(**variables)
        self._intact: str | None = None
        """The checkpoint that was written or found last."""
        self._best: str | None = None

    def save(self, progress: Progress) -> bool:
        """Writes a checkpoint, and removes those that are not needed any more. False if it cannot be written.

        The training goes on then: the checkpoints before it stay as they are.
        """
        target = self.folder / progress.name
        if progress.name == self._intact:
            return True
        if progress.best not in (None, progress.name) and not (self.folder / str(progress.best)).is_dir():
            self.say(f"no checkpoint at {progress.name}: the best weights have none; earlier ones are kept until there is one")
            return False
        try:
            self.folder.mkdir(exist_ok=True)  # it says that the training is not finished, with checkpoints or without
            publish(target, lambda draft: self._write(draft, progress), True, "the next one is written if there is room then")
        except (OSError, UserError, tf.errors.OpError) as error:
            self.say(f"no checkpoint at {progress.name}: {one_line(error)}; the training goes on, earlier ones are kept")
            return False
        names = [name for name in self.names() if name <= progress.name]  # later ones were damaged when this was found
        kept = {*names[:KEPT], progress.best, self._best}
        self._intact, self._best = progress.name, progress.best  # the one before may need its own best one
        for name in set(self.names()) - kept:
            self._remove(name)
        return True

    def clean(self) -> None:
        """Removes what a killed process left half written or half removed."""
        clear_drafts(self.folder)
        for path in self.folder.glob(".[0-9]*"):
            shutil.rmtree(path)

    def names(self) -> list[str]:
        """The names of the checkpoints, the newest first. They are not verified."""
        if not self.folder.is_dir():
            return []
        return sorted((path.name for path in self.folder.glob("[0-9]*")), reverse=True)

    def newest(self) -> Progress:
        """The progress of the newest checkpoint that is intact. Damaged ones are named and left out from now on.

        Raises:
            UserError: if none is intact.
        """
        for name in self.names():
            try:
                progress = read_progress(self.folder / name)
                for needed in {name: None, progress.best or name: None}:
                    verify(self.folder / needed)
            except (OSError, ValueError, TypeError) as error:
                self.say(f"checkpoint {self.folder / name} is damaged ({one_line(error)}): trying the one before it")
                continue
            self._intact, self._best = name, progress.best
            return progress
        raise UserError("expected a checkpoint that is intact, found none: train again without resuming", self.folder)

    def read(self, name: str) -> None:
        """Restores the variables of a checkpoint."""
        self._variables.read(str(self.folder / name / VARIABLES)).assert_existing_objects_matched()

    def _write(self, draft: Path, progress: Progress) -> None:
        self._variables.write(str(draft / VARIABLES))
        write_json(draft / PROGRESS, asdict(progress))
        write_json(draft / CHECKSUMS, {path.name: digest(path) for path in sorted(draft.iterdir())})

    def _remove(self, name: str) -> None:
        """Removes a checkpoint. It is renamed first, so that it is never left half removed under its name."""
        shutil.rmtree((self.folder / name).rename(self.folder / f".{name}"))


def read_progress(folder: Path) -> Progress:
    """The progress of a checkpoint. Raises OSError, ValueError or TypeError where it is damaged."""
    return Progress(**json.loads((folder / PROGRESS).read_text("utf-8")))


def verify(folder: Path) -> None:
    """Compares the files of a checkpoint with their checksums. Raises OSError, ValueError or TypeError where they differ."""
    for name, expected in dict(json.loads((folder / CHECKSUMS).read_text("utf-8"))).items():
        if digest(folder / name) != expected:
            raise ValueError(f"{folder.name}/{name} does not have its checksum")
