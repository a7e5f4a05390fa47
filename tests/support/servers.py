"""Servers for tests that answer as TF Serving does, over REST and gRPC, with its messages, from a real SavedModel.

A backend's `script` lists what it does instead of answering the next requests: refuse, send something else, be slow, hang up.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the ops of an export
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from support.errors import check_error
from tfner.errors import UserError

HTTP = {"UNAVAILABLE": 503, "NOT_FOUND": 404, "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "RESOURCE_EXHAUSTED": 429}
HTTP |= {"DEADLINE_EXCEEDED": 504, "INTERNAL": 500}


class Refused(Exception):
    """A status by its gRPC name, and TF Serving's message."""


@contextlib.contextmanager
def refused_by(key: str, address: str) -> Iterator[None]:
    """As `errors.refused`, for an error about a served model.

    The golden text has neither the address, which differs from run to run and from API to API, nor gRPC's names of statuses.
    """
    with pytest.raises(UserError) as caught:
        yield
    assert caught.value.path == address
    message = re.sub(rf" \(({'|'.join(HTTP)})\)", "", caught.value.message)
    check_error(key, UserError(message, "ADDRESS"), path="ADDRESS")


class Backend:
    """One model with the name `head`: version 1 with the label `stable`. The version of `canary` is not loaded."""

    def __init__(self, folder):
        self.signatures = tf.saved_model.load(str(folder)).signatures
        self.reset()

    def reset(self):
        self.states = {1: "AVAILABLE"}
        self.max_batch = self.max_bytes = 10**9
        self.script = []  # what to do instead of answering the next requests
        self.asked = []  # signature, input and peer of every request

    def predict(self, name, version, label, signature, values, peer):
        """The outputs, as tensors, of a signature with one input of strings."""
        self.asked.append((signature, values, peer))
        if self.script:
            action = self.script.pop(0)
            if callable(action):
                action()
            elif action:
                raise Refused(*action)
        if label and label not in ("stable", "canary"):
            raise Refused("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
        version = {"canary": 2}.get(label, version)
        if name != "head" or self.states.get(version or 1) != "AVAILABLE":
            which = f"Specific({name}, {version})" if version else f"Latest({name})"
            raise Refused("NOT_FOUND", f"Servable not found for request: {which}")
        if signature not in self.signatures:
            raise Refused("INVALID_ARGUMENT", f'Serving signature name: "{signature}" not found in signature def')
        if len(values) > self.max_batch:
            text = f"Task size {len(values)} is larger than maximum input batch size {self.max_batch}"
            raise Refused("INVALID_ARGUMENT", text)
        (key,) = self.signatures[signature].structured_input_signature[1]
        return self.signatures[signature](**{key: tf.constant(values, tf.string)})

    def status(self, name):
        if name != "head":
            raise Refused("NOT_FOUND", f"Could not find any versions of model {name}")
        return self.states


class RestServer(ThreadingHTTPServer):
    """A backend behind `/v1/models`."""

    daemon_threads = True

    def __init__(self, backend):
        super().__init__(("127.0.0.1", 0), RestHandler)
        self.backend = backend
        self.address = f"http://127.0.0.1:{self.server_address[1]}/v1/models/head"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """Says nothing: clients that hang up are part of the tests."""


class RestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet per answer
    path_form = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?(:predict)?")

    def log_message(self, *_):
        pass

    def answer(self, status, value):
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status, {413: "Request Entity Too Large"}.get(status))  # Python 3.13 has another name
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def handled(self, make):
        try:
            self.answer(200, make())
        except Refused as refused:
            self.answer(HTTP[refused.args[0]], {"error": refused.args[1]})
        except Raw as raw:
            if raw.args:
                self.answer(*raw.args)
            self.close_connection = True

    def do_GET(self):
        name = self.path_form.fullmatch(self.path)[1]
        states = lambda: self.server.backend.status(name).items()  # noqa: E731
        self.handled(lambda: {"model_version_status": [{"version": str(v), "state": s} for v, s in states()]})

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        if length > self.server.backend.max_bytes:  # as a proxy does, without reading the request
            self.close_connection = True
            return self.answer(413, b"<html>413 Request Entity Too Large</html>")
        asked = json.loads(self.rfile.read(length))
        name, version, label, _ = self.path_form.fullmatch(self.path).groups()

        def outputs():
            (values,) = asked["inputs"].values()
            found = self.server.backend.predict(
                name, version and int(version), label, asked["signature_name"], values, self.client_address
            )
            return {"outputs": {key: plain(tensor.numpy()) for key, tensor in found.items()}}

        return self.handled(outputs)


class Raw(Exception):
    """An HTTP status and a body to send, or nothing, for a server that hangs up."""


def plain(array):
    """An array as nested lists for JSON, with as many decimals as TF Serving writes."""
    if array.dtype == object:
        return json.loads(json.dumps(array.tolist(), default=bytes.decode))
    return array.tolist()


def raising(error):
    def action():
        raise error

    return action


def sleeping(seconds):
    return lambda: time.sleep(seconds)


class GrpcServer(prediction_service_pb2_grpc.PredictionServiceServicer, model_service_pb2_grpc.ModelServiceServicer):
    """A backend behind TF Serving's two services."""

    def __init__(self, backend, max_bytes=-1):
        self.backend = backend
        options = [("grpc.max_receive_message_length", max_bytes), ("grpc.so_reuseport", 0)]
        self.server = grpc.server(futures.ThreadPoolExecutor(4), options=options)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(self, self.server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(self, self.server)
        self.address = f"grpc://127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}/head"
        self.server.start()

    def Predict(self, request, context):
        spec = request.model_spec
        ((_, proto),) = request.inputs.items()
        values = [
            [w.decode() for w in row] if isinstance(row, list) else row.decode() for row in tf.make_ndarray(proto).tolist()
        ]
        version = spec.version.value if spec.HasField("version") else None
        try:
            outputs = self.backend.predict(spec.name, version, spec.version_label, spec.signature_name, values, context.peer())
        except Refused as refused:
            context.abort(grpc.StatusCode[refused.args[0]], refused.args[1])
        response = predict_pb2.PredictResponse()
        for key, tensor in outputs.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(tensor))
        return response

    def GetModelStatus(self, request, context):
        try:
            states = self.backend.status(request.model_spec.name)
        except Refused as refused:
            context.abort(grpc.StatusCode[refused.args[0]], refused.args[1])
        response = get_model_status_pb2.GetModelStatusResponse()
        for version, state in states.items():
            response.model_version_status.add(version=version, state=get_model_status_pb2.ModelVersionStatus.State.Value(state))
        return response
