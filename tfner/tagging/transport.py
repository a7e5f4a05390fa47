"""One request to a server that speaks TF Serving's REST or gRPC API: where it stands, how it is asked, how it refuses.

An address and a signature's input go in, its outputs come out as lists, or a `Refusal` in one vocabulary for both APIs.
Nothing is tried twice here and no tensor is understood. REST needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

from tfner.errors import UserError, one_line

EXPECTED = "http://HOST:8501/v1/models/NAME or grpc://HOST:8500/NAME, either with /versions/NUMBER or /labels/LABEL behind it"

UNAVAILABLE, NOT_FOUND, TOO_LARGE, TOO_LATE = "unavailable", "not found", "too large", "too late"
INVALID, FAILED, FOREIGN = "invalid", "failed", "foreign"  # a foreign answer is not one of TF Serving's
_HTTP = {400: INVALID, 404: NOT_FOUND, 413: TOO_LARGE, 429: UNAVAILABLE, 502: UNAVAILABLE, 503: UNAVAILABLE, 504: TOO_LATE}
_GRPC = {"UNAVAILABLE": UNAVAILABLE, "RESOURCE_EXHAUSTED": UNAVAILABLE, "NOT_FOUND": NOT_FOUND, "DEADLINE_EXCEEDED": TOO_LATE}
_GRPC |= {"INVALID_ARGUMENT": INVALID, "FAILED_PRECONDITION": INVALID, "UNIMPLEMENTED": FOREIGN}
_STATES = ("UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END")  # of a model's version, in TF Serving's words


class Refusal(Exception):
    """A server's answer that is none: `kind` is one of the words above."""

    def __init__(self, kind: str, reason: str):
        super().__init__(one_line(reason, 300))
        # its words say more than its status: TF Serving's batching and tfner.serve refuse large requests as invalid ones
        large = re.search(r"larger than max(imum input batch size)?\b|expected (strings of )?at most", reason)
        self.kind = TOO_LARGE if large else kind


@dataclass(frozen=True)
class Address:
    """Where a model is served. `host` has the port in it; `prefix` is what a proxy puts before `/v1/models`."""

    scheme: str
    host: str
    prefix: str
    model: str
    version: int | None = None
    label: str | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Raises UserError for anything that does not look like `EXPECTED`."""
        try:
            parts = urlsplit(text.strip())
            good = parts.scheme in ("http", "https", "grpc") and parts.hostname and not parts.query and not parts.username
            good = good and (parts.port or parts.scheme != "grpc")  # raises ValueError for a port that is none
        except ValueError:
            good = False
        models = "" if good and parts.scheme == "grpc" else "/v1/models"
        tail = r"/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?/?"
        found = re.fullmatch(rf"(|/.*?){models}{tail}" if models else rf"(){tail}", parts.path) if good else None
        if not found:
            raise UserError(f"{text}: not the address of a served model: expected {EXPECTED}")
        prefix, model, version, label = found.groups()
        return cls(
            parts.scheme, parts.netloc, prefix, unquote(model), int(version) if version else None, label and unquote(label)
        )

    @property
    def path(self) -> str:
        """The path of the model in TF Serving's REST API."""
        return f"{self.prefix}/v1/models/{quote(self.model, safe='')}"

    def __str__(self) -> str:
        which = f"/versions/{self.version}" if self.version is not None else f"/labels/{self.label}" if self.label else ""
        return f"{self.scheme}://{self.host}{self.path if self.scheme != 'grpc' else '/' + self.model}{which}"


class Transport(Protocol):
    """What a `ServedTagger` asks of a server. Both raise `Refusal`, of kind `TOO_LATE` after `seconds`."""

    def predict(self, signature: str, name: str, rows: list, seconds: float) -> Mapping[str, list]:
        """All outputs of a signature with one string input called `name`, as nested lists."""

    def states(self, seconds: float) -> dict[int, str]:
        """The state (one of TF Serving's words, such as `LOADING`) of every version of the model that the server knows."""


def connect(address: Address) -> Transport:
    """The transport that an address asks for. Raises UserError where gRPC is not installed."""
    return Grpc(address) if address.scheme == "grpc" else Rest(address)


class Rest:
    """TF Serving's REST API, over connections that stay open: one a thread, as `http.client` cannot share them."""

    def __init__(self, address: Address):
        self.address = address
        self._threads = threading.local()

    def predict(self, signature: str, name: str, rows: list, seconds: float) -> Mapping[str, list]:
        which = str(self.address).partition(self.address.path)[2]
        body = json.dumps({"signature_name": signature, "inputs": {name: rows}}, ensure_ascii=False).encode()
        answer = self._exchange("POST", f"{self.address.path}{quote(which)}:predict", body, seconds)
        if not isinstance(answer.get("outputs"), dict):
            raise Refusal(FOREIGN, f"expected an object with outputs, got {json.dumps(answer)[:100]}")
        return answer["outputs"]

    def states(self, seconds: float) -> dict[int, str]:
        answer = self._exchange("GET", self.address.path, None, seconds)
        try:
            return {int(one["version"]): str(one["state"]) for one in answer["model_version_status"]}
        except (KeyError, TypeError, ValueError):
            raise Refusal(FOREIGN, f"expected model_version_status, got {json.dumps(answer)[:100]}") from None

    def _exchange(self, method: str, path: str, body: bytes | None, seconds: float) -> dict[str, Any]:
        end = time.monotonic() + seconds
        try:
            status, reason, content = self._send(method, path, body, end)
        except TimeoutError as error:
            self._close()
            raise Refusal(TOO_LATE, str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            self._close()
            raise Refusal(UNAVAILABLE, str(error) or type(error).__name__) from error
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if status == 200 and isinstance(answer, dict):
            return answer
        if isinstance(answer, dict) and isinstance(answer.get("error"), str):
            raise Refusal(_HTTP.get(status, FAILED), answer["error"])
        # a proxy before the server may refuse in words of its own; what else is not JSON comes from another kind of server
        kind = _HTTP.get(status, FOREIGN) if status not in (400, 404) else FOREIGN
        raise Refusal(kind, f"HTTP {status} {reason}: {content[:100].decode(errors='replace')}")

    def _send(self, method: str, path: str, body: bytes | None, end: float) -> tuple[int, str, bytes]:
        connection = getattr(self._threads, "connection", None)
        if connection is None:
            secure = self.address.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            connection = self._threads.connection = kind(self.address.host)
        connection.timeout = _left(end)
        if connection.sock is None:
            connection.connect()
        socket = connection.sock  # the connection forgets it where the server will close it, but the timeouts still hold
        socket.settimeout(_left(end))
        # who finds a request too large may hang up in the middle of it; the answer is there to be read all the same
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        with connection.getresponse() as response:
            content, length = b"", response.length
            # by single reads: the timeout holds for one, and a server that drips would never end
            while (length is None or len(content) < length) and (chunk := response.read1()):
                content += chunk
                socket.settimeout(_left(end))
            if length is not None and len(content) < length:
                raise http.client.IncompleteRead(content, length - len(content))
            return response.status, response.reason, content

    def _close(self) -> None:
        self._threads.connection.close()
        self._threads.connection = None


def _left(end: float) -> float:
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
            raise UserError(f"{address}: gRPC is not installed ({error}): pip install tensorflow-serving-api") from error
        self.address = address
        options = {
            "grpc.max_send_message_length": -1,  # the server says what is too large
            "grpc.max_receive_message_length": -1,
            "grpc.initial_reconnect_backoff_ms": 100,  # or a server that comes up is found a second later only
            "grpc.max_reconnect_backoff_ms": 2000,
        }
        channel = grpc.insecure_channel(address.host, options=list(options.items()))
        self._predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        self._status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus

    def predict(self, signature: str, name: str, rows: list, seconds: float) -> Mapping[str, list]:
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

        def values(array: np.ndarray) -> list:
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

    @staticmethod
    def _call(method, request, seconds: float):
        import grpc

        try:
            return method(request, timeout=seconds)
        except grpc.RpcError as error:
            raise Refusal(_GRPC.get(error.code().name, FAILED), f"{error.details()} ({error.code().name})") from error
