"""Format `openvino`: a folder for OpenVINO, written without PyTorch.

Takes a `TrainedModel` of any variant and returns a function that fills a folder with `model.xml`, `model.bin`, config,
tokenizer and model card. `onnx` converts the graph, and `int8` quantizes it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tfner.exports import int8, runtime
from tfner.exports.gate import Gate, one_way
from tfner.exports.onnx import SIGNATURE, onnx_graph
from tfner.folder import GRAPHS
from tfner.modeling.rows import Row
from tfner.tagging.openvino import OpenVinoTagger, import_openvino
from tfner.training.state import TrainedModel


def writer(trained: TrainedModel, gate: Gate, precision: str = "float32") -> Callable[[Path], None]:
    """Returns a function that fills a folder for OpenVINO.

    Args:
        trained: the model.
        gate: decides whether the export is kept; its sentences calibrate int8.
        precision: float32, bfloat16, or int8, where the matrix products multiply integers.

    Raises:
        UserError: if the model does not fit into ONNX, through which it is converted.
    """
    graph = onnx_graph(trained)
    whole = partial(write_graph, graph=graph)  # OpenVINO rounds to bfloat16 when it loads the graph

    def rows() -> Sequence[Row]:
        return trained.row_encoder.encode(next(iter(gate.sentences.values()))).rows

    ways = {
        "int8": lambda: int8.ways(graph, int8.calibrated(rows()), write_graph),
        "bfloat16": lambda: one_way("bfloat16", whole),
        "float32": lambda: one_way("float32", whole, exact=True),
    }
    signature = replace(SIGNATURE, name=GRAPHS["openvino"])
    return runtime.writer(trained, "openvino", signature, ways, OpenVinoTagger, precision, gate)


def write_graph(folder: Path, graph: Any) -> None:
    """Writes an `onnx.ModelProto` as `model.xml` and `model.bin`."""
    openvino = import_openvino()
    converted = openvino.Core().read_model(io.BytesIO(graph.SerializeToString()))
    openvino.save_model(converted, folder / GRAPHS["openvino"], compress_to_fp16=False)
