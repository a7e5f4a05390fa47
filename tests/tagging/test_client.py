"""Requests to a served model: which are sent again, how long, and how refusals are explained, in both APIs."""

import socket
from itertools import count

import pytest
from support.servers import Raw, raising, refused_by, sleeping

from tfner.tagging import client
from tfner.tagging.load import load_tagger
from tfner.tagging.served import ServedTagger

# --- temporary problems ------------------------------------------------------------------------------------------------


def test_a_request_to_a_busy_server_is_sent_again(address, backend):
    with load_tagger(address) as tagger:
        expected = tagger.tag("EU")
        backend.script = [
            ("UNAVAILABLE", "The batch scheduling queue is full"),
            ("RESOURCE_EXHAUSTED", "Run() timeout exceeded"),
        ]
        backend.asked.clear()
        assert tagger.tag("EU") == expected
        assert len(backend.asked) == 3


def test_a_server_that_stays_busy_is_an_error_after_a_few_tries(address, backend):
    with load_tagger(address) as tagger:
        backend.script = [("UNAVAILABLE", "The queue is full")] * 100
        backend.asked.clear()
        with refused_by("server_busy", address):
            tagger.tag("EU")
        assert len(backend.asked) == client.TRIES


def test_a_model_that_is_loading_is_waited_for(address, backend, monkeypatch):
    backend.states = {1: "LOADING"}
    status, calls = backend.status, count()

    def becoming_available(name):
        if next(calls) == 3:
            backend.states = {1: "AVAILABLE"}
        return status(name)

    monkeypatch.setattr(backend, "status", becoming_available)
    with load_tagger(address) as tagger:
        assert tagger.tag("") == []


def test_a_model_that_is_still_loading_at_the_deadline_is_an_error(address, backend):
    backend.states = {1: "LOADING"}
    with refused_by("server_model_loading", address):
        ServedTagger(address, deadline=0.3)


def test_a_slow_server_is_given_up_at_the_deadline(address, backend):
    with ServedTagger(address, deadline=0.5) as tagger:
        backend.script = [sleeping(1.5)]
        with refused_by(f"server_too_late_{address[:4]}", address):
            tagger.tag("EU")
        assert tagger.tag("") == []  # the next answer is not the late one


# --- a user's mistakes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["http://127.0.0.1:{}/v1/models/head", "grpc://127.0.0.1:{}/head"])
def test_a_server_that_does_not_run_is_an_error(form, monkeypatch):
    monkeypatch.setattr(client, "_FIRST_WAIT", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = form.format(listener.getsockname()[1])
    with pytest.raises(client.UserError) as caught:
        load_tagger(address)
    assert caught.value.path == address
    assert "refused" in caught.value.message
    assert caught.value.message.endswith("check host and port, and whether the server runs or is overloaded")


def test_a_model_that_the_server_does_not_have_is_named(address):
    address = address.replace("head", "tail")
    with refused_by("server_model_unknown", address):
        load_tagger(address)


def test_for_a_version_that_is_not_served_the_served_ones_are_named(address, backend):
    backend.states = {1: "AVAILABLE", 2: "AVAILABLE", 3: "END"}
    for version in (3, 7):
        with refused_by(f"server_version_{version}_unknown", f"{address}/versions/{version}"):
            load_tagger(f"{address}/versions/{version}")


def test_a_label_without_a_version_is_named(address):
    with refused_by("server_label_unknown", f"{address}/labels/latest"):
        load_tagger(f"{address}/labels/latest")
    with refused_by("server_label_without_served_version", f"{address}/labels/canary"):
        load_tagger(f"{address}/labels/canary")


def test_a_model_that_takes_only_word_pieces_is_refused(address, backend, monkeypatch):
    monkeypatch.setattr(backend, "signatures", {"pieces": backend.signatures["pieces"]})
    with refused_by("server_model_without_text", address):
        load_tagger(address)


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ((200, b"<html>hello</html>"), "server_answer_html"),
        ((404, b"<html>nothing here</html>"), "server_answer_html_404"),
        ((301, b""), "server_answer_redirects"),
        ((200, b'{"predictions": []}'), "server_answer_without_outputs"),
        ((200, b'{"outputs": {"label": ["x", "y"]}}'), "server_answer_with_other_outputs"),
        ((200, b"[]"), "server_answer_empty_list"),
        ((500, b'{"error": "OOM"}'), "server_failed"),
        ((400, b'{"error": "no such thing"}'), "server_refuses"),
    ],
)
def test_an_answer_that_is_not_a_prediction_is_quoted(rest, backend, raw, key):
    backend.script = [raising(Raw(*raw))]
    with refused_by(key, rest):
        load_tagger(rest)


def test_for_unpadded_batches_the_error_names_the_setting_of_tf_serving(rest, backend):
    with load_tagger(rest) as tagger:
        backend.script = [("FAILED_PRECONDITION", "Tensors ... have different shapes and padding is turned off. Set ...")]
        with refused_by("server_batches_unpadded", rest):
            tagger.tag_words(["EU"])
