"""Measures how time and memory grow with the size of the input. Each turn is one measurement.

    python growth.py ENCODER CORPUS MODEL

The word of a turn is one of

- `size SHARE`: trains on this share of the sentences; seconds per epoch;
- `length PIECES`: trains on rows of this length; seconds per 10,000 pieces;
- `batch ROWS`: trains with this many rows per step; seconds per 10,000 pieces;
- `tag NUMBER`: runs `python -m tfner.predict` on a file of this many sentences; seconds, and peak memory in MiB.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import tensorflow as tf
from turns import answer, ready

from tfner.config import Config
from tfner.data.load import load_corpus
from tfner.modeling.pipeline import training_batches
from tfner.modeling.pretrained import load_tokenizer
from tfner.modeling.rows import Row, RowEncoder
from tfner.modeling.variants import build_model, new_variables
from tfner.training.optimizers import AdamW
from tfner.training.step import train_step


class Growth:
    """The measurements. They share one training step, which is traced once, and the rows of the corpus."""

    def __init__(self, encoder: str, corpus: str, model: str):
        loaded = load_corpus(corpus)
        self.sentences, self.model = loaded.splits["train"], model
        self.row_encoder = RowEncoder(load_tokenizer(encoder), loaded.labels)
        self.rows = self.row_encoder.encode(self.sentences).rows
        trained = build_model("finetune", encoder, len(loaded.labels), Config())
        optimizer = AdamW(5e-5, new_variables=new_variables(trained), new_factor=20.0)
        optimizer.build(trained.trainable_variables)
        self.step = train_step(trained, optimizer, tf.distribute.get_strategy())
        self._train(self.rows[:320], 32)  # traces the step

    def size(self, share: float) -> dict[str, float]:
        """Seconds of an epoch on a share of the sentences."""
        rows = self.rows[: round(share * len(self.rows))]
        return {"seconds": self._train(rows, 32), "pieces": sum(map(len, rows))}

    def length(self, pieces: int) -> dict[str, float]:
        """Seconds per 10,000 pieces in rows of a given length."""
        ids = np.concatenate([row.ids[1:-1] for row in self.rows[:4000]])
        number = max(8, 20_000 // pieces)
        rows = [self._row(ids[i * pieces : (i + 1) * pieces]) for i in range(number)]
        seconds = self._train(rows, max(1, 640 // pieces))
        return {"seconds": seconds * 1e4 / (number * pieces), "pieces": number * pieces}

    def batch(self, size: int) -> dict[str, float]:
        """Seconds per 10,000 pieces in steps of a given number of rows."""
        rows = self.rows[: 40 * max(32, size)]
        pieces = sum(map(len, rows))
        return {"seconds": self._train(rows, size) * 1e4 / pieces, "pieces": pieces}

    def tag(self, number: int) -> dict[str, float]:
        """Seconds and peak memory of `python -m tfner.predict` on a number of sentences."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "texts.txt"
            with file.open("w", encoding="utf-8") as out:
                out.writelines(" ".join(s.words) + "\n" for s in islice(cycle(self.sentences), number))
            command = [sys.executable, "-m", "tfner.predict", self.model, "--file", str(file), "--json"]
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            peak = 0  # wait4 cannot tell: it charges the memory of this process at the start of the command to the command
            while process.poll() is None:
                status = Path(f"/proc/{process.pid}/status").read_text("utf-8")
                peak = max([peak, *map(int, re.findall(r"VmHWM:\s+(\d+)", status))])
                time.sleep(0.2)
            assert process.returncode == 0, process.returncode
            return {"seconds": time.perf_counter() - start, "command_mib": peak / 1024}

    def _train(self, rows, size: int) -> float:
        batches = iter(training_batches(rows, size, self.row_encoder.pad_id, 0))
        start = time.perf_counter()
        for _ in range(-(-len(rows) // size)):
            self.step(batches, False)
        return time.perf_counter() - start

    @staticmethod
    def _row(ids: np.ndarray) -> Row:
        words = np.arange(len(ids), dtype=np.int32)
        return Row(ids, np.zeros_like(words), np.zeros_like(words), words, np.ones(len(ids), bool))


if __name__ == "__main__":
    growth = Growth(*sys.argv[1:])
    word = ready()
    while True:
        kind, value = word.split()
        result = getattr(growth, kind)(float(value) if kind == "size" else int(value))
        word = answer(result)
