"""Tags many sentences from a file into a folder, with each engine, and in memory: rate, memory, and a checksum of the lines.

    python benchmarks/bulk.py saved_models/finetune --corpus FOLDER [--sentences 1000000] [--runtime openvino]

The sentences are those of the corpus's splits, repeated, each with its number as the last word, so that they all differ. The
ways run in processes of their own, one after the other; rates are also given as a share of the rate in memory. Memory is what
the machine has less of than before, so nothing else may run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of a model")
    parser.add_argument("--corpus", type=Path, help="folder of a corpus")
    parser.add_argument("--sentences", type=int, default=10**6, help="how many sentences to tag [1000000]")
    parser.add_argument("--runtime", default="auto", help="what runs the model [auto]")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS), help="what to measure [all]")
    parser.add_argument("--rounds", type=int, default=1, help="how often each way runs, taking turns [1]")
    parser.add_argument("--actors", type=int, default=2, help="actors of Ray, with one core each [2]")
    parser.add_argument("--way", choices=list(WAYS), help="for the processes that this program starts")
    parser.add_argument("--file", type=Path, help="for the processes that this program starts")
    arguments = parser.parse_args()
    if arguments.way:
        with memory() as samples:
            found = WAYS[arguments.way](arguments)
        quarter = samples[: max(1, len(samples) // 4)]
        print(json.dumps({**found, "quarter": max(quarter), "peak": max(samples)}))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sentences.jsonl"
        words = write_sentences(file, arguments.corpus, arguments.sentences)
        print("| | words/s | of in memory | peak MiB, first quarter | peak MiB | SHA-256 of the lines |")
        print("|---|---|---|---|---|---|")
        reference = None
        for way in arguments.ways * arguments.rounds:
            argv = [str(arguments.model), "--runtime", arguments.runtime, "--way", way, "--file", str(file)]
            argv += ["--actors", str(arguments.actors)]
            run = subprocess.run([sys.executable, __file__, *argv], check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(run.stdout.splitlines()[-1])
            rate = words / found["seconds"]
            reference = rate if way == "memory" else reference
            share = f"{rate / reference:.2f}" if reference else "-"
            memories = f"{found['quarter']} | {found['peak']}"
            print(f"| {way} | {rate:,.0f} | {share} | {memories} | {found['sha256'][:16]} |", flush=True)


def write_sentences(file: Path, corpus: Path, number: int) -> int:
    """Writes the sentences as JSON lines; returns the number of their words."""
    from tfner.data.load import load_corpus

    sentences = [s.words for split in load_corpus(str(corpus)).splits.values() for s in split]
    words = 0
    with file.open("w", encoding="utf-8") as lines:
        for i in range(number):
            some = [*sentences[i % len(sentences)], str(i)]
            words += len(some)
            lines.write(json.dumps({"id": i, "tokens": some}) + "\n")
    return words


def in_memory(arguments: argparse.Namespace) -> dict:
    """Tags sentences that are in memory, 20,000 of them at a time, as the files are. Writing their lines takes no part."""
    from tfner.tagging.bulk import CHUNK, PART
    from tfner.tagging.load import load_tagger
    from tfner.tagging.outputs import as_json, to_json

    sentences = [json.loads(line) for line in arguments.file.open(encoding="utf-8")]
    digest, seconds = hashlib.sha256(), 0.0
    with load_tagger(arguments.model, arguments.runtime) as tagger:
        rows = iter(sentences)
        while part := list(islice(rows, PART)):
            start = time.perf_counter()
            found = list(tagger.tag_many([row["tokens"] for row in part], CHUNK))
            seconds += time.perf_counter() - start
            for row, entities in zip(part, found, strict=True):
                digest.update(f"{to_json(as_json(row.pop('tokens'), entities, row), ascii=False)}\n".encode())
    return {"seconds": seconds, "sha256": digest.hexdigest()}


def in_files(arguments: argparse.Namespace, engine: Any = None) -> dict:
    """Tags the file into a folder, with the local engine or another."""
    from tfner.tagging.bulk import Source, in_this_process, tag_files
    from tfner.tagging.load import load_tagger

    with load_tagger(arguments.model, arguments.runtime) as tagger, tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        tag_files(tagger, Source([arguments.file]), Path(folder), engine=engine or in_this_process)
        seconds, digest = time.perf_counter() - start, hashlib.sha256()
        for part in sorted(Path(folder).glob("part-*")):
            digest.update(part.read_bytes())
    return {"seconds": seconds, "sha256": digest.hexdigest()}


def on_ray(arguments: argparse.Namespace) -> dict:
    """Tags the file into a folder with Ray, whose start and end are in its time."""
    from tfner.tagging.on_ray import on_ray

    return in_files(arguments, on_ray(arguments.actors))


WAYS = {"memory": in_memory, "files": in_files, "ray": on_ray}


@contextmanager
def memory() -> Iterator[list[int]]:
    """A list of how much memory the machine has less of than at the start, in MiB, every half second."""
    start, samples, done = available(), [0], threading.Event()

    def sample() -> None:
        while not done.wait(0.5):
            samples.append(start - available())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


def available() -> int:
    """The memory that programs can still take, in MiB (Linux)."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) // 1024


if __name__ == "__main__":
    main()
