"""The requests that TF Serving runs on a model before it serves it, so that the first user does not wait for lazy set-up.

In go an exported model's folder and the names of its signatures, out comes a file of `PredictionLog` records, which belongs
to the SavedModel. A model whose warm-up request fails is not served at all, so the requests suit every export.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from tfner.folder import EXTRA, WARMUP

_BATCHES = (1, 8)  # well below any max_batch_size, above which TF Serving with batching would refuse them
_SENTENCE = "Ahmed Bensalem , who works at Unice in Nice , met the mayor of Köln on Monday ."
_REPEATS = (1, 5)  # a sentence of 18 words, a paragraph of 90
_PIECES = 32  # every encoder has as many positions


def write_warmup(folder: Path, signatures: Collection[str]) -> None:
    """Writes the warm-up requests of a SavedModel: for texts and for words, or for pieces where the model takes nothing else.

    Args:
        folder: the SavedModel; the file goes into its `assets.extra`.
        signatures: the names of the model's signatures.
    """
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(folder / EXTRA / WARMUP)) as file:
        for signature in [s for s in ("serving_default", "words") if s in signatures] or ["pieces"]:
            for inputs in _inputs(signature):
                file.write(_record(signature, inputs))


def _inputs(signature: str) -> Iterator[dict[str, list]]:
    """The inputs of each request to a signature, by name, as nested lists."""
    for batch in _BATCHES:
        for repeats in _REPEATS:
            words = _SENTENCE.split() * repeats
            if signature == "serving_default":
                yield {"text": [" ".join(words)] * batch}
            elif signature == "words":
                yield {"words": [words] * batch}
        if signature == "pieces":
            yield {"input_ids": [[0] * _PIECES] * batch, "attention_mask": [[1] * _PIECES] * batch}


def _record(signature: str, inputs: dict[str, list]) -> bytes:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature  # warm-up runs on the model it lies in: the record's model name is not read
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values, tf.int32 if signature == "pieces" else tf.string))
    return log.SerializeToString()
