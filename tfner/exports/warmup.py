"""Warm-up requests, which TF Serving runs on a model before it serves it, so that the first user does not wait for set-up.

Takes the folder of a SavedModel and the names of its signatures, and writes a file of `PredictionLog` records into it. A model
whose warm-up fails is not served at all, so the requests must suit every export.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tfner.contract import PIECES, TEXT, Signature
from tfner.folder import EXTRA, WARMUP

_BATCHES = (1, 8)  # far below any usual max_batch_size, above which TF Serving would refuse them
_SENTENCE = "Ahmed Bensalem , who works at Unice in Nice , met the mayor of Köln on Monday ."
_REPEATS = (1, 5)  # a sentence of 18 words, a paragraph of 90
_PIECES = 32  # every encoder has at least as many positions


def write_warmup(folder: Path, signatures: Collection[Signature]) -> None:
    """Writes the warm-up requests of a SavedModel: for texts and words, or for pieces if the model takes nothing else.

    Args:
        folder: the SavedModel; the file goes into its `assets.extra`.
        signatures: the signatures of the model.
    """
    with tf.io.TFRecordWriter(str(folder / EXTRA / WARMUP)) as file:
        for signature in [s for s in signatures if s.name != PIECES.name] or [PIECES]:
            for inputs in _inputs(signature):
                file.write(_record(signature, inputs))


def _inputs(signature: Signature) -> Iterator[Mapping[str, list]]:
    """The inputs of each request to a signature, by name, as nested lists."""
    for batch in _BATCHES:
        if signature.name == PIECES.name:
            rows = [[0] * _PIECES] * batch, [[1] * _PIECES] * batch
            yield dict(zip(signature.inputs, rows, strict=True))
            continue
        (name,) = signature.inputs
        for repeats in _REPEATS:
            words = _SENTENCE.split() * repeats
            yield {name: [" ".join(words) if name in TEXT.inputs else words] * batch}


def _record(signature: Signature, inputs: Mapping[str, list]) -> bytes:
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature.name  # the model is the one in whose folder the file is
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values, tf.as_dtype(signature.inputs[name].dtype)))
    return log.SerializeToString()
