"""The address of a served model, in TF Serving's REST or gRPC API.

Takes the text that a user gives and returns its parts. `transport` sends requests to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from tfner.errors import UserError

EXPECTED = "http://HOST:8501/v1/models/NAME or grpc://HOST:8500/NAME, with /versions/NUMBER or /labels/LABEL after it if needed"


@dataclass(frozen=True)
class Address:
    """Where a model is served.

    `host` includes the port. `prefix` is what a proxy puts before `/v1/models`. `version` or `label` selects a version of the
    model; without them the server uses the highest.
    """

    scheme: str
    host: str
    prefix: str
    model: str
    version: int | None = None
    label: str | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """The parts of an address. Raises UserError for a text that is not of one of the forms in `EXPECTED`."""
        try:
            parts = urlsplit(text.strip())
            port = parts.port  # raises ValueError for a port that is not a number
            good = bool(parts.scheme in ("http", "https", "grpc") and parts.hostname and (port or parts.scheme != "grpc"))
            good = good and not parts.query and not parts.username
        except ValueError:
            good = False
        models = "" if good and parts.scheme == "grpc" else "/v1/models"
        tail = r"/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?/?"
        found = re.fullmatch(rf"(|/.*?){models}{tail}" if models else rf"(){tail}", parts.path) if good else None
        if not found:
            raise UserError(f"this is not the address of a served model: expected {EXPECTED}", text)
        prefix, model, version, label = found.groups()
        return cls(
            parts.scheme, parts.netloc, prefix, unquote(model), int(version) if version else None, label and unquote(label)
        )

    @property
    def path(self) -> str:
        """The path of the model in TF Serving's REST API."""
        return f"{self.prefix}/v1/models/{quote(self.model, safe='')}"

    @property
    def selection(self) -> str:
        """The part of the address that selects a version, such as `/versions/3`; empty for the highest version."""
        return f"/versions/{self.version}" if self.version is not None else f"/labels/{self.label}" if self.label else ""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}{self.path if self.scheme != 'grpc' else '/' + self.model}{self.selection}"
