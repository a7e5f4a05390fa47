"""`python -m tfner.serve`: a local server with TensorFlow Serving's REST API, and a page to try models.

Exported models go in, a server runs until Ctrl-C. It is for development and small use; production is TensorFlow Serving, and
clients need no change for it.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from tfner.errors import UserError
from tfner.serving.rest import LIMITS, Limits
from tfner.terminal import Parser, command


def _print(line: str) -> None:
    print(line, flush=True)  # also where it goes to a file: who started the server waits for it


def serve(
    models: Sequence[str | Path],
    host: str = "127.0.0.1",
    port: int = 8501,
    limits: Limits = LIMITS,
    say: Callable[[str], None] = _print,
    **batching,
) -> None:
    """Serves models until it is interrupted.

    Args:
        models: folders of versions, of which the highest is served, or of one version; a model has the name of its folder.
        host: the address to listen at.
        port: the port; 0 for any free one.
        limits: the largest request that is answered.
        say: gets each line that is to be shown.
        batching: `rows`, `size`, `wait` and `waiting` of `microbatch.Microbatcher`.

    Raises:
        UserError: where a model cannot be served, two have one name, the port is in use, or the extra is not installed.
    """
    try:
        import uvicorn

        from tfner.serving.app import make_app
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise UserError(f"the server needs {error.name}, which is not installed: pip install -e '.[serve]'") from error
    from tfner.serving.servable import load_servable

    listener = _listen(host, port)  # first, as it is quick to fail
    with listener:
        servables = {}
        for model in models:
            servable = load_servable(model)
            if servable.name in servables:
                raise UserError(
                    f"{servable.folder}: expected models with different names, but {servables[servable.name].folder} "
                    f"is named {servable.name} as well: rename a folder"
                )
            servables[servable.name] = servable
            say(f"model {servable.name}, version {servable.version}{'' if servable.takes_text else ', word pieces only'}")
        address = listener.getsockname()
        shown = f"http://{f'[{address[0]}]' if ':' in address[0] else address[0]}:{address[1]}"
        say(f"page  {shown}/\nREST  {shown}/v1/models/{next(iter(servables))}:predict\nCtrl-C ends")
        config = uvicorn.Config(
            make_app(list(servables.values()), limits, **batching), log_level="warning", timeout_graceful_shutdown=10
        )
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn has shut down when it passes it on
            uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server((address[0], port), family=family)
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).split(" (")[0]  # in brackets: the address again
        raise UserError(f"--host {host} --port {port}: cannot listen there ({reason}): choose another port") from error
    # made again as one that knows its protocol: asyncio sends without delay (40 ms a request) on connections of such alone
    return socket.socket(fileno=listener.detach())


@command
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = Parser("serve", "Serve trained models with TensorFlow Serving's REST API, and a page to try them.")
    parser.add_argument("models", nargs="+", metavar="model", help="folder of a trained model, such as saved_models/head")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at [127.0.0.1: this machine only]")
    parser.add_argument("--port", type=int, default=8501, help="port to listen at; 0 for any free one [8501]")
    for flag, default, what in (
        ("--max-body", LIMITS.body, "most bytes of a request"),
        ("--max-texts", LIMITS.rows, "most texts of a request"),
        ("--max-characters", LIMITS.characters, "most characters of a text"),
        ("--batch-texts", 64, "most texts in one call of a model"),
        ("--batch-bytes", 200_000, "most bytes of text in one call of a model"),
        ("--max-waiting", 10_000, "most texts that wait for a model; more are refused"),
    ):
        parser.add_argument(flag, type=_positive, default=default, metavar="N", help=f"{what} [{default}]")
    parser.add_argument("--wait", type=float, default=2, metavar="MS", help="milliseconds to wait for texts to merge [2]")
    arguments = parser.parse_args(argv)
    serve(
        arguments.models,
        arguments.host,
        arguments.port,
        Limits(arguments.max_body, arguments.max_texts, arguments.max_characters),
        rows=arguments.batch_texts,
        size=arguments.batch_bytes,
        wait=arguments.wait / 1000,
        waiting=arguments.max_waiting,
    )


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


if __name__ == "__main__":
    raise SystemExit(main())
