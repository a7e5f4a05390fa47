"""What OpenVINO is asked for: its precision, rows of few lengths, and no telemetry."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import tiny

from tfner.tagging.openvino import compile_graph, import_openvino, logits_of


@pytest.fixture(scope="module")
def graph(runtimes):
    return str(runtimes / "openvino" / "1" / "model.xml")


@pytest.mark.parametrize(("precision", "kind"), [("float32", "f32"), ("int8", "f32"), ("bfloat16", "bf16")])
def test_the_precision_is_that_of_the_export(graph, precision, kind):
    compiled = compile_graph(graph, precision)
    without = "BF16" not in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == ("f32" if without else kind)


def test_batches_share_few_shapes_and_none_is_longer_than_the_encoder_takes():
    shapes = []

    class Request:
        def infer(self, inputs):
            shapes.append({array.shape for array in inputs.values()})
            assert {array.dtype for array in inputs.values()} == {np.dtype(np.int64)}
            self.ids = inputs["input_ids"]

        def get_output_tensor(self):
            return self

        @property
        def data(self):
            return self.ids[..., None].astype(np.float32)

    class Compiled:
        def get_property(self, name):
            return 1

        def create_infer_request(self):
            return Request()

    logits = logits_of(Compiled(), longest=70)
    for length in (1, 31, 32, 33, 64, 65, 70):
        ids, mask = tiny.random_inputs([length], 90)
        assert logits(ids, mask)[..., 0].tolist() == ids.tolist()
    assert [next(iter(shape))[1] for shape in shapes[1:]] == [32, 32, 32, 64, 64, 70, 70]  # the first is made at the start
    for lengths, shape in (
        ([5, 3], (2, 16)),
        ([5, 3, 9, 2, 8], (8, 16)),
        ([17] * 4, (4, 32)),
        ([70] * 5, (8, 70)),
        ([33] * 50, (52, 36)),
    ):
        ids, mask = tiny.random_inputs(lengths, 90)
        assert logits(ids, mask)[..., 0].tolist() == ids.tolist()
        assert shapes[-1] == {shape}


def test_batches_beside_each_other_have_a_request_each(graph):
    alone, beside = (compile_graph(graph, "float32", beside) for beside in (False, True))
    assert alone.get_property("NUM_STREAMS") == 1
    assert beside.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") >= beside.get_property("NUM_STREAMS") >= 1


def test_the_package_that_sends_telemetry_is_not_imported():
    program = (
        "import sys\nfrom tfner.tagging.openvino import import_openvino\nimport_openvino()\n"
        "print(sys.modules['openvino_telemetry'], [name for name in sys.modules if name.startswith('openvino_telemetry.')])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "None []\n"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_ctrl_c_after_two_graphs_were_released_in_any_order_is_an_interrupt(graph, order):
    program = f"""
import faulthandler, gc, os, signal
faulthandler.enable()
from tfner.tagging.openvino import compile_graph
graphs = [compile_graph({graph!r}, "float32", beside) for beside in (False, True)]
for number in {order}:
    graphs[number] = None
    gc.collect()
signal.signal(signal.SIGINT, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGINT)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "handled\n")


def test_ctrl_c_after_a_graph_could_not_be_compiled_is_an_interrupt(graph, tmp_path):
    broken = tmp_path / "model.xml"
    broken.write_text(Path(graph).read_text())
    broken.with_suffix(".bin").write_bytes(Path(graph).with_suffix(".bin").read_bytes()[:1000])
    program = f"""
import ctypes, faulthandler
from tfner.tagging.openvino import _Stack, compile_graph
faulthandler.enable()
def stack():
    found = _Stack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found))
    return found.address
before = stack()
try:
    compile_graph({str(broken)!r}, "float32")
except RuntimeError:
    print(stack() == before)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "True\n"
