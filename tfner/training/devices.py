"""The devices of a training: processors, GPUs, and several processes, as a `tf.distribute` strategy; and the precision.

Takes settings; returns what `run` needs. It has to come before anything else that uses TensorFlow: several processes can only
be joined at the start.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from tfner.errors import UserError, one_line, setting
from tfner.modeling.batches import Share

BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")
"""What /proc/cpuinfo says of processors that multiply bfloat16: Intel and AMD, Intel with AMX, Arm."""
LEAST_SPEED_UP = 1.1
"""Products in bfloat16 have to be this many times as fast as in float32 to be chosen."""


@dataclass(frozen=True)
class Devices:
    """The devices that train together.

    Attributes:
        strategy: how replicas work together; TensorFlow's default strategy for one device.
        share: the replicas of this process, without parts.
        chief: whether this process scores, writes and exports.
        names: a description for the terminal.
    """

    strategy: tf.distribute.Strategy
    share: Share
    chief: bool
    names: str

    @property
    def several_processes(self) -> bool:
        """Whether other processes train with this one."""
        return len(self.share.own) < self.share.replicas

    def agree(self, value: float) -> float:
        """The chief's value, in every process. Waits until all processes have asked for it."""
        if not self.several_processes:
            return value
        own = tf.constant(value if self.chief else 0.0, tf.float64)
        first = iter([own])
        values = self.strategy.experimental_distribute_values_from_function(lambda _: next(first, tf.zeros_like(own)))
        return float(self.strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None))


def find_devices(strategy: str) -> Devices:
    """The devices for a setting of `--strategy`, and a try of one operation on every GPU.

    Raises:
        UserError: if a GPU cannot be used, or the other processes cannot be found.
    """
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    processes = _processes()
    if strategy == "auto":
        strategy = "multiworker" if processes > 1 else "mirrored" if len(gpus) > 1 else "none"
    if strategy == "multiworker":
        return _multiworker(processes)
    logical = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    used = logical if strategy == "mirrored" else logical[:1]
    for device in used:
        _try(device.name)
    if strategy == "none":
        return Devices(tf.distribute.get_strategy(), Share(), True, describe_devices(gpus[:1]))
    mirrored = tf.distribute.MirroredStrategy([device.name for device in used])
    return Devices(mirrored, Share(len(used), range(len(used))), True, f"{len(used)} replicas, {describe_devices(gpus)}")


def describe_devices(gpus: list) -> str:
    """The names of GPUs, or that the processor is used."""
    if not gpus:
        return f"CPU, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores"
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return "GPU " + ", ".join(d.get("device_name", "of an unknown kind") for d in details)


def choose_precision(width: int, clock: Callable[[], float] = time.perf_counter) -> str:
    """bfloat16 where the device multiplies it natively and a short check shows it faster, float32 otherwise.

    Args:
        width: the hidden size of the encoder, whose products are tried.
        clock: returns seconds.
    """
    return "bfloat16" if multiplies_bfloat16() and bfloat16_speed_up(width, clock) >= LEAST_SPEED_UP else "float32"


def multiplies_bfloat16(cpu: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the GPU, or the processor where there is none, has instructions for products in bfloat16."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:  # from the Ampere generation on
        capabilities = [tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) for gpu in gpus]
        return min(capabilities) >= (8, 0)
    flags = cpu.read_text("utf-8").split() if cpu.is_file() else []
    return any(flag in flags for flag in BFLOAT16_FLAGS)


def bfloat16_speed_up(width: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """How many times as fast as in float32 products in bfloat16 are, casts included: the ratio of medians of 9."""

    @tf.function
    def products(x: tf.Tensor, kernel: tf.Tensor, kind: tf.DType) -> tf.Tensor:
        for _ in range(4):
            inner = tf.matmul(tf.cast(x, kind), tf.cast(kernel, kind))
            x = tf.cast(tf.matmul(inner, tf.cast(kernel, kind), transpose_b=True), tf.float32)
        return tf.reduce_sum(x)

    x, kernel = tf.random.stateless_normal((640, width), (0, 1)), tf.random.stateless_normal((width, 4 * width), (1, 0))
    seconds: dict[tf.DType, list[float]] = {tf.float32: [], tf.bfloat16: []}
    for turn in range(10):
        for kind, found in seconds.items():
            start = clock()
            float(products(x, kernel, kind))
            if turn:  # the first is traced
                found.append(clock() - start)
    return statistics.median(seconds[tf.float32]) / statistics.median(seconds[tf.bfloat16])


def _processes() -> int:
    """The number of processes that train together, from TF_CONFIG or from the Slurm step that runs this one."""
    cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
    if cluster:
        return sum(len(cluster.get(kind, ())) for kind in ("chief", "worker"))
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1))


def _multiworker(processes: int) -> Devices:
    if processes < 2:
        raise UserError(
            f"{setting('strategy', 'multiworker')}: expected TF_CONFIG with a cluster of several workers, or a Slurm step of "
            "several tasks, found neither: start every process with one of them, or use another strategy"
        )
    try:
        resolver = (
            tf.distribute.cluster_resolver.TFConfigClusterResolver()
            if os.environ.get("TF_CONFIG")
            else tf.distribute.cluster_resolver.SlurmClusterResolver()
        )
        strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
    except (ValueError, KeyError, RuntimeError, tf.errors.OpError) as error:
        raise UserError(
            f"{setting('strategy', 'multiworker')}: the processes cannot be joined ({one_line(error)}): check the addresses in "
            "TF_CONFIG, and that all processes are running"
        ) from error
    kind, number = resolver.task_type, resolver.task_id
    workers = {name: len(tasks) for name, tasks in resolver.cluster_spec().as_dict().items()}
    chief = kind == "chief" or ("chief" not in workers and number == 0)
    replicas, rank = strategy.num_replicas_in_sync, number + (kind == "worker" and workers.get("chief", 0))
    each = replicas // processes
    gpus = tf.config.list_physical_devices("GPU")
    share = Share(replicas, range(rank * each, (rank + 1) * each))
    return Devices(strategy, share, chief, f"{processes} processes, {replicas} replicas, here {describe_devices(gpus)}")


def _try(device: str) -> None:
    """One product on a device. A GPU that TensorFlow lists can still be unusable."""
    try:
        with tf.device(device):
            float(tf.reduce_sum(tf.matmul(tf.ones((8, 8)), tf.ones((8, 8)))))
    except tf.errors.OpError as error:
        raise UserError(
            f"the device {device} fails on its first operation ({one_line(error)}): check that the driver is recent "
            "(nvidia-smi), that the CUDA libraries fit TensorFlow (pip install 'tensorflow[and-cuda]'), and that this "
            "TensorFlow supports the GPU's generation; CUDA_VISIBLE_DEVICES=-1 trains on the processor"
        ) from error
