"""The folder that a job of tagging files writes to: whole parts, rejects, and a manifest that says what is done.

Takes what identifies the job and the results of one part after another. A job that was interrupted goes on after its last part.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tfner.errors import UserError, setting
from tfner.folder import check_writable, write_json, write_whole

MANIFEST, REJECTS = "manifest.json", "rejects.jsonl"


class JobFolder:
    """The folder that a job writes to.

    Args:
        folder: a new or empty folder, or one that the same job wrote to before.
        job: what identifies the job, as JSON.

    Raises:
        UserError: where the folder holds anything else, another job writes to it, or one did before; from `add` and `finish`
            where it cannot be written.
    """

    def __init__(self, folder: Path, job: Mapping[str, Any]):
        self.folder = folder
        self.manifest: dict[str, Any] = {"job": dict(job), "parts": [], "rejects_bytes": 0, "complete": False}
        check_writable("output", folder, "tagged files")
        other = sorted(p.name for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []
        if other and MANIFEST not in other:
            raise UserError(
                f"{setting('output', folder)}: expected a new folder, or one that this command wrote to before, found "
                f"{', '.join(other[:5])}: choose another folder"
            )
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError("another command writes to this folder: wait for its end, or choose another", folder) from None
        if (folder / MANIFEST).is_file():
            self._restore(dict(job))
        else:
            self.save()  # before anything else: a folder without it is not ours

    @property
    def parts(self) -> list[dict[str, int]]:
        """For each part that is done: its records, those that were tagged, those that were rejected, and its size in bytes."""
        return list(self.manifest["parts"])

    @property
    def counts(self) -> dict[str, int]:
        """The sums of all parts."""
        return {name: sum(part[name] for part in self.parts) for name in ("records", "tagged", "rejected")}

    def add(self, write: Callable[[Path], object], ending: str, rejects: Sequence[str], counts: dict[str, int]) -> None:
        """Adds a part. Wherever this is interrupted, the part is either there and counted, or written again."""
        path = self.folder / f"{_part_name(len(self.parts))}.{ending}"
        with _writing(self.folder):
            _write_synced(path, write)
            with (self.folder / REJECTS).open("ab") as file:
                file.write("".join(line + "\n" for line in rejects).encode())
                file.flush()
                os.fsync(file.fileno())
                end = file.tell()
            self.manifest |= {"parts": [*self.parts, {**counts, "bytes": path.stat().st_size}], "rejects_bytes": end}
            self.save()

    def finish(self) -> None:
        """Says in the manifest that all parts are there."""
        self.manifest["complete"] = True
        with _writing(self.folder):
            self.save()

    def save(self) -> None:
        """Writes the manifest."""
        _write_synced(self.folder / MANIFEST, lambda path: write_json(path, self.manifest))

    def release(self) -> None:
        """Lets other commands write to the folder."""
        self._lock.release()

    def _restore(self, job: dict[str, Any]) -> None:
        path = self.folder / MANIFEST
        try:
            found = json.loads(path.read_text("utf-8"))
            before, _, size = (found[name] for name in ("job", "parts", "rejects_bytes"))
        except (ValueError, KeyError, TypeError) as error:
            self.release()
            raise UserError("the manifest is damaged: choose another folder, or remove this one", path) from error
        differing = sorted(name for name in {*before, *job} if before.get(name) != job.get(name))
        if differing:
            self.release()
            raise UserError(
                f"{setting('output', self.folder)}: another job wrote to this folder, with another {' and '.join(differing)}: "
                "choose another folder"
            )
        self.manifest = found
        rejects = self.folder / REJECTS
        sizes = {path.stem: path.stat().st_size for path in self.folder.glob("part-*")}
        parts = {_part_name(number): part["bytes"] for number, part in enumerate(self.parts)}
        missing = [name for name, part in parts.items() if sizes.get(name) != part]
        if size > (rejects.stat().st_size if rejects.exists() else 0):
            missing.append(REJECTS)
        if missing:
            self.release()
            raise UserError(
                f"{setting('output', self.folder)}: {missing[0]} was written here and is not complete any more: restore it, or "
                "choose another folder"
            )
        if rejects.exists():
            with rejects.open("r+b") as file:
                file.truncate(size)  # of a part that was not counted


def _write_synced(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a whole file that is still there after a loss of power."""

    def synced(draft: Path) -> None:
        write(draft)
        with draft.open("r+b") as file:
            os.fsync(file.fileno())

    write_whole(path, synced)


def _part_name(number: int) -> str:
    return f"part-{number:05}"


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{setting('output', folder)}: cannot be written ({error.strerror}): make room; the same command then goes on"
        ) from error
