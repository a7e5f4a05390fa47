"""Tags many sentences from a file into a folder, and in memory: words per second, peak memory, and a checksum of the result.

    python benchmarks/bulk.py saved_models/finetune --corpus FOLDER [--sentences 1000000] [--runtime openvino]

The sentences are those of the corpus's splits, repeated with other numbers in them, so that they differ. Both ways run in
processes of their own, one after the other.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of a model")
    parser.add_argument("--corpus", type=Path, help="folder of a corpus")
    parser.add_argument("--sentences", type=int, default=10**6, help="how many sentences to tag [1000000]")
    parser.add_argument("--runtime", default="auto", help="what runs the model [auto]")
    parser.add_argument("--way", choices=("files", "memory"), help="for the processes that this program starts")
    parser.add_argument("--file", type=Path, help="for the processes that this program starts")
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps({"files": in_files, "memory": in_memory}[arguments.way](arguments)))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sentences.jsonl"
        words = write_sentences(file, arguments.corpus, arguments.sentences)
        print("| | words/s | peak MiB | SHA-256 of the entities |\n|---|---|---|---|")
        for way in ("memory", "files"):
            argv = [str(arguments.model), "--runtime", arguments.runtime, "--way", way, "--file", str(file)]
            run = subprocess.run([sys.executable, __file__, *argv], check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(run.stdout.splitlines()[-1])
            print(f"| {way} | {words / found['seconds']:,.0f} | {found['mib']} | {found['sha256'][:16]} |", flush=True)


def write_sentences(file: Path, corpus: Path, number: int) -> int:
    """Writes the sentences as JSON lines; returns the number of their words."""
    from tfner.data.load import load_corpus

    sentences = [s.words for split in load_corpus(str(corpus)).splits.values() for s in split]
    digits = [str.maketrans("0123456789", "0123456789"[n:] + "0123456789"[:n]) for n in range(10)]
    words = 0
    with file.open("w", encoding="utf-8") as lines:
        for i in range(number):
            repetition, position = divmod(i, len(sentences))
            some = [word.translate(digits[repetition % 10]) for word in sentences[position]]
            words += len(some)
            lines.write(json.dumps({"id": i, "tokens": some}) + "\n")
    return words


def in_memory(arguments: argparse.Namespace) -> dict:
    """Tags sentences that are in memory, 20,000 of them at a time, as the files are."""
    from tfner.tagging.bulk import CHUNK, PART
    from tfner.tagging.load import load_tagger
    from tfner.tagging.outputs import as_json

    sentences = [json.loads(line) for line in arguments.file.open(encoding="utf-8")]
    digest, seconds = hashlib.sha256(), 0.0
    with load_tagger(arguments.model, arguments.runtime) as tagger:
        rows = iter(sentences)
        while part := list(islice(rows, PART)):
            start = time.perf_counter()
            found = list(tagger.tag_many([row["tokens"] for row in part], CHUNK))
            seconds += time.perf_counter() - start
            for row, entities in zip(part, found, strict=True):
                digest.update(json.dumps(as_json(row["tokens"], entities)["entities"]).encode())
    return {"seconds": seconds, "mib": peak(), "sha256": digest.hexdigest()}


def in_files(arguments: argparse.Namespace) -> dict:
    """Tags the file into a folder."""
    from tfner.tagging.bulk import Source, tag_files
    from tfner.tagging.load import load_tagger

    with load_tagger(arguments.model, arguments.runtime) as tagger, tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        tag_files(tagger, Source([arguments.file]), Path(folder))
        seconds, mib, digest = time.perf_counter() - start, peak(), hashlib.sha256()
        for part in sorted(Path(folder).glob("part-*")):
            for line in part.open(encoding="utf-8"):
                digest.update(json.dumps(json.loads(line)["entities"]).encode())
    return {"seconds": seconds, "mib": mib, "sha256": digest.hexdigest()}


def peak() -> int:
    """The peak memory of this process in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
