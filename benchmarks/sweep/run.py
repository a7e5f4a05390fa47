"""Trains every recipe of a plan that has no result yet, and appends the results to a file.

    TFNER_TEST_ASSETS=FOLDER python benchmarks/sweep/run.py [--table]

`plan.jsonl` holds a recipe a line, written before it runs: its name, the settings that differ from `make_config`'s, and tricks
of `tricks.py`, which tfner does not have. Each recipe runs in a process of its own. `runs.jsonl` gets the epochs with their
validation scores and the seconds of training; `--table` prints it. The test split is never looked at.
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

from tfner.config import AUTO

HERE = Path(__file__).parent
FORMER = {"batch_size": 32, "learning_rate": 5e-5, "head_learning_rate": 1e-3, "precision": "float32"}
"""The defaults of tfner when the recipes were planned, which hold where a recipe gives no other value."""
PLAN, RUNS = HERE / "plan.jsonl", HERE / "runs.jsonl"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def run(recipe: dict[str, Any], assets: Path) -> dict[str, Any]:
    """Trains one recipe; its result is a line of `RUNS`."""
    from tfner.config import make_config
    from tfner.training.request import check_request
    from tfner.training.run import TrainingRun

    settings = {"encoder": "models/minilm-l6-h384-uncased", "corpus": "data/conll2003", **recipe["settings"]}
    if settings["encoder"] != "demo":
        settings = {**FORMER, **settings}
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
    """The results with MiniLM as Markdown: on CoNLL-2003 by variant and number of epochs, then on other corpora."""
    results = [{**r, "settings": {**FORMER, **r["settings"]}} for r in results if r["best"] and "demo" not in r["name"]]
    other = [r for r in results if corpus_of(r) != "CoNLL-2003"]
    yield "| variant | epochs | batch | rate | new layers | precision | besides | validation F1 | after the epochs before |"
    yield "|---|---|---|---|---|---|---|---|---|"
    same = [r for r in results if r not in other]
    for result in sorted(same, key=lambda r: (r["settings"]["variant"], f"{r['settings']['epochs']:>4}", -r["best"])):
        settings = result["settings"]
        besides = {n: v for n, v in settings.items() if n not in FORMER and n not in ("variant", "epochs")}
        besides |= result.get("tricks", {})
        rates = (f"{settings[name]:.1e}".replace(".0e-0", "e-") for name in ("learning_rate", "head_learning_rate"))
        cells = [f"`{settings['variant']}`", settings["epochs"], settings["batch_size"], *rates, settings["precision"]]
        cells += [", ".join(f"{name.replace('_', ' ')} {value}" for name, value in besides.items())]
        cells += [f"{result['best']:.4f}", " ".join(f"{row['f1']:.4f}" for row in result["epochs"][:-1])]
        yield "| " + " | ".join(map(str, cells)) + " |"
    yield "\n| corpus | `--epochs` | epochs | validation F1 | share of the best |"
    yield "|---|---|---|---|---|"
    like = next(r for r in same if r["settings"]["epochs"] == AUTO)
    same = [r for r in same if {**r["settings"], "epochs": AUTO} == like["settings"] and not r.get("tricks")]
    for result in sorted(same + other, key=lambda r: (corpus_of(r), f"{r['settings']['epochs']:>4}")):
        best = max(r["best"] for r in same + other if corpus_of(r) == corpus_of(result) and r["settings"]["epochs"] != AUTO)
        cells = [corpus_of(result), f"{result['settings']['epochs']}", len(result["epochs"]), f"{result['best']:.4f}"]
        yield "| " + " | ".join(map(str, [*cells, f"{result['best'] / best:.3f}"])) + " |"


def corpus_of(result: dict[str, Any]) -> str:
    """The corpus of a result, for the table."""
    names = {"data/wnut17": "WNUT-17", "data/conll2002_esp": "CoNLL-2002 Spanish"}
    share = result.get("tricks", {}).get("share")
    return f"{share:.0%} of CoNLL-2003" if share else names.get(result["settings"].get("corpus", ""), "CoNLL-2003")


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
