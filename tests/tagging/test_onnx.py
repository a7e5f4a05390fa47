"""How many threads ONNX Runtime computes with, and that in int8 each row is computed with its own pieces alone."""

import os

import numpy as np
import onnxruntime
import pytest

from tfner.tagging.onnx import OnnxTagger, _row_by_row


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


def test_in_int8_a_row_ends_with_its_last_piece_also_where_the_mask_has_gaps():
    seen = []

    def logits(ids, mask):
        seen.append((ids[0].tolist(), mask[0].tolist()))
        return ids[..., None].astype(np.float32)

    ids = np.arange(1, 13).reshape(3, 4)
    found = _row_by_row(logits)(ids, np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]))
    assert seen == [([1, 2], [1, 1]), ([5, 6, 7], [1, 0, 1]), ([9, 10, 11, 12], [0, 0, 0, 0])]
    assert found[..., 0].tolist() == [[1, 2, 0, 0], [5, 6, 7, 0], [9, 10, 11, 12]]
