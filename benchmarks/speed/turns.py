"""Lets contenders, each in its own process, take turns, so that all of them see the same state of the machine.

A contender calls `ready()` once it is set up and `answer(...)` at the end of each turn. Both wait for the next turn, which
costs no processor time. The benchmark starts each contender as a `Contender` and calls its `turn()` in any order, such as
A B A B.
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
    """Reports that the set-up is complete. Waits for the first turn and returns its word."""
    return answer({})


def answer(result: dict[str, Any]) -> str:
    """Reports the result of a turn and the peak memory of the process in MiB. Waits for the next turn and returns its word."""
    result["peak_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print("\n@" + json.dumps(result), flush=True)
    word = sys.stdin.readline().strip()
    if not word:
        os._exit(0)  # the run is over: there is nothing to save, and frameworks are slow to shut down
    return word


class Contender:
    """The process of a contender, `python FILE ARGUMENTS`. It is started and set up when this returns."""

    def __init__(self, name: str, *arguments: str, python: str = sys.executable):
        self.name, self.log = name, tempfile.TemporaryFile("w+")  # noqa: SIM115  open as long as the process runs
        environment = {**os.environ, "PYTHONPATH": str(HERE), "TF_CPP_MIN_LOG_LEVEL": "3", "TOKENIZERS_PARALLELISM": "true"}
        self.process = subprocess.Popen(
            [python, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            cwd=HERE,
            env=environment,
        )
        self._read()

    def turn(self, word: str = "go") -> dict[str, Any]:
        """Gives the contender a turn and returns its answer."""
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
        raise SystemExit(f"{self.name} ended with exit status {self.process.wait()}:\n{self.log.read()[-3000:]}")
