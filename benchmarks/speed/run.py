"""Compares the speed of tfner with that of other libraries and with the limit of the machine.

    pip install -e '.[onnx]' -r benchmarks/requirements.txt
    python benchmarks/speed/run.py --encoder FOLDER --corpus FOLDER --model saved_models/finetune [--parts tagging start ...]

The encoder is a folder with a BERT, the corpus a folder of CoNLL columns with document marks. The model is one that
`python -m tfner.train --variant finetune` trained on them. Each contender is a process of its own, and they take turns. The
figures are written to the file of `--json`, the tables to standard output and to the file of `--table`.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import date
from importlib.metadata import version
from pathlib import Path

from tables import lines
from turns import HERE, Contender

from tfner.config import RUNTIMES
from tfner.machine import processor

PACKAGES = ("tensorflow", "tf-keras", "transformers", "openvino", "nncf", "onnxruntime", "tokenizers", "numpy")
TRAINING = {
    "tfner finetune, float32": ("tfner", "finetune", "float32"),
    "tfner finetune, bfloat16": ("tfner", "finetune", "bfloat16"),
    "tfner head, float32": ("tfner", "head", "float32"),
    "tfner head, bfloat16": ("tfner", "head", "bfloat16"),
    "tfner replace, float32": ("tfner", "replace", "float32"),
    "tfner replace, bfloat16": ("tfner", "replace", "bfloat16"),
    "PyTorch Trainer, tuned (batch 32, by length, bfloat16)": ("trainer", "tuned"),
    "PyTorch Trainer, the study's settings (batch 8, float32)": ("trainer", "study"),
    "Keras fit, the study's set-up (padded to 100, batch 128)": ("fit",),
}


def main() -> None:
    """Runs the parts and prints their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", required=True, type=Path, help="folder of a BERT")
    parser.add_argument("--corpus", required=True, type=Path, help="folder of CoNLL columns with document marks")
    parser.add_argument("--model", required=True, type=Path, help="model that tfner trained on both, variant finetune")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure [all]")
    parser.add_argument("--only", nargs="+", default=[""], help="contenders whose names contain one of these [all]")
    parser.add_argument(
        "--python", nargs="*", default=[], metavar="VERSION=PYTHON", help="interpreters with PyTorch's pipelines"
    )
    parser.add_argument("--epochs", type=int, default=3, help="epochs of each training contender [3]")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender in the other parts [5]")
    parser.add_argument("--most", type=int, default=10**5, help="largest number of sentences that growth tags [100000]")
    parser.add_argument("--json", type=Path, default=Path("speed.json"), help="file of the figures [speed.json]")
    parser.add_argument("--table", type=Path, help="file of the tables")
    arguments = parser.parse_args()
    for name in ("encoder", "corpus", "model"):
        setattr(arguments, name, getattr(arguments, name).resolve())
    figures = json.loads(arguments.json.read_text("utf-8")) if arguments.json.is_file() else {}
    figures["about"] = about()
    for part in arguments.parts:
        print(f"{part} ...", file=sys.stderr, flush=True)
        figures[part] = PARTS[part](arguments)
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    text = "\n".join(lines(figures)) + "\n"
    print(text)
    if arguments.table:
        arguments.table.write_text(text, "utf-8")


def about() -> dict:
    """The date, the commit, the machine, the packages and the command. Folders are given by their names alone."""
    git = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True)
    return {
        "date": str(date.today()),
        "commit": git.stdout.strip(),
        "machine": f"{processor()}, {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "command": " ".join(["python benchmarks/speed/run.py", *(Path(word).name for word in sys.argv[1:])]),
    }


def limit(arguments) -> dict:
    """The rates of matrix products in FLOP/s, and the amount of work that they are compared with."""
    contender = Contender("limit", "limit.py", str(arguments.encoder))
    turns = [contender.turn() for _ in range(arguments.rounds)]
    contender.end()
    rates = {name: statistics.median(turn[name] for turn in turns) for name in turns[0] if name != "peak_mib"}
    return {"rates": rates, **work(arguments)}


def work(arguments) -> dict[str, int]:
    """The amount of work: parameters of the encoder without embeddings, word pieces to train on, pieces and words to tag."""
    from tfner.data.load import load_corpus
    from tfner.modeling.pretrained import load_tokenizer
    from tfner.modeling.rows import RowEncoder

    corpus = load_corpus(str(arguments.corpus))
    row_encoder = RowEncoder(load_tokenizer(str(arguments.encoder)), corpus.labels)
    reports = {split: row_encoder.encode(corpus.splits[split]).report for split in ("train", "test")}
    config = json.loads((arguments.encoder / "config.json").read_text("utf-8"))
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    parameters = config["num_hidden_layers"] * (4 * hidden * hidden + 2 * hidden * inner)
    return {
        "parameters": parameters,
        "train_pieces": reports["train"].pieces,
        "test_pieces": reports["test"].pieces,
        "test_words": reports["test"].words,
    }


def training(arguments) -> dict:
    """The seconds of each epoch, F1 after it, and peak memory. The limit is measured between the epochs."""
    contenders = {}
    paths = (str(arguments.encoder), str(arguments.corpus), str(arguments.epochs), "0")
    gauge = Contender("limit", "limit.py", str(arguments.encoder))
    for name, (kind, *more) in TRAINING.items():
        if any(part in name for part in arguments.only):
            contenders[name] = Contender(name, "training.py", kind, *paths, *more)
    found, limits = defaultdict(list), []
    for epoch in range(arguments.epochs):
        for name, contender in contenders.items():
            limits.append(gauge.turn())
            found[name].append(contender.turn())
            print(f"epoch {epoch + 1}, {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    for contender in (*contenders.values(), gauge):
        contender.end()
    size = work(arguments)
    return {"contenders": dict(found), "limits": limits, "epoch_flop": 6 * size["parameters"] * size["train_pieces"]}


def tagging(arguments) -> dict:
    """Seconds for the test split, F1 by character span, and the latency of one sentence."""
    from tagging import entities

    from tfner.data.load import load_corpus

    sentences = load_corpus(str(arguments.corpus)).splits["test"]
    gold = [entities(sentence.words, sentence.tags) for sentence in sentences]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sentences.json"
        file.write_text(json.dumps([s.words for s in sentences]), "utf-8")
        models = {
            f"TensorFlow, {precision}": in_precision(arguments.model, precision, Path(folder) / precision)
            for precision in ("float32", "bfloat16")
        }
        for runtime, precisions in (("openvino", ("float32", "bfloat16", "int8")), ("onnx", ("float32", "int8"))):
            for precision in precisions:
                target = Path(folder) / runtime / precision
                export(arguments.model, "--format", runtime, "--precision", precision, "--output", target)
                models[f"{RUNTIMES[runtime]}, {precision}"] = target
        pytorch = Path(folder) / "transformers"
        export(arguments.model, "--format", "transformers", "--output", pytorch)
        contenders = {}
        for what, kind in (("Tagger, from words", "tagger-words"), ("Tagger, from text", "tagger-text")):
            for name, model in models.items():
                contenders[f"tfner {what}, {name}"] = (kind, model, sys.executable)
        for name in ("TensorFlow, float32", "TensorFlow, bfloat16"):
            contenders[f"tfner exported graph, from text, {name}"] = ("graph-text", models[name], sys.executable)
        contenders["ONNX Runtime alone, from words, float32"] = ("onnx", models["ONNX Runtime, float32"], sys.executable)
        for given in arguments.python:
            number, python = given.split("=", 1)
            for n in (1, 4, 8, 16, 32):
                name = f"PyTorch pipeline of transformers {number}, batch {n}"
                contenders[name] = (f"pipeline-{n}", pytorch, python)
                contenders[f"{name}, by length"] = (f"sorted-pipeline-{n}", pytorch, python)
        contenders = {name: value for name, value in contenders.items() if any(part in name for part in arguments.only)}
        found = {}
        contenders = {
            name: Contender(name, "tagging.py", kind, str(model), str(file), python=python)
            for name, (kind, model, python) in contenders.items()
        }
        for _ in range(arguments.rounds):
            for name, contender in contenders.items():
                turn, one = contender.turn("all"), contender.turn("one")
                entry = found.setdefault(name, {"seconds": [], "times": [], "f1": span_f1(gold, turn["found"])})
                entry["seconds"].append(turn["seconds"])
                entry["times"] += one["times"]
                entry["peak_mib"] = one["peak_mib"]
        for contender in contenders.values():
            contender.end()
    return {"words": sum(len(s.words) for s in sentences), "contenders": found}


def span_f1(gold: list[list[tuple]], found: list[list[list]]) -> float:
    """Entity F1 by type and character span."""
    right = sum(len(set(g) & set(map(tuple, f))) for g, f in zip(gold, found, strict=True))
    return 2 * right / (sum(map(len, gold)) + sum(map(len, found)))


def export(model: Path, *flags) -> None:
    """Runs `python -m tfner.export`."""
    subprocess.run([sys.executable, "-m", "tfner.export", str(model), *map(str, flags)], check=True, stdout=subprocess.DEVNULL)


def in_precision(model: Path, precision: str, folder: Path) -> Path:
    """Exports the same weights again, in a graph that computes in this precision, whatever they were trained in."""
    from tfner.contents import CONTENTS
    from tfner.folder import CONFIG, TRAINING, versions

    latest = model / TRAINING / str(versions(model / TRAINING)[-1])
    copy = shutil.copytree(latest, folder / TRAINING / "1")
    (copy / CONTENTS).unlink()  # the settings are no longer those that it has the checksum of
    config = json.loads((copy / CONFIG).read_text("utf-8"))
    (copy / CONFIG).write_text(json.dumps({**config, "precision": precision}), "utf-8")
    export(folder)
    return folder


def growth(arguments) -> dict:
    """Time and memory by the size of the input. Tagging is measured once, everything else in every round."""
    contender = Contender("growth", "growth.py", *map(str, (arguments.encoder, arguments.corpus, arguments.model)))
    numbers = [10**n for n in range(3, 7) if 10**n <= arguments.most]
    words = [f"size {share}" for share in (0.125, 0.25, 0.5, 1.0)]
    words += [f"length {n}" for n in (16, 32, 64, 128, 256, 512)]
    words += [f"batch {n}" for n in (8, 16, 32, 64, 128)]
    found = defaultdict(list)
    for _ in range(arguments.rounds):
        for word in words:
            found[word].append(contender.turn(word))
    for number in numbers:
        found[f"tag {number}"].append(contender.turn(f"tag {number}"))
    contender.end()
    return dict(found)


def start(arguments) -> dict:
    """The seconds of whole processes."""
    contender = Contender("start", "starting.py", *map(str, (arguments.encoder, arguments.corpus, arguments.model)))
    found = defaultdict(list)
    for _ in range(arguments.rounds):
        for word in ("import", "help", "step", *(f"tag {runtime}" for runtime in RUNTIMES)):
            found[word].append(contender.turn(word)["seconds"])
    contender.end()
    return dict(found)


PARTS = {"limit": limit, "tagging": tagging, "start": start, "growth": growth, "training": training}


if __name__ == "__main__":
    main()
