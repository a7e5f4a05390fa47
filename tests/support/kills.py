"""Kills commands at the places where they write files.

As a program, it imports everything once and then forks a process for each command, which kills itself before the Nth time that
Python creates, renames or removes a file in a folder, or with half of that file written. `Kills` talks to that program.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

CHANGES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


class Kills:
    """The program. As a context manager, it ends."""

    def __init__(self):
        command = [sys.executable, "-m", "support.kills"]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment
        )

    def run(self, folder: Path, verb: str, *argv: Any, at: int = 0, torn: bool = False) -> tuple[int, int]:
        """Runs a command; returns its exit status (negative for a signal) and how often it wrote into `folder`.

        Args:
            folder: where writes are counted.
            verb: a module of tfner.
            argv: its arguments.
            at: the write before which it is killed, from 1; 0 for none.
            torn: a file that is opened for writing is left with half of its content.
        """
        asked = {"folder": str(folder), "verb": verb, "argv": list(map(str, argv)), "at": at, "torn": torn}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        status, writes = json.loads(self._process.stdout.readline())
        return status, writes

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    for verb in ("train", "evaluate", "export", "predict"):
        import_module(f"tfner.{verb}")
    for name in ("exports.saved_model", "training.run", "tagging.saved_model", "evaluation.plots", "tagging.bulk"):
        import_module(f"tfner.{name}")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin:
        asked = json.loads(line)
        reads, writes = os.pipe()
        process = os.fork()
        if not process:
            os.close(reads)
            counted = watch(asked["folder"], asked["at"], asked["torn"], writes)
            try:
                status = import_module(f"tfner.{asked['verb']}").main(asked["argv"])
            except SystemExit as end:
                status = end.code
            except BaseException:
                status = 1
            os.write(writes, f"{counted()}\n".encode())
            os._exit(status or 0)
        os.close(writes)
        _, status = os.waitpid(process, 0)
        with os.fdopen(reads) as told:
            number = told.read().split()
        answers.write(json.dumps([os.waitstatus_to_exitcode(status), int(number[-1]) if number else 0]) + "\n")
        answers.flush()


def watch(folder: str, at: int, torn: bool, told: int):
    """Counts the changes in a folder, and ends the process before one of them. Returns a function that gives the number."""
    number = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal number
        if event not in CHANGES or not _inside(event, arguments, folder):
            return
        number += 1
        if number == at:
            if torn and event == "open":
                with contextlib.suppress(OSError), Path(os.fsdecode(arguments[0])).open("wb") as file:  # it may be a folder
                    file.write(b"\0half")
            os.write(told, f"{at}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return lambda: number


def _inside(event: str, arguments: tuple, folder: str) -> bool:
    path = arguments[0]
    if not isinstance(path, (str, bytes, os.PathLike)):
        return False
    if event == "open":
        mode, flags = arguments[1] or "", arguments[2]
        if not (set(mode) & set("wxa+") or flags & (os.O_WRONLY | os.O_RDWR)):
            return False
    directory = arguments[-1] if event in ("os.remove", "os.rmdir", "os.mkdir") else -1
    start = f"/proc/self/fd/{directory}" if isinstance(directory, int) and directory >= 0 else "."
    return str(Path(start).resolve() / os.fsdecode(path)).startswith(folder + os.sep)


if __name__ == "__main__":
    main()
