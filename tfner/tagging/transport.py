"""Sends one request to a server with TF Serving's REST or gRPC API.

Takes the input of a signature and returns its outputs as lists, or raises a `Refusal`, whose kinds are the same for both APIs.
`client` sends a request again where that helps. REST needs only the standard library.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import threading
import time
import weakref
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote

from tfner.errors import UserError, one_line
from tfner.tagging.address import Address

UNAVAILABLE, NOT_FOUND, TOO_LARGE, TOO_LATE = "unavailable", "not found", "too large", "too late"
INVALID, FAILED, FOREIGN = "invalid", "failed", "foreign"  # foreign: the answer does not come from TF Serving
_HTTP = {400: INVALID, 404: NOT_FOUND, 413: TOO_LARGE, 429: UNAVAILABLE, 502: UNAVAILABLE, 503: UNAVAILABLE, 504: TOO_LATE}
_GRPC = {"UNAVAILABLE": UNAVAILABLE, "RESOURCE_EXHAUSTED": UNAVAILABLE, "NOT_FOUND": NOT_FOUND, "DEADLINE_EXCEEDED": TOO_LATE}
_GRPC |= {"INVALID_ARGUMENT": INVALID, "FAILED_PRECONDITION": INVALID, "UNIMPLEMENTED": FOREIGN}
_STATES = ("UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END")  # of a version, as TF Serving names them


class Refusal(Exception):
    """A request that was not answered. `kind` is one of the constants above."""

    def __init__(self, kind: str, reason: str):
        super().__init__(one_line(reason, 300))
        # the reason tells more than the status: TF Serving's batching and tfner.serve refuse large requests as invalid
        large = re.search(r"larger than max(imum input batch size)?\b|expected (strings of )?at most", reason)
        self.kind = TOO_LARGE if large else kind


class Transport(Protocol):
    """The requests that a client sends. Each raises `Refusal` where it is not answered, of kind `TOO_LATE` after `seconds`."""

    def predict(self, signature: str, name: str, rows: list[Any], seconds: float) -> Mapping[str, list[Any]]:
        """All outputs of a signature with one string input called `name`, as nested lists."""

    def states(self, seconds: float) -> dict[int, str]:
        """The state of every version of the model that the server knows, as TF Serving names it, such as `LOADING`."""

    def close(self) -> None:
        """Closes the connections."""


def connect(address: Address) -> Transport:
    """The transport for an address. Raises UserError where it is gRPC, which is not installed."""
    return Grpc(address) if address.scheme == "grpc" else Rest(address)


class Rest:
    """TF Serving's REST API. Each thread has a connection that stays open, because `http.client` cannot share one."""

    def __init__(self, address: Address):
        self.address = address
        self._threads = threading.local()
        self._connections: weakref.WeakSet[http.client.HTTPConnection] = weakref.WeakSet()
        self._lock = threading.Lock()

    def predict(self, signature: str, name: str, rows: list[Any], seconds: float) -> Mapping[str, list[Any]]:
        body = json.dumps({"signature_name": signature, "inputs": {name: rows}}, ensure_ascii=False).encode()
        answer = self._exchange("POST", f"{self.address.path}{quote(self.address.selection)}:predict", body, seconds)
        if not isinstance(answer.get("outputs"), dict):
            raise Refusal(FOREIGN, f"expected an object with outputs, got {json.dumps(answer)[:100]}")
        outputs: dict[str, list[Any]] = answer["outputs"]
        return outputs

    def states(self, seconds: float) -> dict[int, str]:
        answer = self._exchange("GET", self.address.path, None, seconds)
        try:
            return {int(one["version"]): str(one["state"]) for one in answer["model_version_status"]}
        except (KeyError, TypeError, ValueError):
            raise Refusal(FOREIGN, f"expected model_version_status, got {json.dumps(answer)[:100]}") from None

    def close(self) -> None:
        with self._lock:
            for connection in self._connections:
                connection.close()

    def _exchange(self, method: str, path: str, body: bytes | None, seconds: float) -> dict[str, Any]:
        end = time.monotonic() + seconds
        try:
            status, reason, content = self._send(method, path, body, end)
        except TimeoutError as error:
            self._drop()
            raise Refusal(TOO_LATE, str(error)) from error
        except (OSError, http.client.HTTPException, UnicodeError) as error:  # UnicodeError: no host can have this name
            self._drop()
            raise Refusal(UNAVAILABLE, str(error) or type(error).__name__) from error
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if status == 200 and isinstance(answer, dict):
            return answer
        if isinstance(answer, dict) and isinstance(answer.get("error"), str):
            raise Refusal(_HTTP.get(status, FAILED), answer["error"])
        # a proxy before the server may refuse without JSON; any other answer that is not JSON comes from another kind of server
        kind = _HTTP.get(status, FOREIGN) if status not in (400, 404) else FOREIGN
        raise Refusal(kind, f"HTTP {status} {reason}" + (f": {content[:100].decode(errors='replace')}" if content else ""))

    def _connection(self) -> http.client.HTTPConnection:
        """The connection of this thread."""
        connection: http.client.HTTPConnection | None = getattr(self._threads, "connection", None)
        if connection is None:
            secure = self.address.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            connection = self._threads.connection = kind(self.address.host)
            with self._lock:
                self._connections.add(connection)
        return connection

    def _send(self, method: str, path: str, body: bytes | None, end: float) -> tuple[int, str, bytes]:
        """Status, reason and content of the answer. Raises OSError or HTTPException where there is none."""
        connection = self._connection()
        connection.timeout = _left(end)
        if connection.sock is None:
            connection.connect()
        socket = connection.sock  # the connection drops it where the server will close it, but the timeouts must still be set
        socket.settimeout(_left(end))
        # a server that finds a request too large may close the connection in the middle of it; its answer can still be read
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        with connection.getresponse() as response:
            content, length = b"", response.length
            # by single reads: the timeout is for one read, and a server that sends byte by byte would never exceed it
            while (length is None or len(content) < length) and (chunk := response.read1()):
                content += chunk
                socket.settimeout(_left(end))
            if length is not None and len(content) < length:
                raise http.client.IncompleteRead(content, length - len(content))
            return response.status, response.reason, content

    def _drop(self) -> None:
        """Closes the connection of this thread; the next request opens another."""
        self._connection().close()
        self._threads.connection = None


def _left(end: float) -> float:
    """The seconds until `end`. Raises TimeoutError where it has passed."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


class Grpc:
    """TF Serving's gRPC API."""

    def __init__(self, address: Address):
        try:
            import grpc
            from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
        except ImportError as error:
            raise UserError(
                f"gRPC is not installed ({one_line(error)}): pip install tensorflow-serving-api", str(address)
            ) from error
        self.address = address
        options = {
            "grpc.max_send_message_length": -1,  # the server decides what is too large
            "grpc.max_receive_message_length": -1,
            "grpc.initial_reconnect_backoff_ms": 100,  # with the default, a server that starts is found a second later
            "grpc.max_reconnect_backoff_ms": 2000,
        }
        self._channel = grpc.insecure_channel(address.host, options=list(options.items()))
        self._predict = prediction_service_pb2_grpc.PredictionServiceStub(self._channel).Predict
        self._status = model_service_pb2_grpc.ModelServiceStub(self._channel).GetModelStatus

    def predict(self, signature: str, name: str, rows: list[Any], seconds: float) -> Mapping[str, list[Any]]:
        import numpy as np
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = self.address.model, signature
        if self.address.version is not None:
            request.model_spec.version.value = self.address.version
        elif self.address.label:
            request.model_spec.version_label = self.address.label
        request.inputs[name].CopyFrom(tf.make_tensor_proto(rows, tf.string))
        outputs = self._call(self._predict, request, seconds).outputs

        def values(array: np.ndarray) -> Any:
            if array.dtype != object:
                return array.tolist()
            return np.array([s.decode() for s in array.flat], object).reshape(array.shape).tolist()

        return {key: values(tf.make_ndarray(proto)) for key, proto in outputs.items()}

    def states(self, seconds: float) -> dict[int, str]:
        from tensorflow_serving.apis import get_model_status_pb2

        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self.address.model
        answer = self._call(self._status, request, seconds)
        return {one.version: _STATES[one.state // 10] for one in answer.model_version_status}

    def close(self) -> None:
        self._channel.close()

    @staticmethod
    def _call(method: Any, request: Any, seconds: float) -> Any:
        import grpc

        try:
            return method(request, timeout=seconds)
        except grpc.RpcError as error:
            raise Refusal(_GRPC.get(error.code().name, FAILED), f"{error.details()} ({error.code().name})") from error
