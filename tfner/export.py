"""`python -m tfner.export`: exports a training state again, as the next version or as a folder for another runtime.

Takes the folder of a model and returns a new folder beside the earlier ones. Each format is defined in its own module of
`tfner.exports`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from tfner.config import EXPORT_FORMATS
from tfner.errors import UserError, setting
from tfner.folder import TRAINING, next_version, publish, versions
from tfner.terminal import Parser, command, print_json, quiet_imports, quote

_EXPORTERS = {"savedmodel": "saved_model", "transformers": "transformers", "onnx": "onnx"}
"""The module of `tfner.exports` that writes each format."""


def export(
    folder: str | Path,
    state: int | None = None,
    format: str = "savedmodel",
    output: str | Path | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Exports the best weights of a training into a new folder.

    Args:
        folder: a model's folder, such as `saved_models/head`.
        state: the number of the training state in it [the latest].
        format: a key of `EXPORT_FORMATS`.
        output: the folder to make [the model's next version; for other formats the next number in `folder/FORMAT`].
        say: called with each line for the terminal.

    Returns:
        The new folder.

    Raises:
        UserError: if the training state is missing or damaged, the format cannot hold the model or needs a package that is not
            installed, or `output` exists.
    """
    folder = Path(folder).expanduser()
    if format not in EXPORT_FORMATS:
        raise UserError(f"{setting('format', format)}: expected one of {', '.join(EXPORT_FORMATS)}")
    found = versions(folder / TRAINING)
    if not found or (state is not None and state not in found):
        wanted = "a training state" if state is None else setting("state", state)
        advice = "choose one of these" if found else f"train with python -m tfner.train --output {quote(folder)}"
        raise UserError(f"expected {wanted} in {TRAINING}/, found {', '.join(map(str, found)) or 'none'}: {advice}", folder)
    parent = folder if format == "savedmodel" else folder / format
    target = Path(output).expanduser() if output else parent / str(next_version(parent))
    if target.exists():
        raise UserError(f"{setting('output', target)}: expected a new folder, but it exists: choose another name")
    if format == "onnx" and not (find_spec("tf2onnx") and find_spec("onnx")):
        raise UserError(f"{setting('format', format)}: tf2onnx is not installed: pip install -e '.[onnx]'")
    with quiet_imports():
        from tfner.training.state import load_state

        exporter = import_module(f"tfner.exports.{_EXPORTERS[format]}")
    trained = load_state(folder / TRAINING / str(state or found[-1]))
    return publish(target, exporter.writer(trained, say))


@command
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = Parser("export", "Export the best weights of a training into a new folder.")
    parser.add_argument("model", help="folder of a trained model, such as saved_models/head")
    parser.add_argument("--state", type=int, metavar="N", help="number of the training state in MODEL/training [the latest]")
    parser.add_argument(
        "--format",
        default="savedmodel",
        metavar="|".join(EXPORT_FORMATS),
        help="; ".join(f"{name}: {what}" for name, what in EXPORT_FORMATS.items()) + " [savedmodel]",
    )
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        help="new folder to make [MODEL/N; MODEL/transformers/N and MODEL/onnx/N for these formats]",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    arguments = parser.parse_args(argv)
    say = partial(print, file=sys.stderr) if arguments.json else print
    folder = export(arguments.model, arguments.state, arguments.format, arguments.output, say)
    if arguments.json:
        print_json({"folder": str(folder)})
    else:
        print(f"exported to {folder}")


if __name__ == "__main__":
    raise SystemExit(main())
