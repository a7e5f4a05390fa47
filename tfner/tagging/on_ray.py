"""The engine that tags chunks with Ray Data: in processes of this machine, or on a cluster.

Takes what `bulk.tag_files` gives an engine. One task reads the files; a pool of actors loads the model once each and tags the
chunks; the results come back in order, so the files that are written are those of `bulk.in_this_process`.
"""

from __future__ import annotations

import copy
import logging
import os
import pickle
import re
import socket
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tfner.config import AUTO
from tfner.errors import UserError, one_line, setting
from tfner.modeling.rows import EncodingReport
from tfner.tagging.bulk import Chunk, Engine, Source
from tfner.tagging.load import is_address, load_tagger
from tfner.tagging.runtime import threads
from tfner.tagging.tagger import RowTagger, Tagger
from tfner.terminal import quiet_imports

_COLUMN = "data"
_SECONDS = 5.0
"""How long a cluster may take to accept a connection."""
_TRIES = 3
"""How often an actor that ended is started again, and a chunk is tagged again."""


def on_ray(actors: int | None = None, address: str | None = None) -> Engine:
    """An engine of Ray.

    Args:
        actors: how many processes tag, each with one core [as many as the cluster has cores].
        address: the address of a cluster, as for `ray.init` [the one in the environment variable `RAY_ADDRESS`, else this
            machine]. It is not used where the program is connected to Ray already.

    Raises:
        UserError: where Ray is not installed. The engine raises it where there is no such cluster, or Ray cannot be started.
    """
    if actors is not None and actors < 1:
        raise UserError(f"{setting('actors', actors)}: expected at least 1")
    ray = _import_ray()

    def run(tagger: Tagger, source: Source, skip: int, format: str) -> Iterator[tuple[Chunk, list[Any]]]:
        ours = not ray.is_initialized()
        with TemporaryDirectory(prefix="ray", dir=_temporary(), ignore_cleanup_errors=True) as folder:
            try:
                if ours:
                    _connect(ray, address, folder)
                number = actors or max(1, int(ray.cluster_resources().get("CPU", 1)))
                for data in _results(ray, tagger, source, skip, format, number):
                    result = pickle.loads(data)
                    if isinstance(result, UserError):
                        raise result
                    chunk, rendered, report = result
                    if isinstance(tagger, RowTagger):
                        tagger.report += report
                    yield chunk, rendered
            except ray.exceptions.ActorDiedError as error:
                raise UserError(
                    f"{setting('engine', 'ray')}: an actor ended {_TRIES + 1} times ({one_line(error)}): give it more memory, "
                    "or find the record with the local engine; the same command goes on after the last part"
                ) from error
            except ray.exceptions.RayError as error:
                raise UserError(f"{setting('engine', 'ray')}: Ray ended the job ({one_line(error)})") from error
            finally:
                if ours:
                    ray.shutdown()

    return run


def _import_ray() -> Any:
    try:
        import ray
        import ray.data
        import ray.exceptions
    except ImportError as error:
        raise UserError(f"{setting('engine', 'ray')}: Ray is not installed: pip install 'ray[data]'") from error
    return ray


def _temporary() -> str | None:
    """Where temporary folders are made, as Ray does it. On macOS, the usual place is too long for the names of sockets."""
    return os.environ.get("RAY_TMPDIR") or ("/tmp" if sys.platform == "darwin" else None)


def _start(ray: Any, given: str | None, folder: str, tries: int = 2) -> None:
    """Connects to a cluster, or starts one on this machine, whose files are in `folder`, again if that takes too long: Ray
    waits 15 s for its processes.

    Raises RuntimeError if it took too long twice, and what Ray raises otherwise.
    """
    try:
        own = {} if given else {"_temp_dir": folder}
        ray.init(given or "local", include_dashboard=False, log_to_driver=False, logging_level="error", **own)
    except Exception as error:  # Ray raises nothing narrower where its processes take too long
        late = isinstance(error, TimeoutError) or "timed out" in str(error).lower()
        if not late or given:
            raise
        ray.shutdown()
        if tries == 1:
            raise RuntimeError(str(error)) from error
        _start(ray, given, folder, tries - 1)


def _connect(ray: Any, address: str | None, folder: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its errors come as exceptions too
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    given = address or os.environ.get("RAY_ADDRESS")
    try:
        if place := re.fullmatch(r"(?:ray://)?\[?([^/]+?)\]?:([0-9]+)", given or ""):
            # Ray itself tries for minutes
            socket.create_connection((place[1], int(place[2])), _SECONDS).close()
        with quiet_imports():
            _start(ray, given, folder)
    except (ValueError, OverflowError, RuntimeError, OSError) as error:
        if not given:
            raise UserError(f"{setting('engine', 'ray')}: Ray cannot be started ({one_line(error)})") from error
        raise UserError(
            f"{setting('ray_address', given)}: expected the address of a Ray cluster that runs, such as HOST:6379, got no "
            f"answer ({one_line(error)}): start one with ray start --head, or leave the address out"
        ) from error


def _results(ray: Any, tagger: Tagger, source: Source, skip: int, format: str, actors: int) -> Iterator[bytes]:
    """The pickled results of all chunks, in order."""
    import pyarrow

    def row(item: Any) -> Any:
        return pyarrow.table({_COLUMN: pyarrow.array([pickle.dumps(item)], pyarrow.large_binary())})

    def rows(items: Iterator[Any]) -> Iterator[Any]:
        try:
            for item in items:
                yield row(item)
        except UserError as error:  # as a value, because Ray passes on only the text of an exception
            yield row(error)

    def read(_: Any) -> Iterator[Any]:
        yield from rows(source.chunks(skip))

    class Actor:
        def __init__(self) -> None:
            os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads()))
            self.tagger = load_tagger(model, runtime, sentences, decode, task)

        def __call__(self, table: Any) -> Iterator[Any]:
            yield from rows(map(self.tag, table.column(_COLUMN).to_pylist()))

        def tag(self, data: bytes) -> tuple[Chunk, list[Any], EncodingReport] | UserError:
            chunk = pickle.loads(data)
            if isinstance(chunk, UserError):
                return chunk
            rendered, report = chunk.tag(self.tagger, format), EncodingReport()
            if isinstance(self.tagger, RowTagger):
                report, self.tagger.report = self.tagger.report, report
            return chunk, rendered, report

    if is_address(tagger.name):
        model, runtime = tagger.name, AUTO
    else:
        model, runtime = str(Path(tagger.name).absolute()), tagger.runtime or AUTO
    sentences, decode, task = tagger.sentences, tagger.decode, tagger.task  # None for a served model
    source = replace(source, files=[file.absolute() for file in source.files])
    context = copy.deepcopy(ray.data.DataContext.get_current())
    context.execution_options.preserve_order = True
    context.target_max_block_size = 1  # bytes: every chunk travels by itself
    context.enable_progress_bars = False
    options = {"batch_size": 1, "batch_format": "pyarrow"}
    tries = {"max_restarts": _TRIES, "max_task_retries": _TRIES}  # without them, there is no limit
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ray\.")  # such as that there are more actors than chunks
        warnings.filterwarnings("ignore", "`ray_remote_args`")  # Ray 2.60 has no other place for `tries`
        with ray.data.DataContext.current(context):  # a Dataset keeps it
            dataset = ray.data.from_items([0], override_num_blocks=1)
            dataset = dataset.map_batches(read, num_cpus=0, **options)
            pool = ray.data.ActorPoolStrategy(size=actors)
            dataset = dataset.map_batches(Actor, num_cpus=1, compute=pool, **options, **tries)
        for batch in dataset.iter_batches(batch_size=1, batch_format="pyarrow"):
            yield from batch.column(_COLUMN).to_pylist()
