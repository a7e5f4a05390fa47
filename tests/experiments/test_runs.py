"""Runs: why one failed, and times as text. tests/test_compare.py trains some."""

import signal

import pytest

from tfner.experiments.runs import _reason, duration


@pytest.mark.parametrize(("seconds", "text"), [(40, "40 s"), (720, "12 min"), (11100, "3 h 5 min")])
def test_a_duration_is_shown_in_its_unit(seconds, text):
    assert duration(seconds) == text


def test_the_reason_of_a_failure_is_its_error_line_or_its_signal(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("epoch\nerror: --max-pieces 500: too many\n", "utf-8")
    assert _reason(2, log) == "--max-pieces 500: too many"
    assert "memory" in _reason(-signal.SIGKILL, log)
    log.write_text("Traceback\nMemoryError\n", "utf-8")
    assert _reason(1, log) == "MemoryError"
