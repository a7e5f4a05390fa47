"""Quantizes an ONNX graph to integers of 8 bits: its weights are stored as integers, and its matrix products multiply integers.

Takes a graph in float32 and returns one for OpenVINO or ONNX Runtime. Where F1 falls too far, the products that cost the most
are left in float32. `gate` decides whether a graph is good enough.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfner.exports.gate import Way
from tfner.modeling.rows import Row
from tfner.tagging.openvino import import_openvino

CALIBRATION = 300
"""Sentences that the ranges of activations are taken from: NNCF's own default."""
_GROUP = 8
"""Matrix products that are left in float32 together: those of a transformer layer."""

Quantize = Callable[[Any, Sequence[str]], Any]
"""Takes an `onnx.ModelProto` and the names of nodes that stay in float32, and returns another `onnx.ModelProto`."""


def ways(graph: Any, quantize: Quantize, write: Callable[[Path, Any], None]) -> Generator[Way, float, None]:
    """The ways to write a quantized graph: everything in int8; with one group of products in float32; with more of them.

    Args:
        graph: the `onnx.ModelProto` in float32.
        quantize: quantizes it.
        write: writes a quantized graph into a folder.

    Yields:
        One way at a time. It is sent the F1 that the way reached, which decides what is left in float32 next.
    """

    def way(names: Sequence[str]) -> Way:
        left = [node for name in names for node in groups[name]]
        title = f"int8, {' and '.join(names)} in float32" if names else "int8"
        return Way(title, lambda folder: write(folder, quantize(graph, left)))

    groups = _groups(graph)
    f1 = {}
    yield way(())
    for name in groups:
        f1[name] = yield way((name,))
    order = sorted(groups, key=lambda name: -f1[name])
    for number in range(2, len(order)):
        yield way(order[:number])


def calibrated(rows: Sequence[Row]) -> Quantize:
    """Quantizes weights and activations with NNCF's preset for transformers, which includes SmoothQuant; for OpenVINO.

    Args:
        rows: rows of the corpus, of which `CALIBRATION` are used.
    """
    import_openvino()  # without telemetry, which NNCF would send too
    import nncf

    nncf.set_log_level(logging.ERROR)
    chosen = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, min(CALIBRATION, len(rows))).astype(int))]

    def inputs(row: Row) -> dict[str, np.ndarray]:
        ids = row.ids[None].astype(np.int64)
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

    def quantize(graph: Any, left: Sequence[str]) -> Any:
        with contextlib.redirect_stdout(sys.stderr):  # its progress
            return nncf.quantize(
                graph,
                nncf.Dataset(chosen, inputs),
                subset_size=len(chosen),
                model_type=nncf.ModelType.TRANSFORMER,
                ignored_scope=nncf.IgnoredScope(names=list(left)),
            )

    return quantize


def dynamic(graph: Any, left: Sequence[str]) -> Any:
    """Quantizes weights, a scale for each output channel, and activations as they come; for ONNX Runtime.

    With the scales of calibrated activations, ONNX Runtime was slower than in float32.
    """
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:  # it reads and writes files
        target = Path(folder) / "int8.onnx"
        logging.disable(logging.WARNING)  # advice about its own tools
        try:
            quantize_dynamic(graph, target, per_channel=True, nodes_to_exclude=list(left))
        finally:
            logging.disable(logging.NOTSET)
        return onnx.load(target)


def _groups(graph: Any) -> dict[str, list[str]]:
    """The nodes with weights or matrix products, by the name of their group."""
    products = [node.name for node in graph.graph.node if node.op_type in ("MatMul", "Gemm")]
    tables = [node.name for node in graph.graph.node if node.op_type == "Gather"]
    starts = range(0, len(products), _GROUP)
    groups = {f"products {i + 1} to {min(i + _GROUP, len(products))}": products[i : i + _GROUP] for i in starts}
    return {**groups, "embeddings": tables} if tables else groups
