"""Measures how many texts a second an exported model tags at each batch size. serving/batching.config is based on the result.

    python benchmarks/batch_sizes.py saved_models/head

It calls the signature `serving_default` in this process, without a server.
"""

from __future__ import annotations

import argparse
import time

from tfner.demo.corpus import demo_corpus
from tfner.folder import resolve
from tfner.terminal import quiet_imports, quieten, table

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
WORDS = 20  # in each text


def texts(number: int) -> list[str]:
    """Texts of `WORDS` words each, taken from the embedded corpus."""
    words = [word for sentence in demo_corpus().splits["test"] for word in sentence.words]
    return [" ".join(words[i * WORDS : (i + 1) * WORDS]) for i in range(number)]


def measure(model: str, seconds: float) -> list[tuple[int, float, float]]:
    """Measures each batch size for at least `seconds` of processor time.

    Returns:
        For each batch size: the size, the shortest wall-clock time of a request and its least processor time (all cores
        together), both in seconds. Wall-clock time is what a client sees. On a machine that runs other work, only processor
        time is reliable.
    """
    with quiet_imports():
        import tensorflow as tf
        import tensorflow_text  # noqa: F401  registers the operations of the graph
    loaded = tf.saved_model.load(str(resolve(model)))
    tag = loaded.signatures["serving_default"]
    found = []
    for size in SIZES:
        batch = tf.constant(texts(size))
        tag(text=batch)
        times: list[tuple[float, float]] = []
        while sum(busy for _, busy in times) < seconds or len(times) < 3:
            start, busy = time.perf_counter(), time.process_time()
            tag(text=batch)
            times.append((time.perf_counter() - start, time.process_time() - busy))
        found.append((size, *map(min, zip(*times, strict=True))))
    return found


def main() -> None:
    """Prints one row for each batch size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder of an exported model")
    parser.add_argument("--seconds", type=float, default=3.0, help="processor time spent on each batch size [3]")
    arguments = parser.parse_args()
    quieten()
    rows = [("texts", "ms", "texts/s", "processor ms", "texts/processor s")]
    for size, wall, busy in measure(arguments.model, arguments.seconds):
        rows.append((size, f"{1000 * wall:.1f}", f"{size / wall:.0f}", f"{1000 * busy:.1f}", f"{size / busy:.0f}"))
    print(table(rows, left=0))


if __name__ == "__main__":
    main()
