"""What this machine has: the cores that this process may use, and the name and instructions of its processor."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
"""Where Linux describes the processor."""
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""What `CPU_INFO` says of processors that multiply bfloat16: Intel and AMD, Intel with AMX, Arm."""


def usable_cores() -> list[int]:
    """The numbers of the cores that this process may use, in ascending order: those of its container or `taskset`, if fewer."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(cores: Iterable[int], process: int = 0) -> None:
    """Keeps a process (0: this one), and the threads that it starts from now on, on some cores, where the system can do so."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process, cores)


def processor() -> str:
    """The name of the processor."""
    names = [line.partition(":")[2].strip() for line in _cpu_info().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def cpu_multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for products in bfloat16. False where it is not described."""
    return not BFLOAT16_FLAGS.isdisjoint(_cpu_info().split())


def _cpu_info() -> str:
    return CPU_INFO.read_text("utf-8") if CPU_INFO.is_file() else ""
