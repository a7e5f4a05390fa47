"""How many threads ONNX Runtime computes with."""

import os

import onnxruntime
import pytest

from tfner.tagging.onnx import OnnxTagger


@pytest.mark.parametrize(("beside", "threads"), [(False, len(os.sched_getaffinity(0))), (True, 1)])
def test_a_batch_alone_has_all_cores_and_others_one_each(runtimes, monkeypatch, beside, threads):
    tagger, seen = OnnxTagger(runtimes / "onnx" / "1"), []
    session = onnxruntime.InferenceSession

    def noted(path, options, **more):
        seen.append(options.intra_op_num_threads)
        return session(path, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", noted)
    _, number = tagger._load(beside)
    assert seen == [threads]
    assert number == len(os.sched_getaffinity(0))
