"""The processes that train together, from `TF_CONFIG` or from the Slurm step that runs this one.

Takes environment variables; returns addresses. `devices` joins the processes. TensorFlow is not needed for `TF_CONFIG`.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfner.errors import UserError, one_line

JOBS = ("chief", "worker")
"""The jobs of a cluster whose tasks train, in the order of their replicas."""
PORTS, PORT_COUNT = 12000, 16000
"""Processes of a Slurm step listen on ports of this range, which lies below the ports that systems give to clients."""
EACH_JOB = 16
"""Ports between those of one Slurm job and of the next."""

_TASK = re.compile(r"/job:(\w+)/(?:replica:\d+/)?task:(\d+)")


@dataclass(frozen=True)
class Cluster:
    """The processes that train together.

    Attributes:
        jobs: the addresses (host:port) of the tasks of each job, with `JOBS` as keys.
        job: the job of this process.
        task: its number in the job.
        source: where this was read, as errors name it.
    """

    jobs: Mapping[str, list[str]]
    job: str
    task: int
    source: str

    @property
    def tasks(self) -> list[tuple[str, int]]:
        """The job and the number of every process, the chief first."""
        return [(job, number) for job in JOBS for number in range(len(self.jobs.get(job, ())))]

    @property
    def rank(self) -> int:
        """The number of this process among all; 0 is the chief."""
        return self.tasks.index((self.job, self.task))

    def name(self, job: str, task: int) -> str:
        """A process as errors name it."""
        return f"{job} {task} ({self.jobs[job][task]})"

    def lost(self, error: object) -> str:
        """The name of the process that an error of TensorFlow is about, or "another process" where it names none.

        A process that ends because another was lost is named as well; those that still accept connections are left out then.
        """
        found = dict.fromkeys((job, int(task)) for job, task in _TASK.findall(str(error)))
        others = [task for task in found if task in self.tasks and task != (self.job, self.task)]
        gone = [task for task in others if not _listens(self.jobs[task[0]][task[1]])] if len(others) > 1 else others
        return " and ".join(self.name(*task) for task in gone or others) or "another process"


def find_cluster(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """The cluster of `TF_CONFIG`, or of a Slurm step of several tasks, or None.

    Raises:
        UserError: if one of them cannot be used.
    """
    if environment.get("TF_CONFIG", "").strip():
        return _of_tf_config(environment["TF_CONFIG"])
    if int(environment.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        return _of_slurm(environment)
    return None


def _of_tf_config(text: str) -> Cluster | None:
    example = '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'

    def error(message: str) -> UserError:
        return UserError(f"TF_CONFIG: {message}: set it to something like {example}")

    try:
        config = json.loads(text)
    except ValueError as problem:
        raise error(f"expected JSON, found {one_line(text, 60)!r} ({problem})") from problem
    if not isinstance(config, dict) or not isinstance(config.get("cluster", {}), dict):
        raise error("expected an object with cluster and task")
    jobs: dict[str, Any] = config.get("cluster", {})
    if not jobs:
        return None
    for job, addresses in jobs.items():
        if job not in JOBS:
            raise error(f"expected the jobs {' and '.join(JOBS)} in its cluster, found {job!r}")
        if not isinstance(addresses, list) or not all(re.fullmatch(r".+:\d+", str(address)) for address in addresses):
            raise error(f"expected a list of addresses (host:port) for the job {job}, found {one_line(addresses, 60)!r}")
    task = config.get("task")
    if not isinstance(task, dict) or not str(task.get("index", "")).isdecimal():
        raise error(f"expected a task with type and index, found {task!r}")
    job, number = str(task.get("type")), int(task["index"])
    if job not in jobs or number >= len(jobs[job]):
        found = " and ".join(f"{name} 0 to {len(addresses) - 1}" for name, addresses in jobs.items())
        raise error(f"its task is {job} {number}, but its cluster has {found}")
    return Cluster(jobs, job, number, "TF_CONFIG")


def _of_slurm(environment: Mapping[str, str]) -> Cluster:
    """The addresses in the order of the tasks: node by node, as Slurm's default distribution places them.

    TensorFlow's `SlurmClusterResolver` sorts nodes by name, so that n10 comes before n2, counts the GPUs of a node with
    nvidia-smi, and takes the same ports for every job. Its parsers are used without it.
    """
    from tensorflow.python.distribute.cluster_resolver import slurm_cluster_resolver as slurm

    try:
        hosts = slurm.expand_hostlist(environment["SLURM_STEP_NODELIST"])
        counts = slurm.expand_tasks_per_node(environment["SLURM_STEP_TASKS_PER_NODE"])
        first = PORTS + EACH_JOB * int(environment.get("SLURM_JOB_ID", 0)) % PORT_COUNT
        addresses = [f"{host}:{first + n}" for host, count in zip(hosts, counts, strict=False) for n in range(count)]
        rank, number = int(environment["SLURM_PROCID"]), int(environment["SLURM_STEP_NUM_TASKS"])
    except (KeyError, ValueError) as problem:
        raise UserError(
            f"the Slurm step cannot be read ({one_line(problem)}): start the processes with srun, or set TF_CONFIG for each"
        ) from problem
    if len(addresses) != number or rank >= number:
        raise UserError(
            f"the Slurm step has {number} tasks, this is number {rank}, but its nodes have {len(addresses)}: start the "
            "processes with srun, or set TF_CONFIG for each"
        )
    return Cluster({"worker": addresses}, "worker", rank, "Slurm")


def _listens(address: str, timeout: float = 2.0) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout).close()
    except OSError:
        return False
    return True
