"""How fast tfner is, beside what else one could take and beside what the machine can do.

    pip install -e '.[onnx]' -r benchmarks/requirements.txt
    python benchmarks/speed/run.py --encoder FOLDER --corpus FOLDER --model saved_models/finetune [--parts tagging start ...]

MODEL is one that `python -m tfner.train --variant finetune` made of encoder and corpus; FOLDERs hold a BERT and a corpus in
CoNLL columns with documents. Contenders are processes of their own that take turns. Figures go to `--json`, tables to
standard output and, with `--table FILE`, into a file.
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
from collections.abc import Iterator
from datetime import date
from importlib.metadata import version
from pathlib import Path

from turns import HERE, Contender

PACKAGES = ("tensorflow", "tf-keras", "transformers", "torch", "accelerate", "onnxruntime", "numpy")
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
GOAL = 0.88  # validation F1 that training is timed to


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", required=True, type=Path)
    parser.add_argument("--corpus", required=True, type=Path)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--only", nargs="+", default=[""], help="training contenders whose names hold one of these")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender, but in training")
    parser.add_argument("--most", type=int, default=10**5, help="most sentences that growth tags")
    parser.add_argument("--json", type=Path, default=Path("speed.json"))
    parser.add_argument("--table", type=Path)
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
    """What the figures were measured on and with; folders by their names."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    processor = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    git = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True)
    return {
        "date": str(date.today()),
        "commit": git.stdout.strip(),
        "machine": f"{processor}, {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "command": " ".join(["python benchmarks/speed/run.py", *(Path(word).name for word in sys.argv[1:])]),
    }


def limit(arguments) -> dict:
    """FLOP/s of matrix products, and what an epoch and a word need at least."""
    contender = Contender("limit", "limit.py", str(arguments.encoder))
    turns = [contender.turn() for _ in range(arguments.rounds)]
    contender.end()
    rates = {name: statistics.median(turn[name] for turn in turns) for name in turns[0] if name != "peak_mib"}
    return {"rates": rates, **work(arguments)}


def work(arguments) -> dict[str, int]:
    """What there is to do: the encoder's parameters without embeddings, word pieces to train on, pieces and words to tag."""
    from tfner.data.load import load_corpus
    from tfner.modeling.pretrained import load_tokenizer
    from tfner.modeling.rows import RowEncoder

    corpus = load_corpus(str(arguments.corpus))
    encoder = RowEncoder(load_tokenizer(str(arguments.encoder)), corpus.labels)
    kept = {split: encoder.encode(corpus.splits[split]).report for split in ("train", "test")}
    config = json.loads((arguments.encoder / "config.json").read_text("utf-8"))
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    parameters = config["num_hidden_layers"] * (4 * hidden * hidden + 2 * hidden * inner)
    return {
        "parameters": parameters,
        "train_pieces": kept["train"].pieces,
        "test_pieces": kept["test"].pieces,
        "test_words": kept["test"].words,
    }


def training(arguments) -> dict:
    """Seconds of every epoch, F1 after it, peak memory; limits measured in between."""
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
    """Seconds for the test split, F1 by character span, latency of one sentence."""
    from tagging import entities

    from tfner.data.load import load_corpus

    sentences = load_corpus(str(arguments.corpus)).splits["test"]
    gold = [entities(sentence.words, sentence.tags) for sentence in sentences]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sentences.json"
        file.write_text(json.dumps([s.words for s in sentences]), "utf-8")
        models = {"float32": arguments.model, "bfloat16": in_bfloat16(arguments.model, Path(folder) / "bfloat16")}
        for kind in ("transformers", "onnx"):
            models[kind] = Path(folder) / kind
            export(arguments.model, "--format", kind, "--output", models[kind])
        names = {
            f"tfner {what}, {precision}": (kind, models[precision])
            for precision in ("float32", "bfloat16")
            for what, kind in (
                ("Tagger, from words", "tagger-words"),
                ("Tagger, from text", "tagger-text"),
                ("exported graph, from text", "graph-text"),
            )
        }
        names["ONNX Runtime, float32, from words"] = ("onnx", models["onnx"])
        names |= {f"PyTorch pipeline, batch {n}": (f"pipeline-{n}", models["transformers"]) for n in (1, 8, 32)}
        found = {}
        contenders = {name: Contender(name, "tagging.py", kind, str(model), str(file)) for name, (kind, model) in names.items()}
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
    subprocess.run([sys.executable, "-m", "tfner.export", str(model), *map(str, flags)], check=True, stdout=subprocess.DEVNULL)


def in_bfloat16(model: Path, folder: Path) -> Path:
    """The same weights in an export that computes in bfloat16."""
    from tfner.folder import TRAINING, numbers

    latest = model / TRAINING / str(numbers(model / TRAINING)[-1])
    copy = shutil.copytree(latest, folder / TRAINING / "1")
    config = json.loads((copy / "config.json").read_text("utf-8"))
    (copy / "config.json").write_text(json.dumps({**config, "precision": "bfloat16"}), "utf-8")
    export(folder)
    return folder


def growth(arguments) -> dict:
    """Time and memory by size, in rounds."""
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
    """Seconds of whole processes."""
    contender = Contender("start", "starting.py", *map(str, (arguments.encoder, arguments.corpus, arguments.model)))
    found = defaultdict(list)
    for _ in range(arguments.rounds):
        for word in ("import", "help", "step", "tag"):
            found[word].append(contender.turn(word)["seconds"])
    contender.end()
    return dict(found)


PARTS = {"limit": limit, "tagging": tagging, "start": start, "growth": growth, "training": training}


def lines(figures: dict) -> Iterator[str]:
    """The figures as Markdown."""
    about = figures["about"]
    packages = ", ".join(f"{name} {number}" for name, number in about["packages"].items())
    yield "# How fast tfner is\n"
    yield f"{about['date']}, commit {about['commit']}, {about['machine']}, Python {about['python']}, {packages}\n"
    yield f"``sh\n{about['command']}\n``"
    sections = {
        "limit": limit_rows,
        "training": training_rows,
        "tagging": tagging_rows,
        "growth": growth_rows,
        "start": start_rows,
    }
    for part, rows in sections.items():
        if part in figures:
            title, text, head, *body = rows(figures[part])
            yield f"\n## {title}\n\n{text}\n"
            yield from ("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body))


def limit_rows(part: dict) -> Iterator:
    yield "The limit"
    yield (
        "Matrix products at the encoder's shapes, and the least time that they allow: 6 FLOP a parameter and word piece in "
        "training, 2 in tagging, embeddings left out."
    )
    yield ["type, rows", "GFLOP/s", "s/epoch", "words/s tagged"]
    for name, rate in part["rates"].items():
        epoch = 6 * part["parameters"] * part["train_pieces"] / rate
        words = rate / (2 * part["parameters"] * part["test_pieces"] / part["test_words"])
        yield [name, f"{rate / 1e9:.0f}", f"{epoch:.0f}", f"{words:,.0f}"]


def training_rows(part: dict) -> Iterator:
    yield "Training"
    yield "Seconds an epoch: median, least and most. The share of the limit (640 rows) is by rates measured between the epochs."
    yield ["", "s/epoch", "least", "most", "of the limit", f"s to dev F1 {GOAL}", "epochs", "F1 dev", "F1 test", "MiB"]
    for name, turns in part["contenders"].items():
        seconds, last = [turn["seconds"] for turn in turns], turns[-1]
        good = [i for i, turn in enumerate(turns) if turn["validation"] >= GOAL]
        reached = f"{sum(seconds[: good[0] + 1]):.0f}" if good else "not reached"
        rate = statistics.median(one[f"{'bfloat16' if 'bfloat16' in name else 'float32'} 640"] for one in part["limits"])
        layers = 5 / 6 if "replace" in name else 1
        share = f"{layers * part['epoch_flop'] / rate / statistics.median(seconds):.0%}"
        scores = [f"{last['validation']:.4f}", f"{last['test']:.4f}"]
        yield [name, *spread(seconds, 0), share, reached, str(len(turns)), *scores, str(last["peak_mib"])]


def tagging_rows(part: dict) -> Iterator:
    yield "Tagging"
    yield "The test split, words a second: median, least, most; F1 by character span; ms for a sentence of 20 words."
    yield ["", "words/s", "least", "most", "F1", "p50 ms", "p99 ms", "MiB"]
    for name, entry in part["contenders"].items():
        times = sorted(1000 * seconds for seconds in entry["times"])
        latency = [f"{times[len(times) * share // 100]:.1f}" for share in (50, 99)]
        rates = spread([part["words"] / seconds for seconds in entry["seconds"]], 0)
        yield [name, *rates, f"{entry['f1']:.4f}", *latency, str(entry["peak_mib"])]


def growth_rows(part: dict) -> Iterator:
    yield "Growth"
    yield "Seconds, medians of the turns (tagging: one turn)."
    yield ["", "seconds", ""]
    for word, turns in part.items():
        kind, value = word.split()
        seconds = statistics.median(turn["seconds"] for turn in turns)
        what, note = {
            "size": (
                f"an epoch on {value} of the sentences",
                f"{1e4 * seconds / turns[0].get('pieces', 1):.2f} s for 10,000 pieces",
            ),
            "length": (f"10,000 pieces in training, rows of {value}", ""),
            "batch": (f"10,000 pieces in training, {value} sentences a step", ""),
            "tag": (f"`predict` on {value} sentences", f"{turns[0].get('command_mib', 0):.0f} MiB at most"),
        }[kind]
        yield [what, f"{seconds:.2f}", note]


def start_rows(part: dict) -> Iterator:
    yield "Start"
    yield "Seconds of whole processes: median, least and most."
    yield ["", "median", "least", "most"]
    names = {"import": "`import tfner`", "help": "`--help`", "step": "to the end of the first training step"}
    names["tag"] = "to the first tagged sentence"
    for word, values in part.items():
        yield [names[word], *spread(values, 2)]


def spread(values: list[float], digits: int) -> list[str]:
    return [f"{x:,.{digits}f}" for x in (statistics.median(values), min(values), max(values))]


if __name__ == "__main__":
    main()
