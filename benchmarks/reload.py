"""Loads, serves, replaces and unloads an exported model many times in one process, as TF Serving does: memory, wrong answers.

    python benchmarks/reload.py saved_models/head/1 [--times 200]

TF Serving gives each version a session and a graph of its own, restores its variables, runs its warm-up requests, switches to
it and closes the version before. Here a thread asks for predictions all the time, so that versions change under load. Prints
memory every tenth time; the exit status is 1 if an answer was wrong.
"""

from __future__ import annotations

import argparse
import gc
import os
import threading
from pathlib import Path

import numpy as np

from tfner.terminal import quieten

quieten()

import tensorflow as tf  # noqa: E402
import tensorflow_text  # noqa: E402, F401  registers the operations of the graph

TEXTS = ["Peter Blackburn said in Nice.", "EU rejects German call to boycott British lamb.", "", "😀 Nice"]


class Version:
    """A loaded version: a session with the graph, and the names of its inputs and outputs."""

    def __init__(self, folder: str):
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            loaded = tf.compat.v1.saved_model.loader.load(self.session, [tf.saved_model.SERVING], folder)
        signature = loaded.signature_def["serving_default"]
        self.input = signature.inputs["text"].name
        self.outputs = {key: tensor.name for key, tensor in signature.outputs.items()}

    def answer(self) -> dict[str, np.ndarray]:
        """The outputs for `TEXTS`."""
        return self.session.run(self.outputs, {self.input: np.array([text.encode() for text in TEXTS], object)})

    def close(self) -> None:
        """Unloads the version."""
        self.session.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of an exported version")
    parser.add_argument("--times", type=int, default=200, help="how often a version is loaded [200]")
    arguments = parser.parse_args()
    current = Version(arguments.model)
    expected, lock, done, wrong, asked = current.answer(), threading.Lock(), threading.Event(), 0, 0

    def ask() -> None:
        nonlocal wrong, asked
        while not done.is_set():
            with lock:
                found = current.answer()
            asked += 1
            for name, array in expected.items():
                equal = (
                    np.allclose(found[name], array, atol=1e-5) if array.dtype == np.float32 else (found[name] == array).all()
                )
                wrong += not equal

    client = threading.Thread(target=ask)
    client.start()
    print("| loaded | answers | wrong | RSS MiB |\n|---|---|---|---|")
    for number in range(1, arguments.times + 1):
        following = Version(arguments.model)
        following.answer()  # the warm-up, before the switch
        with lock:
            before, current = current, following
        before.close()
        del before, following
        gc.collect()
        if number == 1 or number % 10 == 0:
            print(f"| {number} | {asked:,} | {wrong} | {resident():.0f} |", flush=True)
    done.set()
    client.join()
    raise SystemExit(bool(wrong))


def resident() -> float:
    """Resident memory of this process in MiB (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
