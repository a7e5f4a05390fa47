"""Trainings in processes of their own: several that train together, and one with several virtual processors.

`python -m support.jobs NUMBER ARGUMENTS` is `python -m tfner.train ARGUMENTS` with so many virtual processors.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
_EPOCH = re.compile(r"^ +(\d+)(?: +-?\d+\.\d+){7}", re.MULTILINE)
_THREADS = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}


def free_ports(number: int) -> list[int]:
    """Ports of this machine that nothing listens on."""
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Job:
    """A training in several processes of this machine, which start at once. `addresses`: those in their TF_CONFIG."""

    def __init__(self, folder: Path, arguments: list[str], number: int = 2):
        folder.mkdir()
        self.addresses = [f"127.0.0.1:{port}" for port in free_ports(number)]
        self.outputs = [folder / f"{task}.txt" for task in range(number)]
        self.processes = []
        for task, output in enumerate(self.outputs):
            config = {"cluster": {"worker": self.addresses}, "task": {"type": "worker", "index": task}}
            environment = {**os.environ, **_THREADS, "TF_CONFIG": json.dumps(config)}
            with output.open("w") as file:
                command = [sys.executable, "-m", "tfner.train", "--strategy", "multiworker", *arguments]
                self.processes.append(subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment))

    def text(self, task: int) -> str:
        """What a process has printed so far."""
        return self.outputs[task].read_text("utf-8")

    def wait_for_epoch(self, epoch: int, seconds: float = 900) -> None:
        """Waits until the first process has printed the scores of an epoch."""
        end = time.monotonic() + seconds
        while not any(int(number) >= epoch for number in _EPOCH.findall(self.text(0))):
            assert self.processes[0].poll() is None, self.text(0)
            assert time.monotonic() < end, self.text(0)
            time.sleep(0.02)

    def statuses(self, seconds: float = 900) -> list[int]:
        """The exit statuses of all processes, once they have ended."""
        try:
            return [process.wait(seconds) for process in self.processes]
        finally:
            self.close()

    def close(self) -> None:
        """Ends what still runs."""
        for process in self.processes:
            process.kill()
            process.wait()


def on_devices(number: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Trains in one process with so many virtual processors."""
    environment = {**os.environ, **_THREADS, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "support.jobs", str(number), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def split_processor(number: int) -> None:
    """Makes this process see so many processors. It has to come before anything that uses TensorFlow."""
    import tensorflow as tf

    [processor] = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * number)


if __name__ == "__main__":
    from tfner.train import main

    split_processor(int(sys.argv[1]))
    raise SystemExit(main(sys.argv[2:]))
