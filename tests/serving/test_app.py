"""The server from outside: TensorFlow Serving's REST API over real exports, merging, limits, and what a user can get wrong."""

import dataclasses
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from support.local_server import Server, exported, same

from tfner import serve
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
def folders(tmp_path_factory):
    """Folders of two exported models with raw text, and of one with word pieces only."""
    base = tmp_path_factory.mktemp("models")
    one, pieces_only = exported(base / "one"), exported(base / "bpe", "roberta")
    return [one, Path(shutil.copytree(one, base / "zwei drei")), pieces_only]


@pytest.fixture(scope="session")
def server(folders):
    with Server(*folders) as running:
        yield running


@pytest.fixture(scope="session")
def small(folders):
    """A server with little room."""
    with Server(folders[0], "--batch-texts", "3", "--batch-bytes", "60", "--max-waiting", "50") as running:
        yield running


@pytest.fixture(scope="session")
def alone(server):
    """What each text gets when it is asked alone."""
    return [server.predict("one", [text])[0] for text in TEXTS]


def trimmed(prediction):
    """A prediction without the columns that it does not fill."""
    cut = {}
    for name, value in prediction.items():
        count = prediction["entity_count"] if name.startswith("entity") else prediction["word_count"]
        cut[name] = value[:count] if isinstance(value, list) else value
    return cut


# --- what is answered --------------------------------------------------------------------------------------------------


def test_it_says_what_it_serves_and_where(server):
    assert server.lines[:3] == [
        "model one, version 1",
        "model zwei drei, version 1",
        "model bpe, version 1, word pieces only",
    ]
    assert f"REST  {server.address}v1/models/one:predict" in server.lines


def test_status_of_a_model_and_of_its_version(server):
    expected = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("/v1/models/one", "/v1/models/one/versions/1", "/v1/models/zwei%20drei"):
        assert server.ask(path) == (200, {"model_version_status": [expected]})


def test_metadata_describes_the_signatures_as_tensorflow_serving_does(server):
    status, value = server.ask("/v1/models/one/versions/1/metadata")
    assert status == 200
    assert value["model_spec"] == {"name": "one", "signature_name": "", "version": "1"}
    signatures = value["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "words", "pieces"} <= signatures.keys()
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"
    text = signatures["serving_default"]["inputs"]["text"]
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
    assert labels[0].keys() == {"label", "score"}
    assert [len(row["label"]) for row in labels] == [4, 4]
    body = {"signature_name": "pieces", "inputs": {"input_ids": [[2, 9, 3]], "attention_mask": [[1, 1, 1]]}}
    for model in ("one", "bpe"):
        status, answer = server.ask(f"/v1/models/{model}:predict", body)
        assert status == 200
        assert np.shape(answer["outputs"]) == (1, 3, 9)
        assert np.allclose(np.sum(answer["outputs"], -1), 1, atol=1e-5)


def test_a_tagger_of_its_address_gives_what_a_local_one_gives(server, folders):
    served = load_tagger(f"{server.address}v1/models/one").tag_many(TEXTS)
    for one, other in zip(load_tagger(folders[0]).tag_many(TEXTS), served, strict=True):
        assert [dataclasses.replace(e, score=0) for e in one] == [dataclasses.replace(e, score=0) for e in other]
        assert [e.score for e in one] == pytest.approx([e.score for e in other], abs=1e-4)


def test_models_are_listed_for_the_page(server):
    assert server.ask("/models")[1]["models"] == [
        {"name": "one", "version": "1", "takes_text": True},
        {"name": "zwei drei", "version": "1", "takes_text": True},
        {"name": "bpe", "version": "1", "takes_text": False},
    ]


def test_the_page_comes_with_a_strict_policy(server):
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


def test_concurrent_requests_get_what_each_would_get_alone(server, alone):
    generator = np.random.default_rng(2)
    picks = [generator.integers(0, len(TEXTS), generator.integers(1, 5)).tolist() for _ in range(120)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda pick: server.predict("one", [TEXTS[i] for i in pick]), picks))
    for pick, rows in zip(picks, answers, strict=True):
        for kind in ("entity", "word"):
            most = max(alone[i][f"{kind}_count"] for i in pick)
            assert {len(row[f"{kind}_text"]) for row in rows} == {most}  # padded to its own longest row, not another's
        for i, row in zip(pick, rows, strict=True):
            same(trimmed(row), trimmed(alone[i]))


def test_one_bad_request_among_others_fails_alone(server, alone):
    bad = {"signature_name": "pieces", "inputs": {"input_ids": [[10**6]], "attention_mask": [[1]]}}
    good = {"signature_name": "pieces", "inputs": {"input_ids": [[9]], "attention_mask": [[1]]}}
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda body: server.ask("/v1/models/one:predict", body), [bad, good] * 12))
    assert {status for status, _ in answers[1::2]} == {200}
    assert {status for status, _ in answers[::2]} == {400}
    assert "error" in answers[0][1]


def test_many_texts_are_answered_in_parts(small):
    rows = small.predict("one", TEXTS)
    for text, row in zip(TEXTS, rows, strict=True):
        same(trimmed(row), trimmed(small.predict("one", [text])[0]))


# --- what is refused, with the server still up --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v1/models/two", 404, "Could not find any versions of model two; there is one, zwei drei, bpe"),
        ("GET", "/v1/models/two/metadata", 404, "Servable not found for request: Latest(two); there is one, zwei drei, bpe"),
        ("GET", "/v1/models/one/versions/2", 404, "Could not find version 2 of model one; version 1 is loaded"),
        (
            "POST",
            "/v1/models/one/versions/2:predict",
            404,
            "Servable not found for request: Specific(one, 2); version 1 is loaded",
        ),
        ("GET", "/v1/models/one/labels/new", 400, "Unrecognized servable version label: new; this server has versions only"),
        ("GET", "/v1/models/one:predict", 400, f"Malformed request: GET /v1/models/one:predict; expected {EXPECTED}"),
        ("POST", "/v1/models/one", 400, f"Malformed request: POST /v1/models/one; expected {EXPECTED}"),
        ("POST", "/v1/models/one:classify", 400, f"Malformed request: POST /v1/models/one:classify; expected {EXPECTED}"),
        ("DELETE", "/v1/models/one", 400, f"Malformed request: DELETE /v1/models/one; expected {EXPECTED}"),
        ("GET", "/v1/models", 400, f"Malformed request: GET /v1/models; expected {EXPECTED}"),
        ("GET", "/v2/models", 404, f"Not Found: GET /v2/models; expected {EXPECTED}"),
        ("POST", "/", 405, f"Method Not Allowed: POST /; expected {EXPECTED}"),
    ],
)
def test_a_wrong_address_or_method_is_told_what_there_is(server, method, path, status, message):
    assert server.ask(path, b"{}" if method == "POST" else None, method) == (status, {"error": message})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error"),
        (b"{", "JSON Parse error"),
        (b'{"instances": ["\xff"]}', "not UTF-8"),
        (b'{"instances": ["\\ud800"]}', "lone surrogate"),
        (b'{"instances": ["\\udc00 \\ud83d"]}', "lone surrogate"),
        ({}, "Expected one of the keys"),
        ({"instances": [1]}, "expected a string"),
        ({"instances": [None]}, "expected a string"),
        ({"instances": [{"words": "x"}]}, "Expected an object with 'text'"),
        ({"inputs": {}}, "Expected 'inputs' to be an object with 'text'"),
        ({"instances": ["x"], "signature_name": "tag"}, 'Serving signature name: "tag" not found'),
        ({"instances": ["x"] * 10_000}, "at most 5,000 rows a request, got 10,000"),
        ({"instances": ["x" * 200_000]}, "at most 100,000 characters, got 200,000"),
    ],
)
def test_a_bad_body_is_a_400_that_says_why(server, body, message):
    status, answer = server.ask("/v1/models/one:predict", body)
    assert status == 400
    assert message in answer["error"]
    assert answer.keys() == {"error"}


def test_a_body_of_5_mb_is_a_413(server):
    status, answer = server.ask("/v1/models/one:predict", {"instances": ["Nice " * 10**6]})
    assert status == 413
    assert answer["error"] == "Expected a request of at most 4,194,304 bytes, got 5,000,019: send less text at once"


def test_bytes_that_are_no_text_do_not_end_the_server(server):
    status, answer = server.ask("/v1/models/one:predict", {"instances": [{"b64": "//79AGE="}, "Nice"]})
    assert status in (200, 400), answer
    same(*server.predict("one", ["Nice", "Nice"]))


def test_a_model_without_raw_text_says_which_signatures_it_has(server):
    status, answer = server.ask("/v1/models/bpe:predict", {"instances": ["x"]})
    assert status == 400
    assert answer["error"] == 'Serving signature name: "serving_default" not found in signature def; there is pieces'


def test_a_client_that_goes_away_harms_nobody(server):
    host, port = urlsplit(server.address).netloc.split(":")
    for sent in (
        b"POST /v1/models/one:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"\x16\x03\x01 no HTTP\r\n\r\n",
    ):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(sent)
    assert server.ask("/v1/models/one")[0] == 200


def test_more_than_can_wait_is_refused_with_503_and_the_rest_is_answered(small):
    body = {"instances": TEXTS * 5}
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: small.ask("/v1/models/one:predict", body), range(24)))
    assert {status for status, _ in answers} == {200, 503}
    refused = next(answer for status, answer in answers if status == 503)
    assert "ask again later" in refused["error"]
    assert small.ask("/v1/models/one:predict", body)[0] == 200


def test_the_server_answers_others_while_a_model_works(server):
    busy = threading.Thread(target=lambda: server.predict("one", ["Peter Blackburn said in Nice. " * 50] * 400))
    busy.start()
    answered = 0
    while busy.is_alive():
        assert server.ask("/v1/models/one")[0] == 200
        answered += 1
    assert answered > 1


# --- a start that fails -------------------------------------------------------------------------------------------------


def refused(capsys, *argv):
    """Starts a server that has to refuse: exit code 2, one line on standard error; returns that line."""
    assert serve.main([*map(str, argv)]) == 2
    output = capsys.readouterr()
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    return output.err


def test_a_folder_that_is_no_export_is_refused(capsys, tmp_path):
    assert "no such folder" in refused(capsys, tmp_path / "none", "--port", 0)
    (tmp_path / "thesis.tex").write_text("x")
    assert "found thesis.tex" in refused(capsys, tmp_path, "--port", 0)


def test_a_saved_model_of_something_else_is_refused(capsys, tmp_path):
    import tensorflow as tf

    module = tf.Module()
    double = tf.function(lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec((None,), tf.float32, "x")])
    tf.saved_model.save(module, str(tmp_path / "other" / "1"), signatures={"serving_default": double})
    assert "expected an export of tfner, with the signature pieces" in refused(capsys, tmp_path / "other", "--port", 0)


def test_damaged_files_are_refused(capsys, folders, tmp_path):
    for name, keep in (
        ("variables/variables.data-00000-of-00001", 100),
        ("variables/variables.index", 10),
        ("saved_model.pb", 999),
    ):
        folder = shutil.copytree(folders[0] / "1", tmp_path / name.replace("/", "-") / "1")
        (folder / name).write_bytes((folder / name).read_bytes()[:keep])
        assert "the SavedModel cannot be loaded" in refused(capsys, folder, "--port", 0)


def test_two_models_of_one_name_are_refused(capsys, folders, tmp_path):
    shutil.copytree(folders[0] / "1", tmp_path / "one" / "1")
    message = refused(capsys, folders[0], tmp_path / "one", "--port", 0)
    assert "is named one as well: rename a folder" in message


def test_the_latest_version_is_served_until_ctrl_c(folders, tmp_path):
    for number in ("2", "10"):
        shutil.copytree(folders[0] / "1", tmp_path / "one" / number)
    with Server(tmp_path / "one") as running:
        assert running.ask("/v1/models/one")[1]["model_version_status"][0]["version"] == "10"
        assert running.ask("/v1/models/one/versions/2")[0] == 404
        running.predict("one", ["x"])
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(60) == 0
        assert running.process.stderr.read() == ""


def test_a_port_in_use_is_refused(capsys, folders):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused(capsys, folders[0], "--port", port)
    assert f"--port {port}: cannot listen there (Address already in use): choose another port" in message


def test_answers_are_sent_without_delay():
    with serve._listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # what asyncio goes by


@pytest.mark.parametrize("flags", [["--port", "99999"], ["--host", "no such host"]])
def test_an_address_that_is_none_is_refused(capsys, folders, flags):
    assert "cannot listen there" in refused(capsys, folders[0], *flags)


def test_without_the_extra_the_message_says_how_to_get_it(tmp_path):
    (tmp_path / "starlette.py").write_text("raise ModuleNotFoundError('No module named starlette', name='starlette')")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from tfner import serve; sys.exit(serve.main(['x']))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == "error: the server needs starlette, which is not installed: pip install -e '.[serve]'\n"


def test_limits_of_flags_are_checked(capsys):
    with pytest.raises(SystemExit) as caught:
        serve.main(["x", "--max-texts", "0"])
    assert caught.value.code == 2
    assert "expected a whole number of at least 1, got '0'" in capsys.readouterr().err


def test_json_is_utf_8_and_scores_are_short(server):
    host = urlsplit(server.address).netloc
    connection = http.client.HTTPConnection(host)
    connection.request("POST", "/v1/models/one:predict", json.dumps({"instances": ["é😀 Peter"]}))
    raw = connection.getresponse().read()
    assert "é".encode() in raw
    assert len(str(json.loads(raw)["predictions"][0]["word_score"][0])) <= 12
