"""What is read of a machine: its processor, and the cores that a process may use."""

import os
import subprocess
import sys

import pytest

from tfner import machine


def describe(monkeypatch, path, text):
    path.write_text(text, "utf-8")
    monkeypatch.setattr(machine, "CPU_INFO", path)


def test_a_processor_multiplies_bfloat16_if_it_has_an_instruction_for_it(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "missing")
    assert not machine.cpu_multiplies_bfloat16()
    for flags, native in (("fpu avx512_bf16 avx2", True), ("fpu avx2", False), ("amx_bf16", True)):
        describe(monkeypatch, tmp_path / "cpuinfo", f"processor : 0\nflags : {flags}\n")
        assert machine.cpu_multiplies_bfloat16() is native


def test_the_processor_has_the_name_that_linux_gives_it_and_some_name_elsewhere(monkeypatch, tmp_path):
    describe(
        monkeypatch, tmp_path / "cpuinfo", "processor\t: 0\nmodel name\t: AMD EPYC\nprocessor\t: 1\nmodel name\t: AMD EPYC\n"
    )
    assert machine.processor() == "AMD EPYC"
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "missing")
    assert machine.processor()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux pins a process to some cores")
def test_a_pinned_process_may_use_the_cores_that_it_is_pinned_to():
    last = machine.usable_cores()[-1]
    code = f"import os; os.sched_setaffinity(0, {{{last}}}); from tfner.machine import usable_cores; print(usable_cores())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"[{last}]"
