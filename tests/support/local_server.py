"""The local server in a process of its own, as a user starts it, and tiny random models for it."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from support import tiny


def exported(folder: Path, kind: str = "bert", seed: int = 7) -> Path:
    """A folder of versions, as `folder`, with a tiny random export of an architecture as version 1."""
    shutil.copytree(tiny.exported_model(folder.parent / f"of-{folder.name}", kind, seed=seed), folder / "1")
    return folder


class Server:
    """`python -m tfner.serve` at a free port; a context manager that ends it."""

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

    def ask(self, path, body=None, method=None):
        """Status and parsed JSON of a request; `body` as bytes, or as what goes through `json.dumps`."""
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


def same(one, other) -> None:
    """That two predictions are the same: all but scores exactly, those within rounding."""
    assert one.keys() == other.keys()
    for name in one:
        if name.endswith("score"):
            assert np.shape(one[name]) == np.shape(other[name])
            assert np.allclose(one[name], other[name], rtol=0, atol=1e-4)
        else:
            assert one[name] == other[name], name
