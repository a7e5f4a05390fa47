"""TensorFlow Serving's JSON: reading requests, refusing invalid ones, writing answers."""

import json

import numpy as np
import pytest

from tfner.serving.rest import LIMITS, Limits, RestError, Tensor, read_query, write_answer, write_metadata, write_status

SIGNATURES = {
    "serving_default": {"text": Tensor("DT_STRING", (-1,))},
    "words": {"words": Tensor("DT_STRING", (-1, -1))},
    "pieces": {"input_ids": Tensor("DT_INT32", (-1, -1)), "attention_mask": Tensor("DT_INT32", (-1, -1))},
}


def read(body, limits=LIMITS):
    return read_query(body if isinstance(body, bytes) else json.dumps(body).encode(), SIGNATURES, limits)


def pieces(ids, mask):
    return {"signature_name": "pieces", "inputs": {"input_ids": ids, "attention_mask": mask}}


def refused(body, limits=LIMITS):
    with pytest.raises(RestError) as caught:
        read(body, limits)
    assert caught.value.status == 400
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


@pytest.mark.parametrize(
    "body",
    [
        {"instances": ["Nice", "é😀"]},
        {"instances": [{"text": "Nice"}, {"text": "é😀"}]},
        {"instances": [{"b64": "TmljZQ=="}, "é😀"]},
        {"instances": [{"text": {"b64": "TmljZQ=="}}, {"text": "é😀"}], "signature_name": "serving_default"},
        {"inputs": ["Nice", "é😀"]},
        {"inputs": {"text": ["Nice", {"b64": "w6nwn5iA"}]}, "signature_name": ""},
    ],
)
def test_every_form_of_a_text_is_read_as_the_same_array(body):
    query = read(body)
    assert query.signature == "serving_default"
    assert query.inputs["text"].tolist() == [b"Nice", "é😀".encode()]
    assert query.row == ("instances" in body)


def test_several_inputs_are_read_by_name_in_rows_and_columns():
    instances = [{"attention_mask": [1, 1], "input_ids": [5, 6]}, {"input_ids": [7, 0], "attention_mask": [1, 0]}]
    rows, columns = {"signature_name": "pieces", "instances": instances}, pieces([[5, 6], [7, 0]], [[1, 1], [1, 0]])
    for body in (rows, columns):
        inputs = read(body).inputs
        assert inputs["input_ids"].tolist() == [[5, 6], [7, 0]]
        assert inputs["attention_mask"].tolist() == [[1, 1], [1, 0]]
        assert {array.dtype for array in inputs.values()} == {np.dtype(np.int32)}


def test_bytes_keep_zeros_at_their_end():
    assert read({"instances": [{"b64": "YQAA"}]}).inputs["text"].tolist() == [b"a\0\0"]


def test_a_byte_order_mark_is_ignored():
    assert read(b'\xef\xbb\xbf{"instances": ["x"]}').inputs["text"].tolist() == [b"x"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error"),
        (b'{"instances": ["x"', "JSON Parse error"),
        (b'{"instances": ["\xff\xfe"]}', "the body is not UTF-8"),
        (b"[" * 100_000, "JSON Parse error"),
        (b'{"instances": [' + b"9" * 5000 + b"]}", "JSON Parse error"),
        (b'{"instances": ["\\ud800"]}', "no low surrogate in string at offset: 16"),
        (b'["x"]', "Expected a JSON object"),
        ({}, "Expected one of the keys 'inputs' and 'instances', got []"),
        ({"instances": ["x"], "inputs": ["x"]}, "Expected one of the keys"),
        ({"instances": []}, "at least one value"),
        ({"instances": "x"}, "to be a list"),
        ({"inputs": []}, "at least one value"),
        ({"instances": ["x", None]}, "Input 'text': expected a string"),
        ({"instances": [1]}, "Input 'text': expected a string"),
        ({"instances": [["x"]]}, "expected values of shape [any], got [['x']] of shape [1, 1]"),
        ({"instances": [[["x"]] * 100] * 100}, "of shape [100, 100, 1]"),
        ({"instances": ["x", {"text": "y"}]}, "Input 'text': expected a string"),
        ({"instances": [{"text": "x"}, "y"]}, "at item 1 of 'instances'"),
        ({"instances": [{"txt": "x"}]}, "Expected an object with 'text' at item 0 of 'instances'"),
        ({"instances": [{"text": "x", "more": 1}]}, "Expected an object with 'text'"),
        ({"instances": [{"b64": "é"}]}, "expected a string or"),
        ({"instances": [{"b64": 1}]}, "expected a string or"),
        ({"inputs": {"txt": ["x"]}}, "Expected 'inputs' to be an object with 'text'"),
        ({"signature_name": "tag", "instances": ["x"]}, 'signature name: "tag" not found in signature def; the model has p'),
        ({"signature_name": 1, "instances": ["x"]}, "'signature_name' key must be a string value"),
        ({"signature_name": "words", "instances": [["a", "b"], ["c"]]}, "expected lists of one length in dimension 2"),
        ({"signature_name": "pieces", "instances": [[1, 2]]}, "list of objects with 'attention_mask' and 'input_ids'"),
        (pieces([[1]], [[1], [1]]), "inconsistent batch sizes"),
        (pieces([[1.5]], [[1]]), "type DT_INT32, got 1.5"),
        (pieces([[True]], [[1]]), "type DT_INT32, got True"),
        (pieces([[None]], [[1]]), "type DT_INT32, got None"),
        (pieces([[2**31]], [[1]]), "got 2147483648"),
    ],
)
def test_an_invalid_request_is_refused_in_one_line(body, message):
    assert message in refused(body)


def test_limits_count_rows_and_characters():
    limits = Limits(rows=2, characters=3)
    assert len(read({"instances": ["äöü", "😀😀😀"]}, limits).inputs["text"]) == 2
    assert "at most 2 rows per request, got 3" in refused({"instances": ["a"] * 3}, limits)
    assert "at most 3 characters, got 4: split the text" in refused({"instances": ["abcd"]}, limits)


def test_answers_are_rows_of_objects_or_columns_and_a_single_output_has_no_name():
    text = np.empty((2, 2), object)
    text[:] = [["é😀".encode(), b"b"], [b"\xff", b""]]
    outputs = {"entity_text": text, "entity_count": np.array([2, 1], np.int32)}
    assert json.loads(write_answer(outputs, row=True)) == {
        "predictions": [{"entity_text": ["é😀", "b"], "entity_count": 2}, {"entity_text": ["�", ""], "entity_count": 1}]
    }
    assert json.loads(write_answer(outputs, row=False))["outputs"]["entity_count"] == [2, 1]
    scores = {"score": np.array([[0.2, 1.0]], np.float32)}
    assert write_answer(scores, row=True) == b'{"predictions":[[0.2,1.0]]}'
    assert write_answer(scores, row=False) == b'{"outputs":[[0.2,1.0]]}'


def test_a_row_without_columns_is_written_as_empty_lists():
    outputs = {"entity_text": np.empty((2, 0), object), "entity_count": np.zeros(2, np.int32)}
    assert json.loads(write_answer(outputs, row=True))["predictions"] == [{"entity_text": [], "entity_count": 0}] * 2


def test_floats_survive_the_shortest_decimals():
    numbers = np.random.default_rng(5).random((50, 40), np.float32) ** 9
    written = json.loads(write_answer({"score": numbers}, row=True))["predictions"]
    assert np.array_equal(np.array(written, np.float32), numbers)


def test_status_and_metadata_have_tensorflow_servings_shape():
    assert json.loads(write_status(3)) == {
        "model_version_status": [
            {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
        ]
    }
    assert json.loads(write_metadata("head", 3, {"pieces": {}})) == {
        "model_spec": {"name": "head", "signature_name": "", "version": "3"},
        "metadata": {"signature_def": {"signature_def": {"pieces": {}}}},
    }
