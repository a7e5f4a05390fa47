"""Connections that a client keeps without a request, opens by the hundred, or sends into without end."""

import contextlib
import http.client
import json
import socket
import time
from urllib.parse import urlsplit

import pytest
from support.local_server import ThreadServer

from tfner.serving.rest import Limits

LIMITS = Limits(body=1000, seconds=1.0, connections=5)


@pytest.fixture(scope="module")
def strict(servables):
    """A server with small limits."""
    with ThreadServer(servables[:1], limits=LIMITS) as running:
        yield running


def connect(server):
    connection = socket.create_connection(urlsplit(server.address).netloc.split(":"), timeout=20)
    return contextlib.closing(connection)


def answer(connection):
    """Status and JSON of the answer, which ends the connection, and the seconds until then."""
    began, data = time.monotonic(), b""
    while block := connection.recv(65536):
        data += block
    header, _, body = data.partition(b"\r\n\r\n")
    return int(header.split()[1]) if header else None, json.loads(body or b"{}"), time.monotonic() - began


HEADER = b"POST /v1/models/one:predict HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize("sent", [b"", b"POST /v1", HEADER])
def test_a_connection_without_a_whole_header_is_closed(strict, sent):
    with connect(strict) as connection:
        connection.sendall(sent)
        status, _, seconds = answer(connection)
    assert status is None
    assert seconds >= 0.9 * LIMITS.seconds


@pytest.mark.parametrize(
    ("begin", "line", "error"),
    [
        (HEADER, b"X: " + b"x" * 1021 + b"\r\n", "Expected a header of at most 65,536 bytes"),
        (HEADER + b"X: ", b"x" * 1024, "Expected a header of at most 65,536 bytes"),
        (b"", b"no HTTP\r\n\r\n", "Invalid HTTP request received."),
    ],
)
def test_a_header_that_never_ends_or_is_none_is_refused(strict, begin, line, error):
    with connect(strict) as connection:
        connection.sendall(begin)
        with contextlib.suppress(ConnectionError):
            for _ in range(80):
                connection.sendall(line)
        status, found, _ = answer(connection)
    assert (status, found) == (400, {"error": error})


def test_a_body_that_stops_half_way_is_a_408(strict):
    with connect(strict) as connection:
        connection.sendall(HEADER + b"Content-Length: 100\r\n\r\n{")
        status, found, _ = answer(connection)
    assert status == 408
    assert found == {"error": "Expected the whole request within 1 seconds: send it faster"}


def test_a_body_without_end_is_a_413(strict):
    with connect(strict) as connection:
        connection.sendall(HEADER + b"Transfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(17):
                connection.sendall(b"3e8\r\n" + b" " * 1000 + b"\r\n")
        status, found, _ = answer(connection)
    assert status == 413
    assert found == {"error": "Expected a request of at most 1,000 bytes, got more than 16,000: send less text at once"}


def test_connections_beyond_the_limit_are_a_503_until_others_end(strict):
    with contextlib.ExitStack() as stack:
        for _ in range(LIMITS.connections):
            stack.enter_context(connect(strict))
        time.sleep(0.2)
        for sent in (b"", HEADER + b"Content-Length: 100000\r\n\r\n" + b" " * 100_000):
            with connect(strict) as connection:
                connection.sendall(sent)
                status, found, _ = answer(connection)
            assert status == 503
            assert found == {"error": "5 connections are open, and no more are taken: ask again later"}
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(AssertionError, http.client.HTTPException, OSError):
            assert strict.ask("/v1/models/one")[0] == 200
            return
    raise AssertionError("the server takes no connections after others have ended")


def test_a_connection_is_kept_for_more_requests_than_a_header_may_take_seconds(strict):
    with contextlib.closing(http.client.HTTPConnection(urlsplit(strict.address).netloc)) as connection:
        for _ in range(4):
            connection.request("POST", "/v1/models/one:predict", json.dumps({"instances": ["Peter"]}))
            assert connection.getresponse().read().startswith(b'{"predictions"')
            socket_before = connection.sock
            time.sleep(0.4)
        assert connection.sock is socket_before


@pytest.mark.parametrize(("path", "status"), [(b"/v1/models/none:predict", 404), (b"/v1/models/one", 400), (b"/", 405)])
def test_a_large_body_that_nothing_reads_is_answered_once(server, path, status):
    with connect(server) as connection:
        connection.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            connection.sendall(b" " * 200_000)
        data = b""
        with contextlib.suppress(ConnectionError):
            while block := connection.recv(65536):
                data += block
    assert data.count(b"HTTP/1.1 ") == 1
    assert data.startswith(b"HTTP/1.1 %d " % status)
