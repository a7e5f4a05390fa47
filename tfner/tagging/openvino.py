"""A tagger over an export for OpenVINO.

Takes the folder of the export and loads the graph; `exported` reads the files beside it, and `exports.openvino` writes them.
"""

from __future__ import annotations

import sys
from queue import SimpleQueue
from typing import Any

import numpy as np

from tfner.tagging.runtime import Logits, RuntimeTagger

_TYPES = {"float32": "f32", "bfloat16": "bf16"}
_STEP = 32
"""A row alone is padded to a multiple of this many pieces. Rows of equal length are faster: OpenVINO prepares each change of
the length, which took 1 ms of 3.4 ms (int8, a 6-layer encoder, sentences of 20 words)."""


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
    }
    return import_openvino().Core().compile_model(graph, "CPU", options)


def logits_of(compiled: Any, longest: int) -> Logits:
    """A function that computes the logits of a compiled graph, as many batches at a time as it is compiled for.

    `longest` is the longest row that the encoder can take.
    """
    idle: SimpleQueue[Any] = SimpleQueue()
    for _ in range(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")):
        idle.put(compiled.create_infer_request())

    def logits(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        length = input_ids.shape[1]
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if len(input_ids) == 1 and (more := min(-length % _STEP, longest - length)):
            inputs = {name: np.pad(array, ((0, 0), (0, more))) for name, array in inputs.items()}
        request = idle.get()
        try:
            request.infer({name: array.astype(np.int64) for name, array in inputs.items()})
            return np.array(request.get_output_tensor().data[:, :length])
        finally:
            idle.put(request)

    return logits
