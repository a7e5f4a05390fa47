"""Measures how many texts a second exported models tag at each batch size. serving/batching.config is based on the result.

    python benchmarks/batch_sizes.py saved_models/head [MODEL ...]

It calls the signature `serving_default` in this process, without a server. Several models take turns: what a decoder costs is
the difference between two exports of the same training, one of which was made with `--decode greedy`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence

from tfner.demo.corpus import demo_corpus
from tfner.folder import resolve
from tfner.terminal import quiet_imports, quieten, table

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
WORDS = 20  # in each text


def texts(number: int) -> list[str]:
    """Texts of `WORDS` words each, taken from the embedded corpus."""
    words = [word for sentence in demo_corpus().splits["test"] for word in sentence.words]
    return [" ".join(words[i * WORDS : (i + 1) * WORDS]) for i in range(number)]


def measure(models: Sequence[str], seconds: float) -> Iterator[tuple[int, str, float, float]]:
    """Measures each batch size for at least `seconds` of processor time for each model.

    Yields:
        For each batch size and model: the size, the model, the shortest wall-clock time of a request and its least processor
        time (all cores together), both in seconds. Wall-clock time is what a client sees. On a machine that runs other work,
        only processor time is reliable.
    """
    with quiet_imports():
        import tensorflow as tf
        import tensorflow_text  # noqa: F401  registers the operations of the graph
    loaded = {model: tf.saved_model.load(str(resolve(model))) for model in models}
    tags = {model: one.signatures["serving_default"] for model, one in loaded.items()}
    for size in SIZES:
        batch = tf.constant(texts(size))
        times: dict[str, list[tuple[float, float]]] = {model: [] for model in models}
        for tag in tags.values():
            tag(text=batch)
        while any(sum(busy for _, busy in own) < seconds or len(own) < 3 for own in times.values()):
            for model, tag in tags.items():
                start, busy = time.perf_counter(), time.process_time()
                tag(text=batch)
                times[model].append((time.perf_counter() - start, time.process_time() - busy))
        for model in models:
            wall, busy = map(min, zip(*times[model], strict=True))
            yield size, model, wall, busy


def main() -> None:
    """Prints one row for each batch size and model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL", help="folder of an exported model")
    parser.add_argument("--seconds", type=float, default=3.0, help="processor time of each batch size and model [3]")
    arguments = parser.parse_args()
    quieten()
    rows = [("model", "texts", "ms", "texts/s", "processor ms", "texts/processor s")]
    for size, model, wall, busy in measure(arguments.models, arguments.seconds):
        rows.append((model, size, f"{1000 * wall:.1f}", f"{size / wall:.0f}", f"{1000 * busy:.1f}", f"{size / busy:.0f}"))
    print(table(rows))


if __name__ == "__main__":
    main()
