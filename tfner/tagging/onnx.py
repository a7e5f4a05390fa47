"""A tagger over an export for ONNX Runtime.

Takes the folder of the export and loads the graph; `exported` reads the files beside it, and `exports.onnx` writes them.
"""

from __future__ import annotations

import os

import numpy as np

from tfner.tagging.runtime import Logits, RuntimeTagger


class OnnxTagger(RuntimeTagger):
    """Tags with an export for ONNX Runtime, on the processor."""

    runtime = "onnx"

    def _load(self, beside: bool) -> tuple[Logits, int]:
        import onnxruntime

        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1 if beside else cores
        session = onnxruntime.InferenceSession(self.graph, options, providers=["CPUExecutionProvider"])

        def logits(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
            inputs = {"input_ids": input_ids.astype(np.int64), "attention_mask": attention_mask.astype(np.int64)}
            return np.asarray(session.run(None, inputs)[0])

        return logits, cores
