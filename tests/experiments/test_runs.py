"""Runs: why one failed, and times as text. tests/test_compare.py trains some."""

import signal

import pytest
from support.errors import refused
from support.trainings import write_corpus

from tfner.experiments import runs
from tfner.experiments.plan import Request, make_plan
from tfner.experiments.runs import _reason, alone, duration, share_cores


@pytest.mark.parametrize(("seconds", "text"), [(40, "40 s"), (720, "12 min"), (11100, "3 h 5 min")])
def test_a_duration_is_shown_in_its_unit(seconds, text):
    assert duration(seconds) == text


def test_the_reason_of_a_failure_is_its_error_line_or_its_signal(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("epoch\nerror: --max-pieces 500: too many\n", "utf-8")
    assert _reason(2, log, 0) == "--max-pieces 500: too many"
    assert "memory" in _reason(-signal.SIGKILL, log, 0)
    before = log.stat().st_size
    with log.open("a", encoding="utf-8") as file:
        file.write("Traceback\nMemoryError\n")
    assert _reason(1, log, before) == "MemoryError"  # not that of an earlier attempt


def test_jobs_share_all_cores_and_none_is_without(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2, 5, 7}, raising=False)
    assert share_cores(1) == [{0, 1, 2, 5, 7}]
    assert share_cores(2) == [{0, 2, 7}, {1, 5}]
    with refused("6 jobs for 5 cores", setting="jobs"):
        share_cores(6)


def test_a_training_that_outlives_its_comparison_is_not_started_again(monkeypatch, tmp_path):
    """From its first moment, as the training itself locks nothing before TensorFlow is imported."""
    write_corpus(tmp_path, sizes={"train": 6, "validation": 2, "test": 2})
    (run,) = make_plan(Request(["head"], 1, output=tmp_path / "comparison", settings={"corpus": str(tmp_path)})).runs
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(runs.sys, "executable", str(slow))
    cores = share_cores(1)[0]
    killed, resumed = runs._Training(run, cores), runs._Training(run, cores)
    assert killed.result() is None
    assert resumed.result() is None
    assert resumed.process is None
    killed.process.kill()
    killed.process.wait()
    assert resumed.result() is None
    assert resumed.process is not None
    resumed.process.kill()
    resumed.process.wait()


def test_two_comparisons_in_one_folder_are_refused(tmp_path):
    folder = tmp_path / "comparison"
    with alone(folder), refused("compare twice at once", path=folder), alone(folder):
        pass
    with alone(folder):  # once the first one has ended
        pass
