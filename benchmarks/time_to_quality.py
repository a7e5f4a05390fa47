"""Compares how long trainings take to reach a validation F1, and how good they are at their end.

    python benchmarks/time_to_quality.py --encoder FOLDER --corpus FOLDER --seeds 0 1 2 3 4 --python 5.24=PYTHON 4.54=PYTHON

`recipes.jsonl` has a contender a line: its name, its kind (`tfner` or `trainer`) and its settings. Those of a `trainer`
name the version of transformers, and `--python` says where that is installed. A round is a seed. Each contender of a round is a
process of its own, and they take turns epoch by epoch, so that all of them see the same state of the machine. Each result is
appended to the file of `--results` as soon as it is there, and results that the file has are not computed again. `--table`
prints the tables alone.

Validation decides: the weights of the epoch with the best validation F1 are scored on the test split, once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE / "speed"))

from turns import Contender  # noqa: E402

GOALS = (0.88, 0.90)
"""Validation F1 whose time is reported."""


class Splits:
    """The rows of the corpus for one way to label word pieces, and their scores."""

    def __init__(self, encoder: str, corpus: str, label_pieces: str):
        from tfner.data.load import load_corpus
        from tfner.modeling.pretrained import load_tokenizer
        from tfner.modeling.rows import RowEncoder

        loaded = load_corpus(corpus)
        self.sentences = loaded.splits
        self.row_encoder = RowEncoder(load_tokenizer(encoder), loaded.labels, label_pieces)
        self.encoded = {split: self.row_encoder.encode(sentences) for split, sentences in self.sentences.items()}

    def write(self, path: Path) -> None:
        """Writes what `quality_trainer.py` reads."""
        data: dict[str, Any] = {"labels": len(self.row_encoder.labels)}
        for split, encoded in self.encoded.items():
            rows = encoded.rows
            data[split] = {"ids": [row.ids.tolist() for row in rows], "labels": [row.labels.tolist() for row in rows]}
        path.write_text(json.dumps(data), "utf-8")

    def f1(self, split: str, answers: Path) -> float:
        """Entity F1, counted as conlleval does, of the logits in a file."""
        from tfner.evaluation.scores import score
        from tfner.modeling.decoding import decode

        with np.load(answers) as file:
            values = [file[name] for name in file.files]
        tags = [tagged.tags for tagged in decode(self.row_encoder, self.encoded[split], values)]
        return score([s.tags for s in self.sentences[split]], tags, self.row_encoder.labels).overall.f1


class Training:
    """A contender's training with one seed."""

    def __init__(
        self, recipe: dict[str, Any], seed: int, arguments: argparse.Namespace, folder: Path, splits: dict[str, Splits]
    ):
        self.result = {**recipe, "seed": seed, "epochs": []}
        settings = json.dumps(recipe["settings"])
        self.answers, self.word, self.last = folder / f"{len(list(folder.iterdir()))}.npz", "go", False
        self.answers.touch()
        if recipe["kind"] == "tfner":
            self.splits = None
            paths, python = (arguments.encoder, arguments.corpus), sys.executable
        else:
            way = recipe["settings"]["label_pieces"]
            data = folder / f"{way}.json"
            if way not in splits:
                splits[way] = Splits(arguments.encoder, arguments.corpus, way)
                splits[way].write(data)
            self.splits, python = splits[way], arguments.python[recipe["settings"]["transformers"]]
            paths = (arguments.encoder, str(data), str(self.answers))
        script = str(HERE / f"quality_{recipe['kind']}.py")
        self.contender = Contender(recipe["name"], script, *paths, settings, str(seed), python=python)

    def turn(self) -> None:
        """Trains an epoch and scores it."""
        turn = self.contender.turn(self.word)
        self.last = turn.pop("last")
        self.result["peak_mib"] = turn.pop("peak_mib")
        if self.splits:
            start = time.perf_counter()
            turn["validation"] = self.splits.f1("validation", self.answers)
            turn["scoring"] += time.perf_counter() - start
        best = max((epoch["validation"] for epoch in self.result["epochs"]), default=-1.0)
        self.word = "keep" if turn["validation"] > best else "go"
        self.result["epochs"].append(turn)

    def end(self) -> dict[str, Any]:
        """Scores the test split; returns the result."""
        if self.splits and self.word == "keep":
            self.word = "test"  # the last epoch is the best
        turn = self.contender.turn(self.word)
        turn.pop("peak_mib")
        if self.splits:
            turn["validation"] = max(epoch["validation"] for epoch in self.result["epochs"])
            turn["test"] = self.splits.f1("test", self.answers)
        self.contender.end()
        return {**self.result, **turn}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", help="folder of a BERT")
    parser.add_argument("--corpus", help="folder of CoNLL columns")
    parser.add_argument("--recipes", type=Path, default=HERE / "recipes.jsonl", help="the contenders [recipes.jsonl]")
    parser.add_argument("--only", nargs="+", default=[""], help="contenders whose names contain one of these [all]")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="seeds, a round each [0 1 2 3 4]")
    parser.add_argument("--python", nargs="*", default=[], metavar="VERSION=PYTHON", help="the interpreters with transformers")
    parser.add_argument("--together", type=int, default=6, help="contenders that take turns, in the order of the recipes [6]")
    parser.add_argument("--results", type=Path, default=HERE / "time_to_quality.jsonl", help="file of the results")
    parser.add_argument("--base", help="the contender that the others are compared with [the first]")
    parser.add_argument("--table", action="store_true", help="print the tables of the results, without training")
    arguments = parser.parse_args()
    recipes = [r for r in read(arguments.recipes) if any(part in r["name"] for part in arguments.only)]
    if not arguments.table:
        if not (arguments.encoder and arguments.corpus):
            parser.error("--encoder and --corpus are needed")
        arguments.encoder, arguments.corpus = (str(Path(p).resolve()) for p in (arguments.encoder, arguments.corpus))
        arguments.python = dict(text.split("=", 1) for text in arguments.python)
        check(recipes, arguments)
        run(recipes, arguments)
    results = [r for r in read(arguments.results) if any(r["name"] == recipe["name"] for recipe in recipes)]
    print("\n".join(tables(results, arguments.base or recipes[0]["name"])))


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def check(recipes: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    """Ends the program where an interpreter is missing, or a result has other settings than the recipe of its name."""
    for recipe in recipes:
        version = recipe["settings"].get("transformers") if recipe["kind"] == "trainer" else None
        if version and version not in arguments.python:
            raise SystemExit(f"{recipe['name']}: --python {version}=PYTHON is missing")
        for result in read(arguments.results):
            if result["name"] == recipe["name"] and result["settings"] != recipe["settings"]:
                raise SystemExit(f"{recipe['name']}: the results have other settings: give the recipe another name")


def run(recipes: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    """Runs what has no result yet."""
    git = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True)
    with tempfile.TemporaryDirectory() as name:
        splits: dict[str, Splits] = {}
        for seed in arguments.seeds:
            done = {r["name"] for r in read(arguments.results) if r["seed"] == seed}
            left = [recipe for recipe in recipes if recipe["name"] not in done]
            for first in range(0, len(left), arguments.together):
                start = datetime.now().isoformat(timespec="seconds")
                group = left[first : first + arguments.together]
                active = [Training(recipe, seed, arguments, Path(name), splits) for recipe in group]
                while active:
                    for training in list(active):
                        training.turn()
                        print(
                            f"seed {seed}, {training.result['name']}: {training.result['epochs'][-1]}",
                            file=sys.stderr,
                            flush=True,
                        )
                        if training.last:
                            active.remove(training)
                            result = {**training.end(), "start": start, "commit": git.stdout.strip()}
                            with arguments.results.open("a", encoding="utf-8") as file:
                                file.write(json.dumps(result) + "\n")


def tables(results: list[dict[str, Any]], base: str) -> Iterator[str]:
    """The results as Markdown."""
    named: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        named.setdefault(result["name"], []).append(result)
    yield "Median (minimum to maximum) over the seeds. Seconds of training until the end of the first epoch with that dev F1,"
    yield "without scoring and saving, which have columns of their own.\n"
    reached = [text for goal in GOALS for text in (f"s to dev F1 {goal}", "scoring")]
    yield from rows(["", "seeds", *reached, "s in total", "saving", "epochs", "dev F1", "test F1", "mean test F1", "MiB"])
    for name, own in named.items():
        cells = [str(len(own))]
        for goal in GOALS:
            cells += [spread([until(r, goal, "seconds") for r in own], 0), spread([until(r, goal, "scoring") for r in own], 0)]
        totals = [spread([sum(epoch[what] for epoch in r["epochs"]) for r in own], 0) for what in ("seconds", "saving")]
        cells += [*totals, spread([len(r["epochs"]) for r in own], 0)]
        cells += [spread([r[split] for r in own], 4, "not scored") for split in ("validation", "test")]
        tests = [r["test"] for r in own if r["test"] is not None]
        cells += [f"{statistics.mean(tests):.4f}" if tests else "not scored", spread([r["peak_mib"] for r in own], 0)]
        yield from rows([name, *cells], head=False)
    if base not in named:
        return
    yield f"\nTraining time divided by that of {base} in the same round: median (minimum to maximum).\n"
    yield from rows(["", *(f"to dev F1 {goal}" for goal in GOALS), "in total"])
    for name, own in named.items():
        pairs = [(a, b) for a in own for b in named[base] if a["seed"] == b["seed"]]
        cells = [spread([ratio(until(a, g, "seconds"), until(b, g, "seconds")) for a, b in pairs], 2) for g in GOALS]
        total = [ratio(*(sum(epoch["seconds"] for epoch in r["epochs"]) for r in pair)) for pair in pairs]
        yield from rows([name, *cells, spread(total, 2)], head=False)


def rows(cells: list[str], head: bool = True) -> Iterator[str]:
    yield "| " + " | ".join(cells) + " |"
    if head:
        yield "|" + " --- |" * len(cells)


def until(result: dict[str, Any], goal: float, what: str) -> float | None:
    """The seconds until the first epoch with this validation F1, or None if there is none."""
    total = 0.0
    for epoch in result["epochs"]:
        total += epoch[what]
        if epoch["validation"] >= goal:
            return total
    return None


def ratio(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a / b


def spread(values: list[Any], digits: int, absent: str = "not reached") -> str:
    """Median and range. Values may be missing: how many are there is said then, or `absent` where there is none."""
    there = [value for value in values if value is not None]
    if not there:
        return absent
    middle, low, high = (f"{x:,.{digits}f}" for x in (statistics.median(there), min(there), max(there)))
    text = middle if low == high else f"{middle} ({low} to {high})"
    return text if len(there) == len(values) else f"{text}, {len(there)} of {len(values)}"


if __name__ == "__main__":
    main()
