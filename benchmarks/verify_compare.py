"""Kills a comparison with SIGKILL several times, resumes it, and compares its results with those of an undisturbed one.

    python benchmarks/verify_compare.py [--kills 5] [--corpus demo] [--encoder demo] [--seeds 2] [--epochs 2]

Each kill comes at a random moment and hits the comparison alone, whose training then goes on by itself, or both. What has to be
equal to the last digit is `results.json` without the measured times and speeds and without the name of the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="demo", help="as for tfner compare [demo]")
    parser.add_argument("--encoder", default="demo", help="as for tfner compare [demo]")
    parser.add_argument("--kills", type=int, default=5, help="how often the comparison is killed [5]")
    parser.add_argument("--seeds", type=int, default=2, help="seeds of each variant [2]")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of each training [2]")
    parser.add_argument("--seed", type=int, default=0, help="seed of the kills [0]")
    arguments = parser.parse_args()
    settings = ["--corpus", arguments.corpus, "--encoder", arguments.encoder, "--seeds", str(arguments.seeds)]
    settings += ["--epochs", str(arguments.epochs), "--deterministic", "--discard-models"]
    with tempfile.TemporaryDirectory() as name:
        raise SystemExit(not verify(settings, arguments.kills, random.Random(arguments.seed), Path(name)))


def verify(settings: list[str], kills: int, generator: random.Random, folder: Path) -> bool:
    """Runs both comparisons. True if their results are equal."""
    command = [sys.executable, "-m", "tfner.compare", *settings, "--output"]
    undisturbed, killed = folder / "undisturbed", folder / "killed"
    start = time.monotonic()
    subprocess.run([*command, str(undisturbed)], check=True)
    seconds = time.monotonic() - start
    # the rest of the comparison becomes shorter with each kill
    for number in range(1, kills + 1):
        process = subprocess.Popen([*command, str(killed)], start_new_session=True)
        after = generator.uniform(0.5, 1.5) * seconds / (kills + 1)
        try:
            process.wait(after)
            print(f"the comparison ended before kill {number}: choose other --kills or --epochs")
            return False
        except subprocess.TimeoutExpired:
            both = generator.random() < 0.5
            trainings = children(process.pid) if both else []
            for pid in (process.pid, *trainings):
                os.kill(pid, signal.SIGKILL)
            process.wait()
            print(
                f"kill {number} after {after:.1f} s: {'comparison and training' if trainings else 'comparison alone'}",
                flush=True,
            )
    subprocess.run([*command, str(killed)], check=True)
    equal = results(undisturbed) == results(killed)
    print("the results are equal to the last digit" if equal else "the results DIFFER")
    return equal


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def results(folder: Path) -> Any:
    """The results of a comparison without what may differ."""
    value = json.loads((folder / "results.json").read_text("utf-8"))
    del value["measured"], value["facts"]["command"]
    return value


if __name__ == "__main__":
    main()
