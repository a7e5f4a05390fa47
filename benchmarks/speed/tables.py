"""Writes the figures of the speed benchmark as Markdown. Takes the dict that `run.py` stores as JSON, returns lines."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

GOAL = 0.88  # validation F1; the time that training takes to reach it is reported


def lines(figures: dict) -> Iterator[str]:
    """The figures as Markdown."""
    about = figures["about"]
    packages = ", ".join(f"{name} {number}" for name, number in about["packages"].items())
    yield "# How fast tfner is\n"
    yield f"{about['date']}, commit {about['commit']}, {about['machine']}, Python {about['python']}, {packages}\n"
    yield f"```sh\n{about['command']}\n```"
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
        "Rates of matrix products at the encoder's shapes, and the shortest times that they allow: 6 FLOP per parameter and "
        "word piece in training, 2 in tagging, embeddings not counted."
    )
    yield ["type, rows", "GFLOP/s", "s/epoch", "words/s tagged"]
    for name, rate in part["rates"].items():
        epoch = 6 * part["parameters"] * part["train_pieces"] / rate
        words = rate / (2 * part["parameters"] * part["test_pieces"] / part["test_words"])
        yield [name, f"{rate / 1e9:.0f}", f"{epoch:.0f}", f"{words:,.0f}"]


def training_rows(part: dict) -> Iterator:
    yield "Training"
    yield (
        "Seconds per epoch: median, minimum, maximum. The share of the limit (640 rows) uses the rates measured between the "
        "epochs."
    )
    yield ["", "s/epoch", "min", "max", "of the limit", f"s to dev F1 {GOAL}", "epochs", "F1 dev", "F1 test", "MiB"]
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
    yield "The test split: words per second (median, minimum, maximum), F1 by character span; ms for one sentence of 20 words."
    yield ["", "words/s", "min", "max", "F1", "p50 ms", "p99 ms", "MiB"]
    for name, entry in part["contenders"].items():
        times = sorted(1000 * seconds for seconds in entry["times"])
        latency = [f"{times[len(times) * share // 100]:.1f}" for share in (50, 99)]
        rates = spread([part["words"] / seconds for seconds in entry["seconds"]], 0)
        yield [name, *rates, f"{entry['f1']:.4f}", *latency, str(entry["peak_mib"])]


def growth_rows(part: dict) -> Iterator:
    yield "Growth"
    yield "Seconds: medians of the turns (tagging: one turn)."
    yield ["", "seconds", ""]
    for word, turns in part.items():
        kind, value = word.split()
        seconds = statistics.median(turn["seconds"] for turn in turns)
        what, note = {
            "size": (
                f"an epoch on {value} of the sentences",
                f"{1e4 * seconds / turns[0].get('pieces', 1):.2f} s per 10,000 pieces",
            ),
            "length": (f"10,000 pieces in training, rows of {value}", ""),
            "batch": (f"10,000 pieces in training, {value} sentences per step", ""),
            "tag": (f"`predict` on {value} sentences", f"{turns[0].get('command_mib', 0):.0f} MiB peak"),
        }[kind]
        yield [what, f"{seconds:.2f}", note]


def start_rows(part: dict) -> Iterator:
    yield "Start"
    yield "Seconds of whole processes: median, minimum, maximum."
    yield ["", "median", "min", "max"]
    names = {"import": "`import tfner`", "help": "`--help`", "step": "to the end of the first training step"}
    for word, values in part.items():
        what, _, runtime = word.partition(" ")
        yield [names.get(what, f"to the first tagged sentence, {runtime}"), *spread(values, 2)]


def spread(values: list[float], digits: int) -> list[str]:
    return [f"{x:,.{digits}f}" for x in (statistics.median(values), min(values), max(values))]
