"""Measures the limit of the machine: the rate of matrix products at the shapes of an encoder, in the types that training uses.

    python limit.py ENCODER_FOLDER

A turn returns the rate in FLOP/s for each type, over the matrix products of one layer. It measures 640 rows, which is the mean
number of pieces in a batch of 32 sentences of CoNLL-2003, and 4,096 rows.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import tensorflow as tf
from turns import answer, ready

ROWS = (640, 4096)
TYPES = ("float32", "bfloat16")


def rate(rows: int, kind: str, hidden: int, inner: int, seconds: float = 1.5) -> float:
    """The median rate of the six matrix products of one layer, in FLOP/s."""
    shapes = [(hidden, hidden)] * 4 + [(hidden, inner), (inner, hidden)]
    inputs = [tf.cast(tf.random.normal((rows, a)), kind) for a, _ in shapes]
    weights = [tf.cast(tf.random.normal(shape), kind) for shape in shapes]
    run = tf.function(lambda: [tf.matmul(x, w) for x, w in zip(inputs, weights, strict=True)])
    run()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 5:
        start = time.perf_counter()
        run()[-1].numpy()
        times.append(time.perf_counter() - start)
    return 2 * rows * sum(a * b for a, b in shapes) / statistics.median(times)


if __name__ == "__main__":
    config = json.loads((Path(sys.argv[1]) / "config.json").read_text("utf-8"))
    ready()
    while True:
        answer(
            {
                f"{kind} {rows}": rate(rows, kind, config["hidden_size"], config["intermediate_size"])
                for kind in TYPES
                for rows in ROWS
            }
        )
