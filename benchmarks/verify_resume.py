"""Kills trainings with SIGKILL, resumes them, and compares them bit by bit with a training that ran undisturbed.

    python benchmarks/verify_resume.py --corpus FOLDER [--encoder demo] [--kills 20] [--sentences 1400]

The undisturbed training writes a checkpoint after every step, so that every checkpoint of the others has one to be compared
with. Then trainings with the same settings are killed, `--each` times one after the other, and resumed with `--resume`. Kills
are at random moments; while a checkpoint, the best weights or the exported version is being written, which shows in the hidden
drafts in the model's folder. For those the process is stopped first, and killed only if the draft is still there.

A kill passes if the checkpoints on disk are intact after it, every checkpoint written after it equals the undisturbed one of
the same step, and its training ends with the same best weights, history, scores and answers to 100 sentences. What is compared
of a checkpoint are the variables of model and optimizer, the sums of loss and labelled pieces since the start of the epoch
(which differ if the batches come in another order), the values that early stopping watches and the history.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMES = ("seconds", "words_per_second")
"""What may differ in the history."""
DRAFTS = {
    "checkpoint": ("training/*/checkpoints/.????-???????-*", 0.1),
    "best weights": ("training/*/.best.weights.h5", 0.02),
    "export": (".[0-9]*-*", 1.0),
}
"""The draft that shows what a process is writing, and the longest time in seconds to wait before it is killed."""
MOST, PAUSE, START = 6, 3.0, 20.0
"""A process is killed after at most so many checkpoints, and so many seconds after the last of them or after its start."""
ANSWERED = 100


@dataclass
class Kill:
    """A kill, what the next process did until its own end, and what differs."""

    training: int
    kind: str
    seconds: float
    newest: str
    left: list[str]
    resumed: str = ""
    compared: int = 0
    faults: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="demo", help="a model folder, or demo for the embedded encoder [demo]")
    parser.add_argument("--corpus", required=True, type=Path, help="a folder with train.txt, valid.txt and test.txt in columns")
    parser.add_argument("--kills", type=int, default=20, help="kills in total [20]")
    parser.add_argument("--each", type=int, default=5, help="kills of each training [5]")
    parser.add_argument("--sentences", type=int, default=1400, help="training sentences; a fifth as many in the others [1400]")
    parser.add_argument("--epochs", type=int, default=3, help="epochs [3]")
    parser.add_argument("--minutes", type=float, default=0.02, help="minutes between the checkpoints [0.02]")
    parser.add_argument("--seed", type=int, default=0, help="seed of the kills [0]")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at the same time [1]")
    parser.add_argument("--json", type=Path, help="file of the figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raise SystemExit(not verify(arguments, Path(folder)))


def verify(arguments: argparse.Namespace, folder: Path) -> bool:
    """Runs all trainings, and prints the table. True if every kill passes."""
    corpus, texts = folder / "corpus", folder / "texts.txt"
    cut(arguments.corpus, corpus, arguments.sentences, texts)
    encoder = arguments.encoder if arguments.encoder == "demo" else str(Path(arguments.encoder).resolve())
    command = [sys.executable, "-m", "tfner.train", "--encoder", encoder, "--corpus", str(corpus), "--deterministic"]
    command += ["--epochs", str(arguments.epochs), "--monitor", "val_loss", "--resume"]
    reference = Watched(folder / "undisturbed")
    often = [*command, "--checkpoint-minutes", "1e-6"]
    command += ["--checkpoint-minutes", str(arguments.minutes)]
    kinds, found, number = plan(arguments.kills, arguments.each, random.Random(arguments.seed)), [], 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        undisturbed = pool.submit(reference.run, often)
        while kinds:  # a training may end before it has had all its kills
            jobs = []
            for first in range(0, len(kinds), arguments.each):
                number += 1
                own = Trial(number, Watched(folder / f"killed-{number}"), kinds[first : first + arguments.each])
                jobs.append(pool.submit(own.run, command, random.Random(f"{arguments.seed} {number}")))
            trials = [job.result() for job in jobs]
            undisturbed.result()
            ended = [reference, *(trial.watched for trial in trials)]
            expected, *outcomes = pool.map(outcome, ended, [texts] * len(ended))
            for trial, got in zip(trials, outcomes, strict=True):
                faults = trial.finish(reference.checkpoints, expected, got)
                found, kinds = found + trial.kills, kinds[arguments.each :] + trial.missed
                print(f"training {trial.number}: {len(trial.kills)} kills; at its end {faults}", flush=True)
    print(f"the undisturbed training wrote {len(reference.checkpoints)} checkpoints\n")
    print("\n".join(table(found)))
    passed = sum(not kill.faults for kill in found)
    print(f"\n{passed} of {len(found)}")
    if arguments.json:
        arguments.json.write_text(json.dumps([vars(kill) for kill in found], indent=1) + "\n", "utf-8")
    return passed == len(found)


def plan(kills: int, each: int, generator: random.Random) -> list[str]:
    """What the kills wait for. In every training one of `each` waits for a checkpoint, one for the export, which comes last;
    in every second training one waits for the best weights."""
    found: list[str] = []
    while len(found) < kills:
        own = ["checkpoint", "random", "random"] if len(found) // each % 2 else ["checkpoint", "best weights", "random"]
        own = (own + ["random"] * each)[: each - 1]
        generator.shuffle(own)
        found += [*own, "export"]
    return found[:kills]


class Trial:
    """A training that is killed several times."""

    def __init__(self, number: int, watched: Watched, kinds: list[str]):
        self.number, self.watched, self.kinds = number, watched, kinds
        self.kills: list[Kill] = []
        self.seen: list[dict[str, Any]] = []
        """The checkpoints after each kill."""

    @property
    def missed(self) -> list[str]:
        """The kills that the training ended before."""
        return self.kinds[len(self.kills) :]

    def run(self, command: list[str], generator: random.Random) -> Trial:
        """Runs the training to its end, with these kills."""
        for kind in (*self.kinds, None):
            killed, self.watched.checkpoints = None, {}
            if not self.watched.complete():
                killed = self.watched.run(command, kind, generator)
                if self.kills:
                    self.kills[-1].resumed = self.watched.resumed
            if self.kills:
                self.seen.append(self.watched.checkpoints)
            if killed is None:
                return self
            self.kills.append(Kill(self.number, str(kind), *killed, faults=self.watched.damaged()))
            print(self.kills[-1], file=sys.stderr, flush=True)
        raise AssertionError("the last process is not killed")

    def finish(self, checkpoints: dict[str, Any], expected: dict[str, Any], got: dict[str, Any]) -> str:
        """Notes what differs from the undisturbed training. Returns what differs at the end, as text."""
        faults = [f"other {name}" for name in expected if got[name] != expected[name]]
        for kill, seen in zip(self.kills, self.seen, strict=True):
            compare(kill, seen, checkpoints)
            kill.faults += faults
        return ", ".join(faults) or "everything equal"


class Watched:
    """A training in its own processes, one after the other, whose folder is watched.

    `checkpoints` has the contents of the checkpoints that were seen, by name.
    """

    def __init__(self, output: Path):
        self.output, self.checkpoints, self.resumed = output, {}, ""
        self.log, self.stale = output.with_suffix(".log"), set()

    def run(self, command: list[str], kind: str | None = None, generator: random.Random | None = None):
        """Runs a process to its end, or kills it. None if it ended by itself, otherwise seconds, newest checkpoint, drafts.

        A kill at a random moment or in a checkpoint comes after a random number of checkpoints and some time. Where that number
        is 0, the moment may be in the start of the process.
        """
        start, generator = time.monotonic(), generator or random.Random(0)
        number = generator.randint(0, MOST) if kind in ("random", "checkpoint") else 0
        after = generator.uniform(0, PAUSE if number else START)
        self.look()
        before = set(self.checkpoints)
        self.stale = set()
        self.stale = set().union(*map(self.drafts, DRAFTS))
        with self.log.open("w") as log:
            environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
            whole = [*command, "--output", str(self.output)]
            # in a session of its own: Ctrl-C would let it go on to a checkpoint
            process = subprocess.Popen(whole, stdout=log, stderr=log, env=environment, start_new_session=True)
            killed, reached = None, None
            while process.poll() is None:
                self.look()
                if reached is None and len(self.checkpoints) >= number + len(before):
                    reached = time.monotonic()
                if reached is None:
                    pass
                elif kind == "random" and time.monotonic() - reached > after:
                    process.kill()
                elif kind in DRAFTS and self.drafts(kind):
                    time.sleep(generator.uniform(0, DRAFTS[kind][1]))
                    process.send_signal(signal.SIGSTOP)
                    process.send_signal(signal.SIGKILL if self.drafts(kind) else signal.SIGCONT)
                time.sleep(0.01)
            if process.returncode == -signal.SIGKILL:
                drafts = [name for name in DRAFTS if self.drafts(name)]
                names = sorted(path.name for path in self.output.glob("training/*/checkpoints/[0-9]*"))
                killed = round(time.monotonic() - start, 1), names[-1] if names else "", drafts
        self.look()
        self.checkpoints = {name: value for name, value in self.checkpoints.items() if name not in before}
        text = self.log.read_text("utf-8")
        if killed is None and process.returncode:
            raise SystemExit(f"a training ended with exit status {process.returncode}:\n{text[-3000:]}")
        resumed = re.search(r"^resumed (?:in )?(.+)$", text, re.MULTILINE)
        self.resumed = resumed[1] if resumed else "the start"
        return killed

    def drafts(self, kind: str) -> set[tuple[Path, int]]:
        """What the process is writing. Files that another process left are not counted, unless they are written again."""
        found = set()
        for path in self.output.glob(DRAFTS[kind][0]):
            with contextlib.suppress(OSError):  # renamed meanwhile
                found.add((path, path.stat().st_mtime_ns if path.is_file() else 0))
        return {one for one in found - self.stale if not one[0].name.endswith("-old")}

    def look(self) -> None:
        """Reads the checkpoints that were not seen before."""
        for path in self.output.glob("training/*/checkpoints/[0-9]*"):
            if path.name not in self.checkpoints:
                try:
                    sums = json.loads((path / "checksums.json").read_text("utf-8"))
                    progress = json.loads((path / "progress.json").read_text("utf-8"))
                except OSError:  # removed meanwhile
                    continue
                self.checkpoints[path.name] = contents(sums, progress)

    def damaged(self) -> list[str]:
        """The checkpoints and versions on disk that are not complete."""
        found = [f"version {p.name} incomplete" for p in self.output.glob("[0-9]*") if not (p / "saved_model.pb").is_file()]
        for path in self.output.glob("training/*/checkpoints/[0-9]*"):
            sums = json.loads((path / "checksums.json").read_text("utf-8"))
            if any(hashlib.sha256((path / name).read_bytes()).hexdigest() != value for name, value in sums.items()):
                found.append(f"checkpoint {path.name} damaged")
        return found

    def complete(self) -> bool:
        """Whether the version is exported."""
        return any(self.output.glob("[0-9]*"))


def contents(sums: dict[str, str], progress: dict[str, Any]) -> dict[str, Any]:
    """What has to be equal in two checkpoints of the same step."""
    progress = {name: value for name, value in progress.items() if name != "seconds"}
    progress["history"] = [{k: v for k, v in row.items() if k not in TIMES} for row in progress["history"]]
    return {"variables": {name: value for name, value in sums.items() if name.startswith("variables")}, **progress}


def compare(kill: Kill, checkpoints: dict[str, Any], expected: dict[str, Any]) -> None:
    """Notes which parts of the checkpoints after a kill differ from those of the same steps."""
    for name, found in checkpoints.items():
        if name not in expected:
            kill.faults.append(f"no checkpoint {name} to compare with")
            continue
        kill.compared += 1
        kill.faults += [f"{part} of {name}" for part in found if found[part] != expected[name][part]]


def outcome(watched: Watched, texts: Path) -> dict[str, Any]:
    """What has to be equal at the end of two trainings: hashes, and what is left behind."""
    version = max(watched.output.glob("[0-9]*"), key=lambda path: int(path.name))
    state = watched.output / "training" / version.name
    with (state / "history.csv").open(newline="", encoding="utf-8") as file:
        history = [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]
    predict = [sys.executable, "-m", "tfner.predict", str(version), "--file", str(texts), "--json"]
    answers = subprocess.run(predict, capture_output=True, check=True).stdout
    assert answers.count(b"\n") == ANSWERED
    left = [p for folder in (watched.output, version, state) for p in folder.glob(".*") if p.name != ".lock"]
    return {
        "best weights": weights_hash(state / "best.weights.h5"),
        "history": history,
        "scores": (state / "scores.json").read_text("utf-8"),
        "answers": hashlib.sha256(answers).hexdigest(),
        "files left behind": sorted(re.sub(r"-.*", "", path.name) for path in left),
    }


def weights_hash(path: Path) -> str:
    """The hash of names, shapes and values of all arrays of a file."""
    import h5py

    digest = hashlib.sha256()

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            digest.update(f"{name} {item.shape} {item.dtype}".encode() + item[()].tobytes())

    with h5py.File(path) as file:
        file.visititems(add)
    return digest.hexdigest()


def cut(source: Path, target: Path, sentences: int, texts: Path) -> None:
    """Copies the first sentences of each split, and writes the texts to be tagged."""
    target.mkdir()
    for name in ("train", "valid", "test"):
        blocks = (source / f"{name}.txt").read_text("utf-8").split("\n\n")
        wanted = max(ANSWERED, sentences if name == "train" else sentences // 5)
        kept = [i for i, block in enumerate(blocks) if block.strip() and not block.startswith("-DOCSTART-")][:wanted]
        (target / f"{name}.txt").write_text("\n\n".join(blocks[: kept[-1] + 1]) + "\n", "utf-8")
        if name == "test":
            lines = [" ".join(line.split()[0] for line in blocks[i].strip().splitlines()) for i in kept[:ANSWERED]]
            texts.write_text("\n".join(lines) + "\n", "utf-8")


def table(kills: list[Kill]) -> list[str]:
    """The kills as Markdown."""
    rows = [
        ["kill", "training", "waited for", "s", "newest checkpoint", "half written", "resumed from", "compared", "differs"],
        ["---"] * 9,
    ]
    for number, kill in enumerate(kills, start=1):
        cells = number, kill.training, kill.kind, f"{kill.seconds:.1f}", kill.newest or "-", ", ".join(kill.left) or "-"
        faults = "; ".join(kill.faults[:3]) or "nothing"
        rows.append([*map(str, cells), kill.resumed or "not resumed", str(kill.compared), faults])
    return ["| " + " | ".join(row) + " |" for row in rows]


if __name__ == "__main__":
    main()
