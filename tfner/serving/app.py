"""The web application: TensorFlow Serving's REST API under `/v1/models`, and a page at `/` that uses it.

Takes `Servable`s and returns an ASGI application. Threads run the models and process the JSON of large requests, so that the
event loop stays free. `rest` defines the JSON.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from importlib.resources import files
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tfner.serving import rest
from tfner.serving.microbatch import BATCHING, AnswerTooLarge, Batching, Microbatcher, Overloaded
from tfner.serving.rest import LIMITS, Limits, RestError
from tfner.serving.servable import Servable

_PATH = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?(?P<ask>/metadata|:predict)?"
)
_EXPECTED = "GET /v1/models/NAME[/versions/N][/metadata] or POST /v1/models/NAME[/versions/N]:predict"
_SMALL = 4096
"""Bytes of a request, or values of an answer, that are processed at once: handing them to a thread takes as long."""
_READ_ON = 16
"""How many times the limit of a body is read before the connection is closed."""
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def make_app(servables: Sequence[Servable], limits: Limits = LIMITS, batching: Batching = BATCHING) -> Starlette:
    """The application that serves models.

    Args:
        servables: the models; their names differ.
        limits: the largest request that is answered.
        batching: how each model's requests are merged.
    """
    models = {servable.name: servable for servable in servables}
    batchers: dict[str, Microbatcher] = {}

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        batchers.update({name: Microbatcher(servable.call, batching) for name, servable in models.items()})
        yield
        for batcher in batchers.values():
            await run_in_threadpool(batcher.close)

    async def api(request: Request) -> Response:
        path = request.scope["path"]
        body = b"" if request.method in ("GET", "HEAD") else await _body(request, limits)  # also where it is not used
        match = _PATH.fullmatch(path)
        if not match or request.method != ("POST" if match["ask"] == ":predict" else "GET"):
            raise RestError(400, f"Malformed request: {request.method} {path}; expected {_EXPECTED}")
        servable = _find(models, match)
        if match["ask"] == "/metadata":
            return _answer(rest.write_metadata(servable.name, servable.version, servable.signature_def))
        if match["ask"] is None:
            return _answer(rest.write_status(servable.version, batchers[servable.name].failure))
        query = await _run(len(body), rest.read_query, body, servable.signatures, limits)
        outputs = await asyncio.wrap_future(batchers[servable.name].submit(query.signature, query.inputs))
        values = sum(array.size for array in outputs.values())
        return _answer(await _run(values, rest.write_answer, outputs, query.row))

    async def list_models(request: Request) -> Response:
        """The models that the page shows. TensorFlow Serving's API has no list of models."""
        listed = [
            {"name": s.name, "version": str(s.version), "takes_text": s.takes_text, "tasks": list(s.tasks)} for s in servables
        ]
        return _answer(orjson.dumps({"models": listed}))

    page, headers = _page()
    return Starlette(
        routes=[
            Route("/", lambda request: Response(page, headers=headers, media_type="text/html")),
            Route("/models", list_models),
            Route("/v1/{path:path}", api, methods=_METHODS),
        ],
        exception_handlers=_HANDLERS,
        lifespan=lifespan,
    )


_answer = partial(Response, media_type="application/json")


async def _run(size: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function, in a thread unless there is little to do."""
    return function(*arguments) if size <= _SMALL else await run_in_threadpool(function, *arguments)


_HANDLERS: dict[Any, Any] = {
    RestError: lambda request, error: _answer(
        rest.write_error(str(error)),
        error.status,
        {"Connection": "close"} if error.status == 413 else None,
    ),
    ClientDisconnect: lambda request, error: Response(status_code=400),  # nobody reads it
    AnswerTooLarge: lambda request, error: _answer(rest.write_error(str(error)), 413),
    Overloaded: lambda request, error: _answer(rest.write_error(str(error)), 503),
    HTTPException: lambda request, error: _answer(
        rest.write_error(f"{error.detail}: {request.method} {request.scope['path']}; expected {_EXPECTED}"),
        error.status_code,
        {"Connection": "close"},  # its body is not read
    ),
    Exception: lambda request, error: _answer(rest.write_error("Internal error: the server's log has the details"), 500),
}
"""The answer to each kind of exception."""


def _find(models: dict[str, Servable], match: re.Match[str]) -> Servable:
    """The model of a path. Raises RestError with TensorFlow Serving's own message and what this server has instead."""
    name, version, label = match["name"], match["version"], match["label"]
    predict = match["ask"] is not None
    if name not in models:
        said = f"Servable not found for request: Latest({name})" if predict else f"Could not find any versions of model {name}"
        raise RestError(404, f"{said}; this server has {', '.join(models)}")
    if label:
        raise RestError(400, f"Unrecognized servable version label: {label}; this server has versions, but no labels")
    if version and version != str(models[name].version):
        said = f"Servable not found for request: Specific({name}, {version})"
        said = said if predict else f"Could not find version {version} of model {name}"
        raise RestError(404, f"{said}; version {models[name].version} is loaded")
    return models[name]


async def _body(request: Request, limits: Limits) -> bytes:
    """The body of a request. One above the limit is read on for a while, because a client reads no answer while it sends."""
    body, length = bytearray(), 0
    async for chunk in request.stream():
        length += len(chunk)
        if length <= limits.body:
            body += chunk
        elif length > _READ_ON * limits.body:
            break
    if length > limits.body:
        many = f"{length:,}" if length <= _READ_ON * limits.body else f"more than {_READ_ON * limits.body:,}"
        raise RestError(413, f"Expected a request of at most {limits.body:,} bytes, got {many}: send less text at once")
    return bytes(body)


def _page() -> tuple[str, dict[str, str]]:
    """The page, and headers that allow only its own script and style to run, and only requests to this server."""
    page = files("tfner.serving").joinpath("page.html").read_text("utf-8")

    def digest(tag: str) -> str:
        content = page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()

    script, style = digest("script"), digest("style")
    policy = (
        f"default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
