"""The devices of a training: processors, GPUs, and several processes, as a `tf.distribute` strategy; and the precision.

Takes settings; returns what `run` needs. It has to come before anything else that uses TensorFlow: several processes can only
be joined at the start.
"""

from __future__ import annotations

import contextlib
import hashlib
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import tensorflow as tf

from tfner.config import AUTO
from tfner.errors import UserError, one_line, setting
from tfner.machine import cpu_multiplies_bfloat16, usable_cores
from tfner.modeling.pipeline import Share
from tfner.terminal import counted
from tfner.training.cluster import Cluster, find_cluster

NOT_OF_OTHERS = (tf.errors.ResourceExhaustedError, tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError)
"""Errors that are about this process, where several train together."""
LEAST_SPEED_UP = 1.1
"""Products in bfloat16 have to be this many times as fast as in float32 to be chosen."""
LEAST_WIDTH = 256
"""The narrowest encoder that bfloat16 is chosen for. In the embedded one (128), products are a smaller part of a step: it took
23 ms in both precisions on a processor whose products in bfloat16 are twice as fast."""


@dataclass(frozen=True)
class Devices:
    """The devices that train together.

    Attributes:
        strategy: how replicas work together; TensorFlow's default strategy for one device.
        share: the replicas of this process, without parts.
        chief: whether this process scores, writes and exports.
        names: a description for the terminal.
        cluster: the processes that train together, or None where this is the only one.
    """

    strategy: tf.distribute.Strategy
    share: Share
    chief: bool
    names: str
    cluster: Cluster | None = None

    @property
    def several_processes(self) -> bool:
        """Whether other processes train with this one."""
        return self.cluster is not None

    def agree(self, value: float) -> float:
        """The chief's value, in every process. Waits until all processes have asked for it."""
        if not self.several_processes:
            return value
        own = tf.constant(value if self.chief else 0.0, tf.float64)
        first = iter([own])
        with self.naming_lost_processes():
            values = self.strategy.experimental_distribute_values_from_function(lambda _: next(first, tf.zeros_like(own)))
            return float(self.strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None))

    def check_same(self, name: str, value: str) -> None:
        """Raises UserError where a text is not that of the chief. Waits until all processes have come here."""
        own = int(hashlib.sha256(value.encode()).hexdigest()[:12], 16)  # a float64 holds it
        if self.agree(own) != own:
            raise UserError(
                f"{name} of this process and of the first process differ: start all of them with the same command, the same "
                "corpus, and an output folder that all of them share"
            )

    def any_of(self, flag: bool) -> bool:
        """Whether a flag is set in any process. Waits until all processes have asked for it."""
        if not self.several_processes:
            return flag
        own = tf.constant(float(flag))
        with self.naming_lost_processes():
            values = self.strategy.experimental_distribute_values_from_function(lambda _: own)
            return float(self.strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)) > 0

    @contextlib.contextmanager
    def naming_lost_processes(self) -> Iterator[None]:
        """Turns TensorFlow's errors about a process that has ended into a UserError that names it."""
        try:
            yield
        except tf.errors.OpError as error:
            if self.cluster is None or isinstance(error, NOT_OF_OTHERS):
                raise
            raise UserError(
                f"{self.cluster.lost(error)} has ended or cannot be reached, so this process ends as well: see what the other "
                "one printed last, then start all of them again with --resume"
            ) from error


def find_devices(strategy: str, say: Callable[[str], None] = print) -> Devices:
    """The devices for a setting of `--strategy`, and a try of one operation on every GPU.

    Args:
        strategy: a value of `--strategy`.
        say: called with a line for the terminal where this process has to wait for others.

    Raises:
        UserError: if a GPU cannot be used, or the other processes cannot be found.
    """
    cluster = find_cluster() if strategy in (AUTO, "multiworker") else None
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if strategy == AUTO:
        several = cluster is not None and len(cluster.tasks) > 1
        strategy = "multiworker" if several else "mirrored" if len(gpus) > 1 else "none"
    if strategy == "multiworker":
        return _join(cluster, gpus, say)
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
        return f"CPU, {counted(len(usable_cores()), 'core')}"
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return "GPU " + ", ".join(d.get("device_name", "of an unknown kind") for d in details)


def choose_precision(width: int, clock: Callable[[], float] = time.perf_counter) -> str:
    """bfloat16 where the encoder is wide, the device multiplies it natively and a short check shows it faster; else float32.

    Args:
        width: the hidden size of the encoder, whose products are tried.
        clock: returns seconds.
    """
    suits = width >= LEAST_WIDTH and multiplies_bfloat16()
    return "bfloat16" if suits and bfloat16_speed_up(width, clock) >= LEAST_SPEED_UP else "float32"


def multiplies_bfloat16() -> bool:
    """Whether the GPU, or the processor where there is none, has instructions for products in bfloat16."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:  # from the Ampere generation on
        capabilities = [tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) for gpu in gpus]
        return min(capabilities) >= (8, 0)
    return cpu_multiplies_bfloat16()


def precision_note(precision: str) -> str | None:
    """What is said where bfloat16 was asked for and this machine has no instructions for it."""
    if precision != "bfloat16" or multiplies_bfloat16():
        return None
    return "this machine has no instructions for bfloat16: --precision float32 takes no longer"


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


def _join(cluster: Cluster | None, gpus: list, say: Callable[[str], None]) -> Devices:
    """The devices of all processes. Waits until all of them are running."""
    processes = 0 if cluster is None else len(cluster.tasks)
    if cluster is None or processes < 2:
        raise UserError(
            f"{setting('strategy', 'multiworker')}: expected TF_CONFIG with a cluster of several workers, or a Slurm step of "
            "several tasks, found neither: start every process with one of them, or use another strategy"
        )
    say(f"waiting for all of {processes} processes; this is {cluster.name(cluster.job, cluster.task)}")
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(dict(cluster.jobs)),
        task_type=cluster.job,
        task_id=cluster.task,
        num_accelerators={"GPU": len(gpus)},
        rpc_layer="grpc",
    )
    try:
        with _ended_by_ctrl_c():
            strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise UserError(
            f"{setting('strategy', 'multiworker')}: the processes cannot be joined ({one_line(error)}): check the addresses in "
            f"{cluster.source}, and that all processes are running"
        ) from error
    for device in strategy.extended.worker_devices:
        _try(device)
    replicas, rank = strategy.num_replicas_in_sync, cluster.rank
    each = replicas // processes
    share = Share(replicas, range(rank * each, (rank + 1) * each))
    names = f"{processes} processes, {replicas} replicas, here {describe_devices(gpus)}"
    return Devices(strategy, share, rank == 0, names, cluster)


@contextlib.contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """Lets Ctrl-C end the process while TensorFlow waits, which keeps Python from noticing it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


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
