"""The folder of a model: numbered versions, written beside and renamed into place.

``NAME/1``, ``NAME/2`` … are complete SavedModels (the layout TF Serving watches), ``NAME/training/1`` … the training states
they came from, ``NAME/evaluations/`` what evaluations saved, ``NAME/transformers/1`` and ``NAME/onnx/1`` … what was exported in
other formats. A reader never sees half of a version, and none is overwritten.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from tfner.errors import UserError

TRAINING, EVALUATIONS = "training", "evaluations"
OTHER_FORMATS = ("transformers", "onnx")


def numbers(folder: Path) -> list[int]:
    """The version numbers in a folder, ascending; none where there is no folder."""
    return sorted(int(p.name) for p in folder.iterdir() if p.is_dir() and p.name.isdigit()) if folder.is_dir() else []


def check_output(folder: Path) -> None:
    """Makes sure that versions can be written into a folder, without creating it.

    Raises UserError where it is a file, holds something else than versions, or cannot be written.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise UserError(f"--output {folder}: expected a folder for numbered versions, but {existing} is a file: choose another")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise UserError(f"--output {folder}: {existing} cannot be written ({error.strerror}): choose another folder") from error
    if existing == folder:
        names = sorted(path.name for path in folder.iterdir())
        ours = (TRAINING, EVALUATIONS, *OTHER_FORMATS)
        other = [n for n in names if not n.startswith(".") and not ((n.isdigit() or n in ours) and (folder / n).is_dir())]
        if other:
            raise UserError(
                f"--output {folder}: expected an empty folder or one with numbered versions, found {', '.join(other[:5])}: "
                "choose another"
            )


def next_number(folder: Path) -> int:
    """The number that the next version gets: one more than any version or training state has."""
    return max([0, *numbers(folder), *numbers(folder / TRAINING)]) + 1


def check_replaceable(target: Path, files: Collection[str]) -> None:
    """Makes sure that a folder of results can be written, and replaced where it exists.

    Raises UserError where it is inside a version or a training state, or holds anything that is not one of ``files``.
    """
    for parent in target.absolute().parents:
        if (parent / "saved_model.pb").exists() or (parent / "labels.json").exists():
            raise UserError(f"--output {target}: {parent} holds a trained model: choose a folder outside it")
    if target.is_dir():
        other = sorted(path.name for path in target.iterdir() if path.name not in files or path.is_dir())
        if other:
            raise UserError(
                f"--output {target}: expected a new folder or one with an earlier evaluation alone, found "
                f"{', '.join(other[:5])}: choose another"
            )
    elif target.exists():
        raise UserError(f"--output {target}: expected a folder, but it is a file: choose another")


def publish(target: Path, write: Callable[[Path], None], replace: bool = False) -> Path:
    """Lets ``write`` fill a new folder beside ``target`` and renames it into place.

    Whatever interrupts it, ``target`` either does not exist or is whole. With ``replace``, a folder that is there goes once the
    new one is written. Raises FileExistsError where it exists already and is not to be replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.parent / f".{target.name}-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        write(draft)
        if not target.exists():
            draft.rename(target)
        elif replace:
            old = draft.with_name(f"{draft.name}-old")
            target.rename(old)
            draft.rename(target)
            shutil.rmtree(old)
        else:
            raise FileExistsError(f"{target} exists already")
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def resolve(path: str | Path) -> Path:
    """The folder of one exported version: ``path`` itself, or the highest version in it.

    Raises UserError where there is none.
    """
    path = Path(path).expanduser()
    if (path / "saved_model.pb").is_file():
        return path
    if not path.is_dir():
        raise UserError(
            f"{path}: no such folder; expected a trained model such as saved_models/head (python -m tfner.train makes one)"
        )
    complete = [n for n in numbers(path) if (path / str(n) / "saved_model.pb").is_file()]
    if not complete:
        found = ", ".join(sorted(p.name for p in path.iterdir())[:5]) or "nothing"
        raise UserError(
            f"{path}: expected a version such as {path}/1 with a saved_model.pb, found {found}; python -m tfner.train makes one"
        )
    return path / str(complete[-1])
