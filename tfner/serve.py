"""`python -m tfner.serve`: a local server with TensorFlow Serving's REST API, and a page to try models.

Takes the folders of exported models and serves them until Ctrl-C. It is meant for development and small use. In production, use
TensorFlow Serving; clients need no change.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tfner.config import AUTO, RUNTIMES, add_runtime
from tfner.errors import UserError, setting
from tfner.folder import is_version, model_folder
from tfner.serving.microbatch import BATCHING, LONGEST_WAIT, Batching
from tfner.serving.rest import LIMITS, Limits
from tfner.serving.servable import Servable, load_servable, name_in_address
from tfner.tagging.load import find_export, load_tagger, runtime_of, version_of
from tfner.tagging.runtime import RuntimeTagger
from tfner.tagging.signatures import make_servable, with_text
from tfner.terminal import Parser, command

HOST, PORT = "127.0.0.1", 8501


def _print(line: str) -> None:
    print(line, flush=True)  # at once, also into a pipe: a program that starts the server waits for these lines


def serve(
    models: Sequence[str | Path],
    host: str = HOST,
    port: int = PORT,
    limits: Limits = LIMITS,
    say: Callable[[str], None] = _print,
    runtime: str = AUTO,
    **batching: Any,
) -> None:
    """Serves models until it is interrupted.

    Args:
        models: folders of versions, of which the highest is served, or of one version. A model is named after its folder of
            versions.
        host: the address to listen at.
        port: the port to listen at; 0 for any free one.
        limits: the largest request that is answered.
        say: is given every line for the terminal.
        runtime: what runs the models, as for `load_tagger`.
        batching: how requests are merged, as keyword arguments of `tfner.serving.microbatch.Batching`.

    Raises:
        UserError: where a model cannot be served, two models have the same name, the server cannot listen at the address, or
            the libraries for serving are not installed.
    """
    try:
        import uvicorn

        from tfner.serving.app import make_app
        from tfner.serving.connections import connection
    except ModuleNotFoundError as error:
        if error.name not in ("orjson", "starlette", "uvicorn"):
            raise
        raise UserError(f"the server needs {error.name}, which is not installed: pip install -e '.[serve]'") from error

    merging = Batching(**batching)
    with _listen(host, port) as listener:  # before the models, because it is faster to fail
        servables = _load(models, say, runtime)
        address = listener.getsockname()
        shown = f"http://{f'[{address[0]}]' if ':' in address[0] else address[0]}:{address[1]}"
        say(f"page  {shown}/\nREST  {shown}/v1/models/{servables[0].name}:predict\nCtrl-C ends")
        app, protocol = make_app(servables, limits, merging), connection(limits)
        config = uvicorn.Config(
            app, http=protocol, log_level="warning", proxy_headers=False, ws="none", timeout_graceful_shutdown=10
        )
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again after it has shut down
            uvicorn.Server(config).run(sockets=[listener])


def _load(models: Sequence[str | Path], say: Callable[[str], None], runtime: str) -> list[Servable]:
    """Loads the models. Raises UserError where one cannot be loaded, or two have the same name."""
    servables: dict[str, Servable] = {}
    for model in models:
        servable, how = _servable(model, runtime)
        if servable.name in servables:
            raise UserError(
                f"expected models with different names, but {servables[servable.name].folder} is named {servable.name} too: "
                "rename a folder",
                servable.folder,
            )
        servables[servable.name] = servable
        say(f"model {servable.name}, version {servable.version}{how}")
    return list(servables.values())


def _servable(model: str | Path, runtime: str) -> tuple[Servable, str]:
    """A model, and for the terminal what runs it, if that is not TensorFlow alone."""
    export = find_export(model, runtime)
    if runtime_of(export) == "tensorflow":
        servable = load_servable(export)
        return (servable, "") if servable.takes_text else (with_text(servable), ", tokenized by tfner")
    export = export.absolute()
    tagger = load_tagger(export)
    assert isinstance(tagger, RuntimeTagger)
    name = name_in_address(model_folder(export))
    version = version_of(export) or (int(export.name) if is_version(export.name) else 1)
    return make_servable(tagger, name, version, export), f", {RUNTIMES[tagger.runtime]} {tagger.precision}"


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises UserError where that is not possible."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server((address[0], port), family=family)
    except (OSError, OverflowError, UnicodeError) as error:  # UnicodeError: a host name that cannot be encoded
        reason = (getattr(error, "strerror", None) or str(error)).split(" (")[0]  # the address follows in parentheses
        where = f"{setting('host', host)} and {setting('port', port)}"
        raise UserError(f"{where}: cannot listen there ({reason}): choose another address or port") from error
    # a socket that knows its protocol: asyncio turns off the delay of small packets (40 ms a request) only for these
    return socket.socket(fileno=listener.detach())


@command
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    arguments = _parser().parse_args(argv)
    serve(
        arguments.models,
        arguments.host,
        arguments.port,
        Limits(
            arguments.max_body, arguments.max_texts, arguments.max_characters, arguments.max_seconds, arguments.max_connections
        ),
        runtime=arguments.runtime,
        rows=arguments.batch_texts,
        size=arguments.batch_bytes,
        wait=arguments.wait / 1000,
        waiting=arguments.max_waiting,
        values=arguments.max_values,
    )


def _parser() -> Parser:
    parser = Parser("serve", "Serve trained models with TensorFlow Serving's REST API, and a page to try them.")
    parser.add_argument("models", nargs="+", metavar="model", help="folder of a trained model, such as saved_models/head")
    add_runtime(parser)
    address = parser.add_argument_group("address")
    address.add_argument("--host", default=HOST, metavar="NAME", help=f"address to listen at [{HOST}, for this machine only]")
    address.add_argument(
        "--port", type=_port, default=PORT, metavar="N", help=f"port to listen at; 0 for any free one [{PORT}]"
    )
    limits, batching = parser.add_argument_group("limits"), parser.add_argument_group("batching")
    for group, flag, default, what in (
        (limits, "--max-body", LIMITS.body, "most bytes of a request"),
        (limits, "--max-texts", LIMITS.rows, "most texts of a request"),
        (limits, "--max-characters", LIMITS.characters, "most characters of a text"),
        (limits, "--max-seconds", round(LIMITS.seconds), "most seconds until a request has arrived"),
        (limits, "--max-connections", LIMITS.connections, "most connections at a time"),
        (limits, "--max-waiting", BATCHING.waiting, "most texts that wait for a model; further requests are refused"),
        (limits, "--max-values", BATCHING.values, "most values in an answer, where each text is padded to the longest"),
        (batching, "--batch-texts", BATCHING.rows, "most texts in one call of a model"),
        (batching, "--batch-bytes", BATCHING.size, "most bytes of text in one call of a model"),
    ):
        group.add_argument(flag, type=_positive, default=default, metavar="N", help=f"{what} [{default}]")
    wait = BATCHING.wait * 1000
    batching.add_argument(
        "--wait", type=_milliseconds, default=wait, metavar="MS", help=f"milliseconds to wait for texts to merge [{wait:g}]"
    )
    return parser


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 65535, got {text!r}")
    return int(text)


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1000 * LONGEST_WAIT:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to {1000 * LONGEST_WAIT}, got {text!r}")
    return value


if __name__ == "__main__":
    raise SystemExit(main())
