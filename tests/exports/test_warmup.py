"""The model answers each warm-up request of its export, read as TF Serving reads it."""

import shutil

import pytest
import tensorflow as tf
from support import tiny
from tensorflow_serving.apis import prediction_log_pb2

from tfner.contract import PIECES, SIGNATURES, signatures_of
from tfner.exports.warmup import write_warmup
from tfner.folder import EXTRA, WARMUP
from tfner.tagging.load import load_tagger


def answers(folder, signatures):
    """Writes the requests of a SavedModel and runs them; returns the signature and the input shapes of each."""
    write_warmup(folder, signatures)
    loaded = tf.saved_model.load(str(folder)).signatures
    found = []
    for record in tf.data.TFRecordDataset(str(folder / EXTRA / WARMUP)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        name = request.model_spec.signature_name
        inputs = {key: tf.constant(tf.make_ndarray(proto)) for key, proto in request.inputs.items()}
        outputs = loaded[name](**inputs)
        assert {len(value) for value in outputs.values()} == {len(next(iter(inputs.values())))}
        found.append((name, *(tuple(value.shape) for value in inputs.values())))
    return found


@pytest.fixture
def copy(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "1")


def test_an_export_is_warmed_up_for_texts_and_words_of_several_sizes(copy):
    load_tagger(copy)  # registers the operations of an export
    found = answers(copy, SIGNATURES)
    assert found[:4] == [("serving_default", (batch,)) for batch in (1, 1, 8, 8)]
    assert found[4:] == [("words", (batch, words)) for batch in (1, 8) for words in (18, 90)]


def test_every_task_of_a_model_is_warmed_up(together, tmp_path):
    folder = shutil.copytree(together / "1", tmp_path / "1")
    names = [name for name, *_ in answers(folder, signatures_of(["ner", "pos", "chunk"]))]
    assert list(dict.fromkeys(names)) == [
        "serving_default",
        "words",
        "ner",
        "ner_words",
        "pos",
        "pos_words",
        "chunk",
        "chunk_words",
    ]


def test_a_model_that_takes_only_pieces_is_warmed_up_with_pieces(tmp_path):
    folder = tiny.exported_model(tmp_path, "roberta")
    assert answers(folder, [PIECES]) == [("pieces", (batch, 32), (batch, 32)) for batch in (1, 8)]
