"""Fuzzes the readers of tfner with atheris, and looks for slow inputs.

    python benchmarks/fuzz/run.py [--runs 1000000] [--targets conll jsonl] [--keep FOLDER]

Each target runs in a process of its own and stops at the first input that makes it do anything but read or refuse it. The same
seed gives the same inputs. With --keep, a later call begins with the inputs that were of interest before. Prints a Markdown
table; the exit status is 1 if anything was found.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from targets import ALPHABETS, TARGETS, seeds

HERE = Path(__file__).parent
LONG = 100_000  # characters
FEWER = {"rows": 10, "folder": 10}
"""Targets that run this many times less often, as each input takes longer."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10**6, help="inputs for each target [1000000]")
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=list(TARGETS), help="what is fuzzed [all]")
    parser.add_argument("--seed", type=int, default=1, help="seed of the inputs [1]")
    parser.add_argument("--keep", type=Path, help="folder for the inputs of interest [none is kept]")
    arguments = parser.parse_args()
    print("| target | inputs | seconds | slowest of 100 kB, ms | found |\n|---|---|---|---|---|")
    failed = False
    for name in arguments.targets:
        runs = arguments.runs // FEWER.get(name, 1)
        with tempfile.TemporaryDirectory() as temporary:
            kept = arguments.keep / name if arguments.keep else Path(temporary) / "kept"
            kept.mkdir(parents=True, exist_ok=True)
            for number, data in enumerate(seeds(name)):
                (kept / f"seed-{number}").write_bytes(data)
            argv = [sys.executable, HERE / "targets.py", name, f"-runs={runs}", f"-seed={arguments.seed}", "-max_len=400"]
            argv += [f"-artifact_prefix={temporary}/", "-verbosity=1", str(kept)]
            began = time.perf_counter()
            run = subprocess.run(list(map(str, argv)), capture_output=True, text=True)
            seconds = time.perf_counter() - began
            done = re.findall(r"#(\d+)\s", run.stderr)
            found = "nothing"
            if run.returncode:
                failed = True
                found = next((line for line in run.stderr.splitlines() if "Error" in line or "Exception" in line), "see below")
                print(run.stderr[-4000:], file=sys.stderr)
                for crash in Path(temporary).glob("crash-*"):
                    print(f"{name}: {crash.read_bytes()!r}", file=sys.stderr)
        print(f"| {name} | {int(done[-1]) if done else 0:,} | {seconds:.0f} | {slowest(name)} | {found} |", flush=True)
    raise SystemExit(failed)


def slowest(name: str) -> str:
    """The longest time of an input of 100 kB that repeats one or two pieces of the target's alphabet."""
    alphabet = ALPHABETS.get(name)
    if not alphabet:
        return ""
    times = []
    for first in range(len(alphabet)):
        for second in {first, (first + 1) % len(alphabet), 0}:
            pair = bytes([first, second])
            size = len(alphabet[first] + alphabet[second])
            data = b"\0" + pair * (LONG // max(1, size))
            began = time.perf_counter()
            TARGETS[name](data)
            times.append(time.perf_counter() - began)
    return f"{1000 * max(times):.0f}"


if __name__ == "__main__":
    main()
