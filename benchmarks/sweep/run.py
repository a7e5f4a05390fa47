"""Trains every recipe of a plan that has no result yet, and appends the results to a file.

    TFNER_TEST_ASSETS=FOLDER python benchmarks/sweep/run.py [--table]

`plan.jsonl` holds a recipe a line, written before it runs: its name, the settings that differ from `make_config`'s, and tricks
of `tricks.py`, which tfner does not have. `--table` prints the results alone. Each recipe runs in a process of its own. `runs.jsonl` gets the epochs with their
validation scores and the seconds of training. The test split is never looked at.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tricks

HERE = Path(__file__).parent
PLAN, RUNS = HERE / "plan.jsonl", HERE / "runs.jsonl"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def run(recipe: dict[str, Any], assets: Path) -> dict[str, Any]:
    """Trains one recipe; its result is a line of `RUNS`."""
    from tfner.config import make_config
    from tfner.training.request import check_request
    from tfner.training.run import TrainingRun

    settings = {"encoder": "models/minilm-l6-h384-uncased", "corpus": "data/conll2003", **recipe["settings"]}
    for name in ("encoder", "corpus"):
        if (assets / settings[name]).exists():
            settings[name] = str(assets / settings[name])
    tricks.prepare(**recipe.get("tricks", {}))
    with tempfile.TemporaryDirectory() as folder:
        config = make_config(**{"output": f"{folder}/model", "patience": 99, **settings})
        corpus = tricks.part(check_request(config), **recipe.get("tricks", {}))
        training = TrainingRun(config, corpus, lambda line: print(line, file=sys.stderr, flush=True))
        tricks.attach(training, **recipe.get("tricks", {}))
        start = time.perf_counter()
        training.fit()
        seconds = time.perf_counter() - start
    columns = ("epoch", "loss", "val_loss", "precision", "recall", "f1", "seconds")
    epochs = [{c: round(row[c], 5) for c in columns} for row in training.history]
    return {**recipe, "best": max(row["f1"] for row in epochs), "training_seconds": round(seconds, 1), "epochs": epochs}


def table(results: list[dict[str, Any]]) -> Iterator[str]:
    """Best validation F1 and that of each epoch."""
    yield "| recipe | best | after each epoch | commit |"
    yield "|---|---|---|---|"
    for result in results:
        epochs = " ".join(f"{row['f1']:.4f}" for row in result.get("epochs", ()))
        best = f"{result['best']:.4f}" if result["best"] else f"failed with status {result['failed']}"
        yield f"| {result['name']} | {best} | {epochs} | {result['commit']} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--table", action="store_true", help="print the results as Markdown, without training")
    arguments = parser.parse_args()
    if arguments.table:
        print("\n".join(table(read(RUNS))))
        return
    if arguments.one:
        print(json.dumps(run(json.loads(arguments.one), Path(os.environ["TFNER_TEST_ASSETS"]))))
        return
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout.strip()
    while True:  # the plan may grow while it is carried out
        done = {result["name"] for result in read(RUNS)}
        recipe = next((r for r in read(PLAN) if r["name"] not in done), None)
        if recipe is None:
            return
        command = [sys.executable, __file__, "--one", json.dumps(recipe)]
        one = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if one.returncode:
            result = {**recipe, "best": None, "failed": one.returncode}
        else:
            result = json.loads(one.stdout.splitlines()[-1])
        with RUNS.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**result, "commit": commit}) + "\n")
        print(f"{result['name']:<40} {result['best']} {result.get('training_seconds')}", flush=True)


if __name__ == "__main__":
    main()
