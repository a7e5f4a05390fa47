"""A tagger over an export for OpenVINO.

Takes the folder of the export and loads the graph; `exported` reads the files beside it, and `exports.openvino` writes them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import numpy as np

from tfner.tagging.runtime import Logits, RuntimeTagger, threads

_TYPES = {"float32": "f32", "bfloat16": "bf16"}
_ROWS, _LENGTH, _LENGTH_OF_FULL = 4, 16, 4
"""Batches have a multiple of this many rows and of this many pieces. OpenVINO keeps what it prepares for each shape: without
this grid, 1,500 batches of arbitrary shape took 2,234 MiB, with it 135 MiB, at the same speed (int8, a 6-layer encoder). With
multiples of 16, the values of a row do not depend on the rows beside it either. Up to three rows stay as they are: a text of
two sentences takes 7.6 ms of a processor, and 11.4 if padded to four rows. Full batches come in few shapes and need less
padding: 25,500 instead of 22,100 words a second; scores in int8 then differed by up to 0.002."""
_FULL = 1500
"""Batches of at least this many pieces are full: parts of a long run, not requests to a server."""
_LENGTH_ALONE = 32
"""A row alone has a multiple of this many pieces: each change of the length took 1 ms of 3.4 ms (sentences of 20 words)."""


class OpenVinoTagger(RuntimeTagger):
    """Tags with an export for OpenVINO, on the processor."""

    runtime = "openvino"

    def _load(self, beside: bool) -> tuple[Logits, int]:
        compiled = compile_graph(str(self.graph), self.precision or "float32", beside)
        return logits_of(compiled, self.longest), compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")


def import_openvino() -> Any:
    """OpenVINO, without its telemetry: the package that sends it is kept from being imported.

    OpenVINO and NNCF send nothing where that package is missing.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # importing it raises ImportError
    import openvino

    return openvino


def compile_graph(graph: Any, precision: str, beside: bool = False) -> Any:
    """An `openvino.CompiledModel` for the processor.

    Args:
        graph: an `openvino.Model` or the path of one.
        precision: that of its matrix products. For int8, what is not quantized is computed in float32.
        beside: for batches that are computed beside each other, each by one core.
    """
    # by itself, OpenVINO rounds float32 to bfloat16 on processors that have it
    options = {
        "INFERENCE_PRECISION_HINT": _TYPES.get(precision, "f32"),
        "PERFORMANCE_HINT": "THROUGHPUT" if beside else "LATENCY",
        "INFERENCE_NUM_THREADS": threads(),
        "ENABLE_CPU_PINNING": False,  # else several processes with one thread each all compute on the first core
    }
    core = import_openvino().Core()
    with _own_signal_stack():
        return core.compile_model(graph, "CPU", options)


class _Stack(ctypes.Structure):
    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextlib.contextmanager
def _own_signal_stack() -> Iterator[None]:
    """Gives this thread its signal stack back.

    A graph that is compiled replaces it, and puts the former one back when it is released. Where two graphs are not released in
    reverse order, the stack of a released graph stays, and Ctrl-C then ends the process with a segmentation fault.
    """
    change = getattr(ctypes.CDLL(None), "sigaltstack", None) if os.name == "posix" else None
    before = _Stack()
    if change:
        change(None, ctypes.byref(before))
    try:
        yield
    finally:  # a graph that cannot be compiled has replaced it too
        if change:
            change(ctypes.byref(before), None)


def logits_of(compiled: Any, longest: int) -> Logits:
    """A function that computes the logits of a compiled graph, as many batches at a time as it is compiled for.

    `longest` is the longest row that the encoder can take.
    """
    idle: SimpleQueue[Any] = SimpleQueue()
    for _ in range(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")):
        idle.put(compiled.create_infer_request())

    def logits(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        rows, length = input_ids.shape
        step = _LENGTH_ALONE if rows == 1 else _LENGTH_OF_FULL if rows * length >= _FULL else _LENGTH
        shape = (rows if rows < _ROWS else rows + -rows % _ROWS, min(length + -length % step, longest))
        inputs = {name: np.zeros(shape, np.int64) for name in ("input_ids", "attention_mask")}
        inputs["attention_mask"][rows:, 0] = 1  # a row without any piece would have no attention to share out
        for array, values in zip(inputs.values(), (input_ids, attention_mask), strict=True):
            array[:rows, :length] = values
        request = idle.get()
        try:
            request.infer(inputs)
            return np.array(request.get_output_tensor().data[:rows, :length])
        finally:
            idle.put(request)

    # OpenVINO prepares its use of NumPy at the first call, and hangs where threads make that call
    logits(np.zeros((1, 1), np.int32), np.ones((1, 1), np.int32))
    return logits
