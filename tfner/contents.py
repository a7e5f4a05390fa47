"""The files that a model consists of: what each was when the model was written.

Notes size and checksum of every file of a folder in `CONTENTS`, and compares them when the folder is read, so that labels,
tokenizer, settings and weights of different models are never used together.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from tfner.folder import CARD, EXTRA, HISTORY, SCORES, WARMUP, read_json, write_json

CONTENTS = "contents.json"
FREE = (CARD, SCORES, HISTORY, WARMUP, "*.png", ".*", CONTENTS)
"""Patterns of the files that may change: they describe the model, and it works without them."""
_SAMPLE = 1 << 20


def sampled(file: Path) -> dict[str, Any]:
    """The size of a file in bytes, and a SHA-256 of its first and last MiB, which takes milliseconds. Raises OSError."""
    size = file.stat().st_size
    with file.open("rb") as content:
        digest = hashlib.sha256(content.read(_SAMPLE))
        content.seek(max(0, size - _SAMPLE))
        digest.update(content.read(_SAMPLE))
    return {"bytes": size, "sha256": digest.hexdigest()}


def note_contents(folder: Path) -> None:
    """Notes the files of a folder. In a SavedModel, `CONTENTS` is in `EXTRA`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not any(path.match(free) for free in FREE))
    write_json(_file(folder), {path.relative_to(folder).as_posix(): sampled(path) for path in files})


def check_contents(folder: Path) -> None:
    """Compares the files of a folder with those that were noted. A folder without `CONTENTS` is of an earlier version of tfner.

    Raises OSError or ValueError for a file that is missing, or not the one that was noted.
    """
    if not _file(folder).is_file():
        return
    noted = read_json(_file(folder))
    if not isinstance(noted, dict):
        raise ValueError(f"{CONTENTS} holds no object")
    for name, expected in noted.items():
        if folder not in (folder / name).parents or ".." in Path(name).parts:
            raise ValueError(f"{CONTENTS} names {name!r}, which is outside of the folder")
        if sampled(folder / name) != expected:
            raise ValueError(f"{name} is not the file that was written with the others")


def _file(folder: Path) -> Path:
    return (folder / EXTRA if (folder / EXTRA).is_dir() else folder) / CONTENTS
