"""Turns: how contenders in processes of their own take part in one run, one after the other, so that all meet the same machine.

A contender calls `ready()` when it is set up, and `answer(...)` at the end of each turn; both wait for the next turn. The
other side starts contenders as `Contender`s and gives them `turn()`s in whatever order it likes: A B A B. Waiting costs no
processor time.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def ready() -> str:
    """Says that set-up is over; returns the first turn's word when it comes."""
    return answer({})


def answer(result: dict[str, Any]) -> str:
    """Gives the result of a turn, with the process's peak memory in MiB; returns the next turn's word."""
    result["peak_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print("\n@" + json.dumps(result), flush=True)
    word = sys.stdin.readline().strip()
    if not word:
        os._exit(0)  # the run is over; nothing is to be saved, and frameworks take their time to shut down
    return word


class Contender:
    """A contender's process: `python FILE ARGUMENTS`, started and set up when this returns."""

    def __init__(self, name: str, *arguments: str):
        self.name, self.log = name, tempfile.TemporaryFile("w+")  # noqa: SIM115  as long as the process lives
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TOKENIZERS_PARALLELISM": "true"}
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            cwd=HERE,
            env=environment,
        )
        self._read()

    def turn(self, word: str = "go") -> dict[str, Any]:
        """Lets the contender have its turn and returns what it answers."""
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self._read()

    def end(self) -> None:
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()

    def _read(self) -> dict[str, Any]:
        for line in self.process.stdout:
            if line.startswith("@"):
                return json.loads(line[1:])
        self.log.seek(0)
        raise SystemExit(f"{self.name} ended with {self.process.wait()}:\n{self.log.read()[-3000:]}")
