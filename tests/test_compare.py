"""`compare`: real trainings of tiny encoders, their report, and what happens when it is killed, stopped or asked too much."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from support.trainings import refused_line, run, write_corpus

from tfner import compare
from tfner.errors import UserError
from tfner.experiments import runs
from tfner.experiments.plan import REPORT, RESULTS, SUMMARY, Request
from tfner.folder import is_locked
from tfner.machine import usable_cores

SETTINGS = {
    "epochs": 25,
    "patience": 25,
    "monitor": "val_loss",
    "batch_size": 16,
    "learning_rate": 2e-3,
    "head_learning_rate": 4e-3,
    "deterministic": True,
}
"""Enough epochs to be interrupted."""
VARY = {"max_pieces": [30, 500]}
"""The tiny encoder has 40 positions, so trainings with 500 fail."""


@pytest.fixture(scope="module")
def corpus_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, sizes={"train": 60, "validation": 20, "test": 30})
    return folder


@pytest.fixture(scope="module")
def comparison(tmp_path_factory, corpus_folder, small_encoder):
    """The folder of an undisturbed comparison, and what it said."""
    folder, lines = tmp_path_factory.mktemp("undisturbed") / "comparison", []
    settings = {"corpus": str(corpus_folder), "encoder": str(small_encoder), **SETTINGS}
    compare.compare(["finetune"], 2, VARY, folder, say=lines.append, **settings)
    return folder, lines


def command(output, corpus_folder, encoder):
    words = ["tfner.compare", "--variants", "finetune", "--seeds", "2", "--vary", "max_pieces=30,500", "--output", output]
    words += ["--corpus", corpus_folder, "--encoder", encoder, "--deterministic"]
    words += [t for k, v in SETTINGS.items() if k != "deterministic" for t in ("--" + k.replace("_", "-"), v)]
    return [sys.executable, "-m", *map(str, words)]


def results(folder):
    """The results without what was measured, the command, which has another folder, and the number of cores."""
    found = json.loads((folder / RESULTS).read_text("utf-8"))
    assert len(found.pop("measured")) == 2
    del found["facts"]["command"]
    for group in found["groups"]:
        for model in group["models"].values():
            del model["devices"]
    return found


def start(words):
    return subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )


def wait_until(condition, process):
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_a_failing_run_is_reported_and_the_others_go_on(comparison):
    folder, lines = comparison
    assert sum("FAILED" in line for line in lines) == 2
    assert "max pieces 500, seed 0: FAILED, --max-pieces 500: expected at most 40" in "\n".join(lines)
    found = json.loads((folder / RESULTS).read_text("utf-8"))
    assert sorted(found["failed"]) == ["finetune, max pieces 500, seed 0", "finetune, max pieces 500, seed 1"]
    (group,) = found["groups"]
    model = group["models"]["finetune, max pieces 30"]
    assert list(model["seeds"]) == ["0", "1"]
    f1 = [seed["scores"]["test"]["overall"]["f1"] for seed in model["seeds"].values()]
    assert model["mean_f1"] == pytest.approx(sum(f1) / 2)
    assert len(model["seeds"]["0"]["history"]) == 25


@pytest.mark.slow
def test_the_report_needs_no_other_file_and_the_markdown_has_no_sentence(comparison, corpus_folder):
    folder, _ = comparison
    page = (folder / REPORT).read_text("utf-8")
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert page.count("<svg") == 6
    text = (folder / SUMMARY).read_text("utf-8")
    words = {line.split()[0] for line in (corpus_folder / "test.txt").read_text("utf-8").splitlines() if line.endswith("PER")}
    assert any(word in page for word in words)
    assert not any(f" {word} " in text for word in words)
    assert "FAILED: finetune, max pieces 500, seed 1" in text


@pytest.mark.slow
def test_a_killed_comparison_goes_on_to_the_same_results(comparison, corpus_folder, small_encoder, tmp_path):
    """SIGKILL ends the comparison, whose training goes on by itself; Ctrl-C then ends both with a checkpoint."""
    folder = tmp_path / "comparison"
    words = command(folder, corpus_folder, small_encoder)
    first = start(words)
    wait_until(lambda: list(folder.glob("runs/*/model/training/1/.lock")), first)
    first.kill()
    first.wait()
    second = start(words)
    wait_until(lambda: list(folder.glob("runs/*seed1/model/training/1/checkpoints/[0-9]*")), second)
    os.kill(second.pid, signal.SIGINT)
    output, _ = second.communicate()
    assert second.returncode == 130, output
    assert not (folder / RESULTS).exists()
    third = subprocess.run(words, capture_output=True, text=True, check=False)
    assert third.returncode == 1, third.stderr  # two runs failed, as they should
    assert "seed 0: validation" not in third.stdout  # it was finished
    assert results(folder) == results(comparison[0])


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two jobs need two cores")
def test_two_trainings_at_a_time_are_interrupted_and_go_on_to_the_same_results(
    comparison, corpus_folder, small_encoder, tmp_path
):
    folder = tmp_path / "comparison"
    words = [*command(folder, corpus_folder, small_encoder), "--jobs", "2"]
    first = start(words)
    wait_until(lambda: len(list(folder.glob("runs/*30-seed*/model/training/1/checkpoints"))) == 2, first)
    os.kill(first.pid, signal.SIGINT)
    output, _ = first.communicate()
    assert first.returncode == 130, output
    assert not (folder / RESULTS).exists()
    assert not any(is_locked(state) for state in folder.glob("runs/*/model/training/1"))
    second = subprocess.run(words, capture_output=True, text=True, check=False)
    assert second.returncode == 1, second.stderr  # two runs failed, as they should
    assert results(folder) == results(comparison[0])


@pytest.mark.slow
def test_what_is_finished_is_not_trained_again_and_the_plan_may_grow(comparison, corpus_folder, small_encoder, tmp_path):
    folder, _ = comparison
    before = {path: path.stat().st_mtime_ns for path in folder.glob(f"runs/*30-seed*/{runs.RECORD}")}
    again = run("tfner.compare", *command(folder, corpus_folder, small_encoder)[3:], "--dry-run")
    assert again.returncode == 0, again.stderr
    assert "4 runs, 2 of them finished" in again.stdout
    assert re.search(r"finetune, max pieces 30, seed 1 +finished", again.stdout)
    assert re.search(r"finetune, max pieces 500, seed 1 +will fail", again.stdout)
    assert "expected at most 40 word pieces" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_dry_run_times_steps_on_the_cores_of_one_training(monkeypatch, corpus_folder, small_encoder, tmp_path):
    cores, timed, lines = usable_cores(), [], []
    if len(cores) == 1:
        pytest.skip("two trainings at a time need two cores")
    monkeypatch.setattr(compare, "expected_seconds", lambda config, corpus: timed.append(usable_cores()) or 600.0)
    settings = {"corpus": str(corpus_folder), "encoder": str(small_encoder)}
    plan = compare.plan_comparison(Request(["head", "replace"], 2, output=tmp_path / "new", settings=settings))
    compare.dry_run(plan, lines.append, jobs=2)
    assert timed == [cores[::2], cores[::2]]
    assert usable_cores() == cores
    assert "the others take about 20 min" in lines[-1]  # four of ten minutes each, two at a time
    with pytest.raises(UserError, match=f"jobs={len(cores) + 1}: expected 1 to"):
        compare.dry_run(plan, lines.append, jobs=len(cores) + 1)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--vary", "learnin_rate=1"], "did you mean learning_rate?"),
        (["--variants", "hed"], "expected some of finetune, head, replace"),
        (["--corpus", "/nowhere/corpus"], "no such file or folder"),
        (["--seeds", "0"], "--seeds 0: expected at least one"),
        (["--jobs", "0"], "--jobs 0: expected 1 to "),
        (["--study", "collapse", "--jobs", "2"], "--jobs: the study's trainings do not take this setting"),
        (["--seed", "3"], "did you mean --seeds?"),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(capsys, tmp_path, arguments, part):
    assert part in refused_line(capsys, compare, "--output", tmp_path / "c", *arguments)
    assert not (tmp_path / "c").exists()


def test_a_folder_with_other_files_is_refused(capsys, tmp_path):
    (tmp_path / "thesis.tex").touch()
    line = refused_line(capsys, compare, "--output", tmp_path)
    assert "expected an empty folder or one with a comparison, found thesis.tex" in line
