"""HTTP connections of the local server: how many there are, and how long each may wait for a request.

Takes the limits of the server and returns the class of a connection, which uvicorn makes. Requests that have arrived are left
to `app`.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from tfner.serving.rest import Limits, write_error

MOST_HEADER = 1 << 16
"""The most bytes of a header."""
_LINGER = 1.0  # seconds


def connection(limits: Limits) -> type[asyncio.Protocol]:
    """The class of a connection, for uvicorn.

    A connection beyond `limits.connections` is answered with 503 and closed. One is closed, too, where a request has not
    arrived after `limits.seconds`: with 408 if its header has. A header above `MOST_HEADER` is answered with 400.
    """

    class Connection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # of httptools where that is installed, or else of h11
        """A connection with a deadline for each request."""

        _deadline: asyncio.TimerHandle | None = None
        _header = 0
        _refused = False

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                self._refuse(503, f"{limits.connections:,} connections are open, and no more are taken: ask again later")
            self._watch()

        def data_received(self, data: bytes) -> None:
            if self._refused:
                return
            super().data_received(data)
            self._header = self._header + len(data) if self._awaits_header() else 0
            if self._header > MOST_HEADER:
                self._refuse(400, f"Expected a header of at most {MOST_HEADER:,} bytes")
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._forget()

        def send_400_response(self, msg: str) -> None:
            self._refuse(400, msg)

        def _awaits_header(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _watch(self) -> None:
            if self._refused:
                return
            if not self._awaits_header() and not self.cycle.more_body:  # a request is being answered
                self._forget()
            elif not self._deadline:
                self._deadline = self.loop.call_later(limits.seconds, self._give_up)

        def _give_up(self) -> None:
            if self._awaits_header():
                self.transport.close()
            else:
                self._refuse(408, f"Expected the whole request within {limits.seconds:g} seconds: send it faster")

        def _forget(self) -> None:
            if self._deadline:
                self._deadline.cancel()
                self._deadline = None

        def _refuse(self, status: int, message: str) -> None:
            """Answers, and closes the connection a little later: a client that still sends could not read the answer."""
            body = write_error(message)
            line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\nconnection: close\r\n"
            self.transport.write(f"{line}content-length: {len(body)}\r\n\r\n".encode() + body)
            self.transport.write_eof()
            self._refused = True
            self.connections.discard(self)  # it takes no place from others
            self._forget()
            self._deadline = self.loop.call_later(_LINGER, self.transport.close)

    return Connection
