"""Quantizes an ONNX graph to integers of 8 bits: its weights are stored as integers, and its matrix products multiply integers.

Takes a graph in float32 and returns one for OpenVINO or ONNX Runtime. Where F1 falls too far, other presets are tried, and then
the products that cost the most are left in float32. `gate` decides whether a graph is good enough.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tfner.exports.gate import Way
from tfner.modeling.rows import Row
from tfner.tagging.openvino import import_openvino

CALIBRATION = 300
"""Sentences that the ranges of activations are taken from: NNCF's own default."""
_GROUP, _MOST_GROUPS = 8, 13
"""Matrix products that are left in float32 together: those of a transformer layer. In an encoder with more than 12, they are
those of several layers, because each group takes a quantization and a validation pass."""
SMOOTH = 0.95, 0.5
"""How much of the range of activations SmoothQuant moves into weights: NNCF's default, and that of SmoothQuant's authors."""

Quantize = Callable[[Any, Sequence[str]], Any]
"""Takes an `onnx.ModelProto` and the names of nodes that stay in float32, and returns another `onnx.ModelProto`."""


def ways(graph: Any, presets: Mapping[str, Quantize], write: Callable[[Path, Any], None]) -> Generator[Way, float, None]:
    """The ways to write a quantized graph.

    Everything in int8, with each preset; with the best of them and one group of products in float32; then with the 2, 4, 8, ...
    groups that cost the most.

    Args:
        graph: the `onnx.ModelProto` in float32.
        presets: what quantizes it, by name.
        write: writes a quantized graph into a folder.

    Yields:
        One way at a time. It is sent the F1 that the way reached, which decides the next ones.
    """

    def way(preset: str, names: Sequence[str] = ()) -> Way:
        left = [node for name in names for node in groups[name]]
        title = f"{preset}, {' and '.join(names)} in float32" if names else preset
        return Way(title, lambda folder: write(folder, presets[preset](graph, left)))

    groups = _groups(graph)
    reached, f1 = {}, {}
    for preset in presets:
        reached[preset] = yield way(preset)
    best = max(reached, key=reached.__getitem__)
    for name in groups:
        f1[name] = yield way(best, (name,))
    order = sorted(groups, key=lambda name: -f1[name])
    number = 2
    while number < len(order):
        yield way(best, order[:number])
        number *= 2


def calibrated(rows: Sequence[Row]) -> dict[str, Quantize]:
    """Presets that quantize weights and activations with NNCF and SmoothQuant; for OpenVINO.

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

    def quantize(graph: Any, left: Sequence[str], smooth: float) -> Any:
        alphas = nncf.AdvancedSmoothQuantParameters(matmul=smooth)
        with contextlib.redirect_stdout(sys.stderr):  # its progress
            return nncf.quantize(
                graph,
                nncf.Dataset(chosen, inputs),
                subset_size=len(chosen),
                model_type=nncf.ModelType.TRANSFORMER,
                ignored_scope=nncf.IgnoredScope(names=list(left)),
                advanced_parameters=nncf.AdvancedQuantizationParameters(smooth_quant_alphas=alphas),
            )

    first, *others = SMOOTH
    names = {"int8": first, **{f"int8, SmoothQuant {smooth}": smooth for smooth in others}}
    return {name: partial(quantize, smooth=smooth) for name, smooth in names.items()}


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
    size = _GROUP * -(-len(products) // (_GROUP * _MOST_GROUPS))
    starts = range(0, len(products), size)
    groups = {f"products {i + 1} to {min(i + size, len(products))}": products[i : i + size] for i in starts}
    return {**groups, "embeddings": tables} if tables else groups
