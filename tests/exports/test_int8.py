"""Graphs in int8: which products are left in float32, in which order, and that NNCF sends nothing."""

import subprocess
import sys

import pytest

from tfner.exports import int8
from tfner.exports.onnx import onnx_graph
from tfner.folder import TRAINING
from tfner.training.state import load_state


@pytest.fixture(scope="module")
def graph(model):
    trained = load_state(model / TRAINING / "1")
    return onnx_graph(trained)


def titles(ways, f1):
    """The names of all ways, where `f1` says what each reaches."""
    found, reached = [], None
    while True:
        try:
            found.append(ways.send(reached).name)
        except StopIteration:
            return found
        reached = f1.get(found[-1], 0)


def test_what_matters_most_is_left_in_float32_first(graph):
    ways = int8.ways(graph, {"a": None, "b": None, "c": None}, lambda folder, graph: None)
    names = list(int8._groups(graph))
    assert len(names) > 4
    f1 = {f"b, {name} in float32": value for name, value in zip(names, (0.2, 0.5, 0.1, 0.3), strict=False)}
    found = titles(ways, f1 | {"b": 0.1})
    assert found[:3] == ["a", "b", "c"]
    assert found[3 : 3 + len(names)] == [f"b, {name} in float32" for name in names]
    assert found[3 + len(names)] == f"b, {names[1]} and {names[3]} in float32"
    assert found[4 + len(names)] == f"b, {names[1]} and {names[3]} and {names[0]} and {names[2]} in float32"
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(("layers", "groups"), [(1, 2), (6, 7), (12, 13), (24, 13), (48, 13)])
def test_a_deep_encoder_takes_no_more_ways_than_one_with_12_layers(layers, groups):
    from onnx import GraphProto, ModelProto, NodeProto

    nodes = [NodeProto(op_type="MatMul", name=str(i)) for i in range(8 * layers + 1)]
    deep = ModelProto(graph=GraphProto(node=[*nodes, NodeProto(op_type="Gather", name="words")]))
    assert len(int8._groups(deep)) == groups + 1
    assert len(titles(int8.ways(deep, {"int8": None}, None), {})) <= 1 + groups + 1 + 3


def test_every_product_is_in_exactly_one_group(graph):
    products = [n.name for n in graph.graph.node if n.op_type in ("MatMul", "Gemm", "Gather")]
    grouped = [name for names in int8._groups(graph).values() for name in names]
    assert sorted(grouped) == sorted(products)


def test_products_that_are_left_stay_in_float32(graph):
    names = next(iter(int8._groups(graph).values()))
    everything, less = (int8.dynamic(graph, left) for left in ((), names))

    def integer(quantized):
        return sum(node.op_type == "MatMulInteger" for node in quantized.graph.node)

    assert integer(everything) > integer(less) > 0
    assert {node.name for node in less.graph.node} >= set(names)


def test_quantizing_sends_nothing_and_prints_nothing_to_standard_output(model, corpus):
    program = f"""
import sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        print("network:", event, arguments)
sys.addaudithook(hook)
from pathlib import Path
from tfner.data.load import load_corpus
from tfner.exports import int8
from tfner.exports.onnx import onnx_graph
from tfner.training.state import load_state
trained = load_state(Path({str(model / TRAINING / "1")!r}))
graph = onnx_graph(trained)
rows = trained.row_encoder.encode(load_corpus({str(corpus)!r}).splits["validation"]).rows
weights = []
for quantize in int8.calibrated(rows).values():
    quantized = quantize(graph, [])
    assert any(node.op_type == "QuantizeLinear" for node in quantized.graph.node)
    weights.append(quantized.SerializeToString())
assert len(set(weights)) == len(weights) == 2
int8.dynamic(graph, [])
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == ""
    assert "pre-processing" not in result.stderr
