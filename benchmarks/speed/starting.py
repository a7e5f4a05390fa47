"""Measures how long a user waits at the start. Each turn runs one process and returns its seconds.

    python starting.py ENCODER CORPUS MODEL

The word of a turn is one of

- `import`: `import tfner`;
- `help`: `python -m tfner.train --help`;
- `step`: from the command to the end of the first training step;
- `tag RUNTIME`: from the command to the first tagged sentence.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from turns import answer, ready

STEP = """
import os, sys
from tfner import train
from tfner.training.checkpoints import Progress
Progress.add = lambda self, result: os._exit(0)
train.main(sys.argv[1:])
"""


def measure(word: str, encoder: str, corpus: str, model: str) -> float:
    """The seconds that the process of a word takes."""
    with tempfile.TemporaryDirectory() as folder:
        command = {
            "import": ["-c", "import tfner"],
            "help": ["-m", "tfner.train", "--help"],
            "step": ["-c", STEP, "--encoder", encoder, "--corpus", corpus, "--output", f"{folder}/m"],
            "tag": ["-m", "tfner.predict", model, "Ahmed works at Unice in Nice.", "--runtime", *word.split()[1:]],
        }[word.split()[0]]
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
        )
        return time.perf_counter() - start


if __name__ == "__main__":
    word = ready()
    while True:
        word = answer({"seconds": measure(word, *sys.argv[1:])})
