"""The local server for tests: in this process, or as a command in its own, as a user starts it."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import uvicorn

from support import tiny
from tfner.serve import _listen
from tfner.serving.app import make_app
from tfner.serving.connections import connection
from tfner.serving.rest import LIMITS
from tfner.serving.servable import Servable


def exported(folder: Path, kind: str = "bert", seed: int = 7) -> Path:
    """Makes `folder` a folder of versions, with a tiny random export of an architecture as version 1, and returns it."""
    shutil.copytree(tiny.exported_model(folder.parent / f"of-{folder.name}", kind, seed=seed), folder / "1")
    return folder


class Client:
    """Requests to a server at `address`."""

    address: str

    def ask(self, path, body=None, method=None):
        """Status and parsed JSON of a request; `body` as bytes, or as a value for `json.dumps`."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        with contextlib.closing(http.client.HTTPConnection(self.address.split("/")[2], timeout=120)) as connection:
            connection.request(method or ("GET" if body is None else "POST"), path, body)
            response = connection.getresponse()
            assert response.getheader("content-type") == "application/json"
            return response.status, json.loads(response.read())

    def predict(self, model, texts, signature=""):
        """The predictions for texts in row form."""
        status, answer = self.ask(f"/v1/models/{model}:predict", {"instances": texts, "signature_name": signature})
        assert status == 200, answer
        return answer["predictions"]


class ThreadServer(Client):
    """The application in a thread of this process, at a free port. As a context manager, it stops the server."""

    def __init__(self, servables: Sequence[Servable], **options):
        listener = _listen("127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        app, protocol = make_app(servables, **options), connection(options.get("limits", LIMITS))
        config = uvicorn.Config(app, http=protocol, log_level="warning", ws="none", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()


class CommandServer(Client):
    """`python -m tfner.serve` at a free port. As a context manager, it ends the process."""

    def __init__(self, *argv):
        command = [sys.executable, "-m", "tfner.serve", "--port", "0", *map(str, argv)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("page "):
                self.address = line.split()[1]
            if line.startswith("Ctrl-C"):
                break
        else:
            raise AssertionError(self.process.communicate()[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()


def same(one, other) -> None:
    """Asserts that two predictions are equal, scores within rounding."""
    assert one.keys() == other.keys()
    for name in one:
        if name.endswith("score"):
            assert np.shape(one[name]) == np.shape(other[name])
            assert np.allclose(one[name], other[name], rtol=0, atol=1e-4)
        else:
            assert one[name] == other[name], name
