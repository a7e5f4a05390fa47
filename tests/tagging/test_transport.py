"""Connections to a server: when they stay open, when they are closed, and when one read too many is given up."""

import builtins
import socket
import threading

import pytest
from support.errors import refused
from support.servers import Raw, raising, refused_by

from tfner.contract import TEXT
from tfner.tagging.address import Address
from tfner.tagging.load import load_tagger
from tfner.tagging.served import ServedTagger
from tfner.tagging.transport import INVALID, NOT_FOUND, TOO_LARGE, UNAVAILABLE, Refusal, connect


def test_a_signature_is_called_and_its_outputs_are_lists(address):
    transport = connect(Address.parse(address))
    outputs = transport.predict(TEXT.name, "text", ["EU rejects", "Nice"], 30)
    assert outputs.keys() == TEXT.outputs.keys()
    assert outputs["word_text"] == [["EU", "rejects"], ["Nice", ""]]
    assert outputs["word_count"] == [2, 1]
    assert transport.states(30) == {1: "AVAILABLE"}
    transport.close()


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        ("UNAVAILABLE", "x", UNAVAILABLE),
        ("NOT_FOUND", "x", NOT_FOUND),
        ("INVALID_ARGUMENT", "x", INVALID),
        ("INVALID_ARGUMENT", "Task size 9 is larger than maximum input batch size 8", TOO_LARGE),
        ("INVALID_ARGUMENT", "expected at most 5,000 rows per request, got 6,000", TOO_LARGE),
    ],
)
def test_both_apis_refuse_with_the_same_kinds(address, backend, status, message, kind):
    backend.script = [(status, message)]
    transport = connect(Address.parse(address))
    with pytest.raises(Refusal) as caught:
        transport.predict(TEXT.name, "text", ["EU"], 30)
    assert caught.value.kind == kind
    assert message in str(caught.value)
    transport.close()


def test_all_requests_of_a_thread_share_a_connection(address, backend):
    with load_tagger(address) as tagger:
        for _ in range(5):
            tagger.tag("EU")
        assert len({peer for _, _, peer in backend.asked}) == 1


def test_a_connection_that_is_dropped_is_opened_again(rest, backend):
    with load_tagger(rest) as tagger:
        expected = tagger.tag("EU")
        backend.script = [raising(Raw())] * 2
        assert tagger.tag("EU") == expected


def test_closing_closes_the_connections_of_all_threads(rest):
    transport = connect(Address.parse(rest))
    threads = [threading.Thread(target=transport.predict, args=(TEXT.name, "text", ["EU"], 30)) for _ in range(3)]
    held = []
    add = transport._connections.add
    transport._connections.add = lambda connection: (held.append(connection), add(connection))
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(held) == 3
    assert all(connection.sock for connection in held)
    transport.close()
    assert not any(connection.sock for connection in held)


def test_closing_closes_the_grpc_channel(servers, backend):
    transport = connect(Address.parse(servers["grpc"].address))
    transport.predict(TEXT.name, "text", ["EU"], 30)
    transport.close()
    with pytest.raises(ValueError, match="closed channel"):
        transport.predict(TEXT.name, "text", ["EU"], 30)


def test_a_server_that_sends_byte_by_byte_is_given_up_at_the_deadline():
    listener = socket.create_server(("127.0.0.1", 0))

    def drip():
        connection, _ = listener.accept()
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        try:
            while True:
                connection.sendall(b" ")
                threading.Event().wait(0.1)
        except OSError:
            pass

    threading.Thread(target=drip, daemon=True).start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/models/head"
    with refused_by("server_too_late_http", address):
        ServedTagger(address, deadline=0.5)


def test_a_host_that_can_have_no_such_name_is_unavailable():
    with pytest.raises(Refusal) as caught:
        connect(Address.parse("http://a..b:8501/v1/models/head")).states(5)
    assert caught.value.kind == UNAVAILABLE


def test_without_grpc_the_error_says_how_to_install_it(monkeypatch):
    original = builtins.__import__

    def without(name, *arguments):
        if name == "grpc":
            raise ImportError("No module named 'grpc'")
        return original(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with refused("grpc_not_installed", path="grpc://host:8500/head"):
        load_tagger("grpc://host:8500/head")
