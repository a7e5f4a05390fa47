"""``python -m tfner.export``: makes the next version of a model from its training state, or a folder for another runtime.

A model's folder goes in, a new folder beside the earlier ones comes out. What a format looks like is its module's matter.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tfner.errors import UserError
from tfner.folder import TRAINING, next_number, numbers, publish
from tfner.terminal import command, print_json, quiet_imports

FORMATS = {
    "savedmodel": "for tfner and TensorFlow Serving",
    "transformers": "for PyTorch transformers, variants finetune and replace",
    "onnx": "for ONNX Runtime",
}


def export(
    folder: str | Path,
    state: int | None = None,
    format: str = "savedmodel",
    output: str | Path | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Exports the best weights of a training into a new folder.

    Args:
        folder: a model's folder, such as ``saved_models/head``.
        state: the number of the training state in it [the latest].
        format: a key of ``FORMATS``.
        output: the folder to make [the model's next version; for other formats the next number in ``folder/FORMAT``].
        say: is given every line for the terminal.

    Returns:
        The new folder.

    Raises:
        UserError: where there is no such training state, or it is damaged; where the format cannot hold the model, or needs a
            package that is not installed; where ``output`` exists.
    """
    folder = Path(folder).expanduser()
    if format not in FORMATS:
        raise UserError(f"--format: expected one of {', '.join(FORMATS)}, got {format!r}")
    found = numbers(folder / TRAINING)
    if not found or (state is not None and state not in found):
        raise UserError(
            f"{folder}: expected a training state {folder / TRAINING / str(state or 'N')}, found "
            f"{', '.join(map(str, found)) or 'none'}; python -m tfner.train --output {folder} makes one"
        )
    source = folder / TRAINING / str(state or found[-1])
    parent = folder if format == "savedmodel" else folder / format
    target = Path(output).expanduser() if output else parent / str(next_number(parent))
    if target.exists():
        raise UserError(f"--output {target}: expected a new folder, but it exists: choose another")
    with quiet_imports():
        from tfner.exports import onnx as onnx_format
        from tfner.exports import saved_model as bundle
        from tfner.exports import transformers as transformers_format
        from tfner.modeling import variants as models
        from tfner.training.callbacks import logits_function
    if format == "onnx":
        onnx_format.require_tf2onnx()
    model, encoder, config = bundle.load_state(source)
    about = {"encoder": encoder, "config": config, "state": source, "scores": bundle.read_scores(source / bundle.SCORES)}
    if format == "transformers":
        weights = transformers_format.pytorch_weights(model, config)
        write = partial(transformers_format.write_transformers, weights=weights, model=model, **about)
    elif format == "onnx":
        graph = onnx_format.onnx_graph(model, config, source)
        write = partial(onnx_format.write_onnx, graph=graph, model=model, **about)
    else:
        models.for_inference(model)
        write = partial(bundle.write_saved_model, logits=logits_function(model), say=say, **about)
    return publish(target, write)


@command
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        "python -m tfner.export", description="Export a training's best weights into a new folder."
    )
    parser.add_argument("model", help="folder of a trained model, such as saved_models/head")
    parser.add_argument("--state", type=int, metavar="N", help="number of the training state in MODEL/training [the latest]")
    parser.add_argument(
        "--format",
        default="savedmodel",
        metavar="|".join(FORMATS),
        help="; ".join(f"{name}: {what}" for name, what in FORMATS.items()) + " [savedmodel]",
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
