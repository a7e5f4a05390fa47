"""The folder of a model: its file names, its numbered versions, and writing that leaves nothing half done.

`NAME/1`, `NAME/2` ... are complete SavedModels (the layout that TF Serving watches), `NAME/training/1` ... the training states
they were exported from, `NAME/evaluations/` the results of evaluations, `NAME/transformers/1` and `NAME/onnx/1` ... exports in
other formats.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import re
import reprlib
import secrets
import shutil
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tfner.config import EXPORT_FORMATS, Config
from tfner.errors import UserError, one_line, setting
from tfner.labels import LabelSet
from tfner.terminal import FULL_DISK, is_full_disk, quiet_imports, quote

TRAINING, EVALUATIONS = "training", "evaluations"
"""Folders beside the versions."""
OTHER_FORMATS = tuple(name for name in EXPORT_FORMATS if name != "savedmodel")
"""Folders beside the versions that hold exports in other formats."""

SAVED_MODEL = "saved_model.pb"
EXTRA = "assets.extra"
"""Folder in a SavedModel for files that travel with it. TF Serving reserves the name."""
WARMUP = "tf_serving_warmup_requests"
"""File in `EXTRA` that TF Serving looks for."""

# files in a training state and in `EXTRA`
CONFIG, LABELS, SCORES, HISTORY = "config.json", "labels.json", "scores.json", "history.csv"
ENCODER, WEIGHTS, CHECKPOINTS = "encoder", "best.weights.h5", "checkpoints"  # in a training state alone
PREDICTIONS, MEASURES = "predictions.json", "measures.json"  # in a training state alone
CALIBRATION = "calibration.json"  # of a model that tfner trained
TOKENIZER, LIMITS, CARD = "tokenizer", "limits.json", "README.md"  # in `EXTRA` alone
GRAPHS = {"openvino": "model.xml", "onnx": "model.onnx"}
"""The file of the graph in an export for each other runtime."""
DESCRIPTION = "tfner.json"
"""What tfner knows of an export for another runtime: settings, labels, row length, weights, measurements. In such an export,
`config.json` is a file of transformers."""
_MOST_JSON = 1 << 24
"""The most bytes of a JSON file of a model."""
_DRAFT_LOCK = re.compile(r"(\.(.+)-\d+-[0-9a-f]{8})\.lock")
"""What `publish` calls the lock of its new folder, whose name and later name are groups."""
EVALUATION_FILES = (
    *(SCORES, "scores.txt", "mistakes.txt", "confusion_matrix.png", "learning_curves.png"),
    *("reliability.json", "reliability.png", "second.json"),
)
"""The files of an evaluation."""


def versions(folder: Path) -> list[int]:
    """The version numbers in a folder, ascending; empty where the folder does not exist."""
    return sorted(int(p.name) for p in folder.iterdir() if p.is_dir() and is_version(p.name)) if folder.is_dir() else []


def is_version(name: str) -> bool:
    """Whether a folder's name is the number of a version."""
    return re.fullmatch("0|[1-9][0-9]{0,17}", name) is not None


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder holds a model of transformers, not one of tfner."""
    return (folder / CONFIG).is_file() and not (folder / TRAINING).exists()


def next_version(folder: Path) -> int:
    """The number of the next version: one more than the highest version or training state."""
    return max([0, *versions(folder), *versions(folder / TRAINING)]) + 1


def model_folder(export: Path) -> Path:
    """The folder of the model that an export belongs to: NAME for NAME/1 and for NAME/openvino/1."""
    other = export.parent.name in GRAPHS and not (export / SAVED_MODEL).is_file()  # a model may be called openvino
    return export.parent.parent if other else export.parent


def export_again(export: Path) -> str:
    """What to do about a damaged export."""
    model = model_folder(export)
    runtime = "" if model == export.parent else f" --format {export.parent.name}"
    return f"export it again with python -m tfner.export {quote(model)}{runtime}"


def damaged(export: Path, error: Exception) -> UserError:
    """The error for an export whose files are missing or damaged."""
    return UserError(
        f"expected a complete tfner model, found a missing or damaged file ({one_line(error)}): {export_again(export)}", export
    )


def file_name(name: str) -> str:
    """The last part of a corpus's name without unusual characters, as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", Path(name).name).strip("-.") or "corpus"


def claim_state(folder: Path) -> int:
    """Creates the folder of the next training state, and returns its number. Every process gets a number of its own."""
    (folder / TRAINING).mkdir(parents=True, exist_ok=True)
    while True:
        number = next_version(folder)
        try:
            (folder / TRAINING / str(number)).mkdir()
        except FileExistsError:  # another process was faster
            continue
        return number


def lock_state(state: Path, what: str = "training") -> FileLock:
    """Locks the folder of a training state, or of something else that runs, until the lock is released or the process ends.

    Raises UserError where another process holds the lock.
    """
    lock = FileLock(state / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"this {what} is running in another process: wait for its end, or stop it first", state) from None
    return lock


def is_locked(state: Path) -> bool:
    """Whether another process holds the lock of a training state."""
    try:
        lock_state(state).release()
    except UserError:
        return True
    except OSError:  # nothing can be written there, so nothing trains there
        return False
    return False


def interrupted_states(folder: Path) -> list[int]:
    """The numbers of the training states that have a checkpoint and no exported version, the newest first."""
    return [
        number
        for number in reversed(versions(folder / TRAINING))
        if any((folder / TRAINING / str(number) / CHECKPOINTS).glob("[0-9]*"))
        and not (folder / str(number) / SAVED_MODEL).is_file()
    ]


def finished_states(folder: Path) -> list[int]:
    """The numbers of the training states with weights whose training neither runs nor was interrupted, ascending."""
    others = interrupted_states(folder)
    states = {number: folder / TRAINING / str(number) for number in versions(folder / TRAINING) if number not in others}
    return [number for number, state in states.items() if (state / WEIGHTS).is_file() and not is_locked(state)]


def resolve(path: str | Path) -> Path:
    """The folder of one exported version: `path` itself, or the highest version in it.

    Raises UserError where there is none, or the highest is not complete.
    """
    path = Path(path).expanduser()
    if (path / SAVED_MODEL).is_file():
        return path
    if not path.is_dir():
        raise UserError(
            "no such folder; expected a trained model such as saved_models/head, which python -m tfner.train makes", path
        )
    found = versions(path)
    if not found:
        names = ", ".join(sorted(p.name for p in path.iterdir())[:5]) or "nothing"
        raise UserError(
            f"expected a version such as {path}/1 with {SAVED_MODEL}, found {names}; python -m tfner.train makes one", path
        )
    newest = path / str(found[-1])
    if not (newest / SAVED_MODEL).is_file():
        raise UserError(
            f"the newest version has no {SAVED_MODEL}, so it is not complete: export it again with python -m tfner.export "
            f"{quote(path)}, remove it, or name another version",
            newest,
        )
    return newest


def check_writable(name: str, folder: Path, content: str) -> None:
    """Checks that a folder can be made or written into, without creating it.

    Args:
        name: the setting that names it, for messages.
        folder: the folder.
        content: what it is for, for messages.

    Raises:
        UserError: where it is a file, is inside a version or a training state, or cannot be written.
    """
    given = setting(name, folder)
    for parent in folder.absolute().parents:
        if (parent / SAVED_MODEL).exists() or ((parent / LABELS).exists() and (parent / CONFIG).exists()):
            raise UserError(f"{given}: {parent} holds a trained model: choose a folder outside it")
    existing = _nearest(folder)
    if not existing.is_dir():
        raise UserError(f"{given}: expected a folder for {content}, but {existing} is a file: choose another folder")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise UserError(f"{given}: {existing} cannot be written ({error.strerror}): choose another folder") from error


def _nearest(folder: Path) -> Path:
    """A folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def check_free(name: str, folder: Path, needed: int) -> None:
    """Raises UserError where the disk of a folder, which need not exist, has less room than `needed` bytes.

    `name` is the setting that names the folder.
    """
    free = shutil.disk_usage(_nearest(folder)).free
    if free < needed:
        raise UserError(
            f"{setting(name, folder)}: expected at least {needed / 2**20:,.0f} MiB of free disk, found {free / 2**20:,.0f}: "
            "make room there, or choose a folder on another disk"
        )


def check_output(folder: Path, content: str = "numbered versions", names: Collection[str] = ()) -> None:
    """Checks that a folder can be written into, without creating it.

    Args:
        folder: the folder.
        content: what it is for, for messages.
        names: the files and folders that it may hold [versions, training states and what else belongs to a model].

    Raises:
        UserError: where it is a file, holds anything else, or cannot be written.
    """
    check_writable("output", folder, content)
    if folder.is_dir():
        ours = (TRAINING, EVALUATIONS, *OTHER_FORMATS)
        other = [
            path.name
            for path in sorted(folder.iterdir())
            if not path.name.startswith(".")
            and not (path.name in names if names else (is_version(path.name) or path.name in ours) and path.is_dir())
        ]
        if other:
            raise UserError(
                f"{setting('output', folder)}: expected an empty folder or one with {content}, found {', '.join(other[:5])}: "
                "choose another folder"
            )


def check_replaceable(target: Path, files: Collection[str]) -> None:
    """Checks that a folder of results can be written, and replaced where it exists.

    Raises UserError where it is inside a version or a training state, or holds anything other than `files`.
    """
    check_writable("output", target, "results")
    if target.is_dir():
        other = sorted(path.name for path in target.iterdir() if path.name not in files or path.is_dir())
        if other:
            raise UserError(
                f"{setting('output', target)}: expected a new folder or one that holds only an earlier evaluation, found "
                f"{', '.join(other[:5])}: choose another folder"
            )


def publish(target: Path, write: Callable[[Path], None], replace: bool = False, remedy: str = FULL_DISK) -> Path:
    """Lets `write` fill a new folder beside `target` and renames it into place.

    Wherever this is interrupted, `target` either does not exist or is complete. With `replace`, an existing folder is removed
    after the new one is written. If `write` fails, folders above `target` that did not exist are removed again.

    Args:
        target: the folder.
        write: takes the new folder.
        replace: whether `target` may exist.
        remedy: what to do about a full disk, for the message.

    Raises:
        UserError: where `target` exists and is not to be replaced, or the disk is full.
    """
    missing = [path for path in target.absolute().parents if not path.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    clear_drafts(target.parent)
    draft = target.parent / f".{target.name}-{os.getpid()}-{secrets.token_hex(4)}"
    lock = Path(f"{draft}.lock")
    try:
        with FileLock(lock):
            try:
                draft.mkdir()
                write(draft)
                if not target.exists():
                    draft.rename(target)
                elif replace:
                    old = draft.with_name(f"{draft.name}-old")
                    target.rename(old)
                    draft.rename(target)
                    shutil.rmtree(old)
                else:
                    raise UserError("another command made it meanwhile: repeat this one", target)
            finally:
                lock.unlink(missing_ok=True)
    except Exception as error:
        if not is_full_disk(error):
            raise
        written = sum(path.stat().st_size for path in draft.rglob("*") if path.is_file())
        disk = next(path for path in (target.parent.absolute(), *target.absolute().parents) if path.is_mount())
        raise UserError(
            f"the disk at {disk} is full: {shutil.disk_usage(disk).free / 2**20:,.1f} MiB are free besides the "
            f"{written / 2**20:,.1f} MiB that were written, and more are needed: {remedy}",
            target,
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        with contextlib.suppress(OSError):  # one that holds something stays, as do those above it
            for path in missing:
                path.rmdir()
    return target


def clear_drafts(folder: Path) -> None:
    """Finishes what `publish` began in a folder and could not finish because its process was killed.

    A complete folder that was about to replace another is renamed into place; any other is removed.
    """
    for path in folder.glob(".*.lock"):
        match = _DRAFT_LOCK.fullmatch(path.name)
        if not match:
            continue
        draft, target = folder / match[1], folder / match[2]
        old = draft.with_name(f"{draft.name}-old")
        try:
            with FileLock(path, timeout=0):
                if old.exists() and draft.exists() and not target.exists():
                    draft.rename(target)
                for left in (draft, old):
                    shutil.rmtree(left, ignore_errors=True)
                path.unlink(missing_ok=True)
        except (Timeout, OSError):  # its process is at work, or it is of another user
            continue


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` make a file beside `path` and renames it into place: `path` is never half written."""
    draft = path.with_name(f".{path.name}")
    try:
        write(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def check_room(path: Path, size: int) -> None:
    """Creates a file of `size` bytes, to be overwritten. Raises OSError where the disk has no room for it.

    HDF5 ends the process where it cannot write, so room is checked before it does.
    """
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.write(bytes(size))


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2), "utf-8")


def read_settings(folder: Path) -> tuple[Config, dict[str, LabelSet]]:
    """The settings, and the labels of each task, from an export's `EXTRA` or from a training state.

    Raises OSError or ValueError where the files are missing or damaged.
    """
    config = Config.from_values(read_json(folder / CONFIG))
    return config, {task: label_set(read_json(of_task(folder, config, task) / LABELS), task == "pos") for task in config.tasks}


def of_task(folder: Path, config: Config, task: str) -> Path:
    """Where the files of one task are: in the folder itself for the first, in a folder of its name for the others."""
    return folder if task == config.tasks[0] else folder / task


def label_set(names: Any, plain: bool) -> LabelSet:
    """The labels that JSON holds. Raises ValueError where it is not a list of names, and UserError as `LabelSet` does."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"expected a list of labels, found {reprlib.repr(names)}")
    return LabelSet(tuple(names), plain)


def read_json(path: Path) -> Any:
    """The value in a file of JSON. Raises OSError, or ValueError for what is not JSON or too large to be of a model."""
    if path.stat().st_size > _MOST_JSON:
        raise ValueError(f"{path.name} is larger than {_MOST_JSON:,} bytes")
    try:
        return json.loads(path.read_text("utf-8"))
    except RecursionError as error:
        raise ValueError(f"{path.name} has lists or objects that are nested too deeply") from error


def read_history(path: Path) -> list[dict[str, str]]:
    """The rows of a `history.csv`, as text."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def load_saved_model(folder: Path):
    """Loads a version's SavedModel as TensorFlow returns it. Raises UserError where it is damaged."""
    with quiet_imports():
        import tensorflow as tf
        import tensorflow_text  # noqa: F401  registers the operations of the graph
    try:
        return tf.saved_model.load(str(folder))
    except (OSError, ValueError, IndexError, tf.errors.OpError) as error:  # IndexError: a file ends too early
        raise UserError(f"the SavedModel cannot be loaded ({one_line(error)}): {export_again(folder)}", folder) from error
