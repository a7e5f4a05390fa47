"""A small corpus, and short trainings on it that several test files share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfner.config import make_config
from tfner.demo.corpus import demo_corpus

SIZES = {"train": 120, "validation": 40, "test": 40}
"""Sentences of the embedded corpus in each split."""
EPOCHS = 8
"""Epochs of 4 steps each after which the embedded encoder finds some entities."""
TASKS = ("ner", "pos", "chunk")
TEXT = "My name is Ahmed and I work at Unice in Nice."
LINES = "lines.txt"
"""The file beside a trained model that holds what the training said."""


def write_columns(path: Path, *corpora) -> None:
    """Writes sentences, with the tags of one task or of several, as CoNLL columns with document marks."""
    document, lines = None, []
    for sentences in zip(*corpora, strict=True):
        words = sentences[0].words
        if sentences[0].document != document:
            lines += [" ".join(["-DOCSTART-", *["O"] * len(sentences)]), ""]
            document = sentences[0].document
        tags = (sentence.tags for sentence in sentences)
        lines += [" ".join(row) for row in zip(words, *tags, strict=True)] + [""]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def write_corpus(folder: Path, task: str = "ner", sizes: dict[str, int] = SIZES) -> None:
    """Writes the first sentences of each split of the embedded corpus."""
    for split, number in sizes.items():
        write_columns(folder / f"{split}.txt", demo_corpus(task).splits[split][:number])


def write_tasks(folder: Path) -> None:
    """Writes the same with the columns of CoNLL-2003: word, POS, chunk, NER."""
    for split, number in SIZES.items():
        write_columns(folder / f"{split}.txt", *(demo_corpus(task).splits[split][:number] for task in ("pos", "chunk", "ner")))


def train_together(folder: Path, corpus: Path) -> None:
    """Trains `folder/model` for `TASKS`, each with a temperature of its own, and exports it for OpenVINO too."""
    from tfner.export import export

    settings = {"task": ",".join(TASKS), "temperature": "auto", "output": str(folder / "model")}
    train_model(folder, "head", corpus, **settings)
    export(folder / "model", format="openvino", max_f1_loss=0.01, say=lambda line: None)


def brief(encoder: Path) -> dict[str, Any]:
    """The settings of a training of two epochs that changes the weights of a tiny encoder."""
    return {"encoder": str(encoder), "epochs": 2, "batch_size": 32, "learning_rate": 2e-3, "head_learning_rate": 4e-3}


def train_model(folder: Path, variant: str, corpus: Path, **settings: Any) -> None:
    """Trains `folder/VARIANT`, and writes what the training said to `folder/LINES`."""
    from tfner.train import train

    lines: list[str] = []
    settings = {"epochs": EPOCHS, "patience": EPOCHS, "output": str(folder / variant)} | settings
    train(make_config(variant=variant, corpus=str(corpus), **settings), say=lines.append)
    (folder / LINES).write_text("\n".join(lines), "utf-8")


def training_run(
    corpus: Path, output: Path, resume: int | None = None, say: Callable[[str], None] = lambda line: None, **settings: Any
):
    """A prepared training without an export, or the continuation of an interrupted one."""
    from tfner.training.request import check_request
    from tfner.training.run import TrainingRun

    config = make_config(corpus=str(corpus), output=str(output), **settings)
    return TrainingRun(config, check_request(config), say, resume)


def stop_in_step(run, step: int, number: int) -> None:
    """Lets a prepared training receive a signal in one of its next steps, counted from 1 over all epochs."""
    make_step, made = run._step, 0

    def counted(*arguments):
        nonlocal made
        made += 1
        result = make_step(*arguments)
        if made == step:
            os.kill(os.getpid(), number)
        return result

    run._step = counted


def stopped_run(run, step: int):
    """Trains until Ctrl-C in a step, counted as in `stop_in_step`; returns the run, which another may resume."""
    stop_in_step(run, step, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run.fit()
    run.unlock()
    return run


def run(*argv: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command as a user does: in a new process."""
    return subprocess.run([sys.executable, "-m", *map(str, argv)], capture_output=True, text=True, input=stdin, check=False)


def refused_line(capsys, command, *argv: object) -> str:
    """Runs a command that refuses: exit status 2, one line on standard error, nothing on standard output; returns the line."""
    assert command.main([str(a) for a in argv]) == 2
    output = capsys.readouterr()
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    assert output.out == ""
    return output.err
