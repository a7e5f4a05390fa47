"""The application from outside: TensorFlow Serving's REST API over real exports, merging, limits, and invalid requests."""

import dataclasses
import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np
import pytest
from support.local_server import ThreadServer, same

from tfner.contract import SIGNATURES, TEXT
from tfner.serving.microbatch import Batching
from tfner.tagging.load import load_tagger

TEXTS = [
    "Peter Blackburn said in Nice.",
    "EU rejects German call to boycott British lamb.",
    "",
    "😀 Nice, 🇫🇷 Peter é Unice",
    "unbelievables " * 30,
    "x",
    "   \n ",
    "Nice " * 7 + "x y z",
]
EXPECTED = "GET /v1/models/NAME[/versions/N][/metadata] or POST /v1/models/NAME[/versions/N]:predict"


@pytest.fixture(scope="session")
def small(servables):
    """A server with small calls and a short queue."""
    with ThreadServer(servables[:1], batching=Batching(rows=3, size=60, waiting=50)) as running:
        yield running


@pytest.fixture(scope="session")
def alone(server):
    """The prediction for each text in a request of its own."""
    return [server.predict("one", [text])[0] for text in TEXTS]


def trimmed(prediction):
    """A prediction without the columns of padding."""
    cut = {}
    for name, value in prediction.items():
        count = prediction["entity_count"] if name.startswith("entity") else prediction["word_count"]
        cut[name] = value[:count] if isinstance(value, list) else value
    return cut


# --- answers --------------------------------------------------------------------------------------------------


def test_status_of_a_model_and_of_its_version(server):
    expected = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("/v1/models/one", "/v1/models/one/versions/1", "/v1/models/%3Cb%3Ezwei%20drei%3C"):
        assert server.ask(path) == (200, {"model_version_status": [expected]})


def test_metadata_describes_the_signatures_as_tensorflow_serving_does(server):
    status, value = server.ask("/v1/models/one/versions/1/metadata")
    assert status == 200
    assert value["model_spec"] == {"name": "one", "signature_name": "", "version": "1"}
    signatures = value["metadata"]["signature_def"]["signature_def"]
    assert {signature.name for signature in SIGNATURES} <= signatures.keys()
    assert signatures[TEXT.name]["method_name"] == "tensorflow/serving/predict"
    text = signatures[TEXT.name]["inputs"]["text"]
    assert text["dtype"] == "DT_STRING"
    assert text["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}


def test_an_answer_holds_the_entities_and_words_of_each_text(server):
    for text, row in zip(TEXTS, server.predict("one", TEXTS), strict=True):
        row = trimmed(row)
        assert row["entity_count"] == len(row["entity_type"]) == len(row["entity_score"])
        for start, end, found in zip(row["entity_start"], row["entity_end"], row["entity_text"], strict=True):
            assert text[start:end] == found
        for start, end, word in zip(row["word_start"], row["word_end"], row["word_text"], strict=True):
            assert text[start:end] == word
    assert any(row["entity_count"] for row in server.predict("one", TEXTS))


def test_row_and_column_form_agree(server):
    rows = server.predict("one", TEXTS)
    status, answer = server.ask("/v1/models/one/versions/1:predict", {"inputs": {"text": TEXTS}})
    assert status == 200
    for number, row in enumerate(rows):
        same(row, {name: values[number] for name, values in answer["outputs"].items()})


def test_other_signatures_are_answered(server):
    words = [["Peter", "Blackburn", "said", ""], ["Nice", "", "", ""]]
    labels = server.predict("one", words, "words")
    assert labels[0].keys() == {"label", "score", "accepted"}
    assert [len(row["label"]) for row in labels] == [4, 4]
    body = {"signature_name": "pieces", "inputs": {"input_ids": [[2, 9, 3]], "attention_mask": [[1, 1, 1]]}}
    for model in ("one", "bpe"):
        status, answer = server.ask(f"/v1/models/{model}:predict", body)
        assert status == 200
        assert np.shape(answer["outputs"]) == (1, 3, 9)
        assert np.allclose(np.sum(answer["outputs"], -1), 1, atol=1e-5)


def test_a_tagger_with_its_address_finds_what_a_local_one_finds(server, folders):
    served = load_tagger(f"{server.address}v1/models/one").tag_many(TEXTS)
    for one, other in zip(load_tagger(folders[0]).tag_many(TEXTS), served, strict=True):
        assert [dataclasses.replace(e, score=0) for e in one] == [dataclasses.replace(e, score=0) for e in other]
        assert [e.score for e in one] == pytest.approx([e.score for e in other], abs=1e-4)


def test_the_page_can_list_the_models(server):
    assert server.ask("/models")[1]["models"] == [
        {"name": "one", "version": "1", "takes_text": True, "tasks": ["ner"]},
        {"name": "<b>zwei drei<", "version": "1", "takes_text": True, "tasks": ["ner"]},
        {"name": "bpe", "version": "1", "takes_text": False, "tasks": ["ner"]},
    ]


def test_the_page_is_sent_with_a_strict_policy(server):
    connection = http.client.HTTPConnection(urlsplit(server.address).netloc)
    connection.request("GET", "/")
    response = connection.getresponse()
    assert response.status == 200
    assert response.getheader("content-type").startswith("text/html")
    policy = response.getheader("content-security-policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    page = response.read().decode()
    assert "http://" not in page
    assert "https://" not in page
    assert "innerHTML" not in page


# --- merging -----------------------------------------------------------------------------------------------------------


def test_each_of_many_concurrent_requests_gets_the_answer_that_it_gets_alone(server, alone):
    generator = np.random.default_rng(2)
    picks = [generator.integers(0, len(TEXTS), generator.integers(1, 5)).tolist() for _ in range(120)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda pick: server.predict("one", [TEXTS[i] for i in pick]), picks))
    for pick, rows in zip(picks, answers, strict=True):
        for kind in ("entity", "word"):
            most = max(alone[i][f"{kind}_count"] for i in pick)
            assert {len(row[f"{kind}_text"]) for row in rows} == {most}  # padded to the longest row of the same request
        for i, row in zip(pick, rows, strict=True):
            same(trimmed(row), trimmed(alone[i]))


def test_an_invalid_request_among_others_fails_alone(server, alone):
    bad = {"signature_name": "pieces", "inputs": {"input_ids": [[10**6]], "attention_mask": [[1]]}}
    good = {"signature_name": "pieces", "inputs": {"input_ids": [[9]], "attention_mask": [[1]]}}
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda body: server.ask("/v1/models/one:predict", body), [bad, good] * 12))
    assert {status for status, _ in answers[1::2]} == {200}
    assert {status for status, _ in answers[::2]} == {400}
    assert "error" in answers[0][1]


def test_a_request_with_many_texts_is_answered_in_parts(small):
    rows = small.predict("one", TEXTS)
    for text, row in zip(TEXTS, rows, strict=True):
        same(trimmed(row), trimmed(small.predict("one", [text])[0]))


def test_an_answer_whose_padding_is_too_large_is_a_413_and_the_tagger_asks_for_less(servables, server, alone):
    texts = [TEXTS[4], *["Nice"] * 30]
    (nice,) = server.predict("one", ["Nice"])
    with ThreadServer(servables[:1], batching=Batching(values=500)) as limited:
        status, answer = limited.ask("/v1/models/one:predict", {"instances": texts})
        assert status == 413
        assert "Expected an answer of at most 500 values" in answer["error"]
        found = [len(entities) for entities in load_tagger(f"{limited.address}v1/models/one").tag_many(texts)]
    assert found == [alone[4]["entity_count"], *[nice["entity_count"]] * 30]


# --- invalid requests --------------------------------------------------------------------------


HAS = "this server has one, <b>zwei drei<, bpe"
LABEL = "Unrecognized servable version label: new; this server has versions, but no labels"


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v1/models/two", 404, f"Could not find any versions of model two; {HAS}"),
        (
            "GET",
            "/v1/models/two/metadata",
            404,
            f"Servable not found for request: Latest(two); {HAS}",
        ),
        ("GET", "/v1/models/one/versions/2", 404, "Could not find version 2 of model one; version 1 is loaded"),
        (
            "POST",
            "/v1/models/one/versions/2:predict",
            404,
            "Servable not found for request: Specific(one, 2); version 1 is loaded",
        ),
        (
            "GET",
            "/v1/models/one/labels/new",
            400,
            "Unrecognized servable version label: new; this server has versions, but no labels",
        ),
        ("GET", "/v1/models/one:predict", 400, f"Malformed request: GET /v1/models/one:predict; expected {EXPECTED}"),
        ("POST", "/v1/models/one", 400, f"Malformed request: POST /v1/models/one; expected {EXPECTED}"),
        ("POST", "/v1/models/one:classify", 400, f"Malformed request: POST /v1/models/one:classify; expected {EXPECTED}"),
        ("DELETE", "/v1/models/one", 400, f"Malformed request: DELETE /v1/models/one; expected {EXPECTED}"),
        ("GET", "/v1/models", 400, f"Malformed request: GET /v1/models; expected {EXPECTED}"),
        ("GET", "/v2/models", 404, f"Not Found: GET /v2/models; expected {EXPECTED}"),
        ("POST", "/", 405, f"Method Not Allowed: POST /; expected {EXPECTED}"),
    ],
)
def test_an_error_about_a_path_or_method_says_what_the_server_has(server, method, path, status, message):
    assert server.ask(path, b"{}" if method == "POST" else None, method) == (status, {"error": message})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error"),
        (b"{", "JSON Parse error"),
        (b'{"instances": ["\xff"]}', "not UTF-8"),
        (b'{"instances": ["\\ud800"]}', "surrogate in string"),
        (b'{"instances": ["\\udc00 \\ud83d"]}', "surrogate in string"),
        ({}, "Expected one of the keys"),
        ({"instances": [1]}, "expected a string"),
        ({"instances": [None]}, "expected a string"),
        ({"instances": [{"words": "x"}]}, "Expected an object with 'text'"),
        ({"inputs": {}}, "Expected 'inputs' to be an object with 'text'"),
        ({"instances": ["x"], "signature_name": "tag"}, 'Serving signature name: "tag" not found'),
        ({"instances": ["x"] * 10_000}, "at most 5,000 rows per request, got 10,000"),
        ({"instances": ["x" * 200_000]}, "at most 100,000 characters, got 200,000"),
    ],
)
def test_an_invalid_body_is_a_400_with_the_reason(server, body, message):
    status, answer = server.ask("/v1/models/one:predict", body)
    assert status == 400
    assert message in answer["error"]
    assert answer.keys() == {"error"}


def test_a_body_of_5_mb_is_a_413(server):
    status, answer = server.ask("/v1/models/one:predict", {"instances": ["Nice " * 10**6]})
    assert status == 413
    assert answer["error"] == "Expected a request of at most 4,194,304 bytes, got 5,000,019: send less text at once"


def test_bytes_that_are_not_text_do_not_stop_the_server(server):
    status, answer = server.ask("/v1/models/one:predict", {"instances": [{"b64": "//79AGE="}, "Nice"]})
    assert status in (200, 400), answer
    same(*server.predict("one", ["Nice", "Nice"]))


def test_for_a_model_without_raw_text_the_error_names_its_signatures(server):
    status, answer = server.ask("/v1/models/bpe:predict", {"instances": ["x"]})
    assert status == 400
    assert answer["error"] == 'Serving signature name: "serving_default" not found in signature def; the model has pieces'


def test_a_client_that_disconnects_does_not_affect_others(server):
    host, port = urlsplit(server.address).netloc.split(":")
    for sent in (
        b"POST /v1/models/one:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"\x16\x03\x01 no HTTP\r\n\r\n",
    ):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(sent)
    assert server.ask("/v1/models/one")[0] == 200


def test_requests_beyond_the_queue_are_a_503_and_the_others_are_answered(small):
    body = {"instances": TEXTS * 5}
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: small.ask("/v1/models/one:predict", body), range(24)))
    assert {status for status, _ in answers} == {200, 503}
    refused = next(answer for status, answer in answers if status == 503)
    assert "ask again later" in refused["error"]
    assert small.ask("/v1/models/one:predict", body)[0] == 200


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_model_whose_thread_has_ended_is_unhealthy_and_refuses_at_once(servables):
    def ends(signature, inputs):
        raise SystemExit("out of threads")

    with ThreadServer([dataclasses.replace(servables[0], call=ends)]) as server:
        expected = "the model has stopped (SystemExit: out of threads): start the server again"
        for _ in range(2):
            assert server.ask("/v1/models/one:predict", {"instances": ["Peter"]}) == (503, {"error": expected})
        (found,) = server.ask("/v1/models/one")[1]["model_version_status"]
    assert found["state"] == "END"
    assert found["status"] == {"error_code": "INTERNAL", "error_message": "SystemExit: out of threads"}


def test_a_score_that_is_not_a_number_is_an_error_not_an_answer(servables):
    def broken(signature, inputs):
        outputs = servables[0].call(signature, inputs)
        return outputs | {"word_score": np.full_like(outputs["word_score"], np.nan)}

    with ThreadServer([dataclasses.replace(servables[0], call=broken)]) as server:
        status, answer = server.ask("/v1/models/one:predict", {"instances": ["Peter"]})
    assert status == 500
    assert answer == {"error": "The model returned a number that is not finite: train it again, or serve another version"}


def test_the_server_answers_while_a_model_is_busy(server):
    busy = threading.Thread(target=lambda: server.predict("one", ["Peter Blackburn said in Nice. " * 50] * 400))
    busy.start()
    answered = 0
    while busy.is_alive():
        assert server.ask("/v1/models/one")[0] == 200
        answered += 1
    assert answered > 1


def test_json_is_utf_8_and_scores_are_short(server):
    host = urlsplit(server.address).netloc
    connection = http.client.HTTPConnection(host)
    connection.request("POST", "/v1/models/one:predict", json.dumps({"instances": ["é😀 Peter"]}))
    raw = connection.getresponse().read()
    assert "é".encode() in raw
    assert len(str(json.loads(raw)["predictions"][0]["word_score"][0])) <= 12
