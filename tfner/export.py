"""``python -m tfner.export``: makes the next version of a model from its training state.

A model's folder goes in, a SavedModel beside the earlier ones comes out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tfner.errors import UserError
from tfner.terminal import command, print_json, quiet_imports
from tfner.versions import TRAINING, next_number, numbers, publish


def export(folder: str | Path, state: int | None = None) -> Path:
    """Exports the best weights of a training as the next version.

    Args:
        folder: a model's folder, such as ``saved_models/head``.
        state: the number of the training state in it [the latest].

    Returns:
        The new version's folder.

    Raises:
        UserError: where there is no such training state, or it is damaged.
    """
    folder = Path(folder).expanduser()
    found = numbers(folder / TRAINING)
    if not found or (state is not None and state not in found):
        raise UserError(
            f"{folder}: expected a training state {folder / TRAINING / str(state or 'N')}, found "
            f"{', '.join(map(str, found)) or 'none'}; python -m tfner.train --output {folder} makes one"
        )
    source = folder / TRAINING / str(state or found[-1])
    with quiet_imports():
        from tfner import bundle
        from tfner.epochs import logits_function
    model, encoder, config = bundle.load_state(source)
    scores = bundle.read_scores(source / bundle.SCORES)
    return publish(
        folder / str(next_number(folder)),
        lambda draft: bundle.write_saved_model(draft, logits_function(model), encoder, config, source, scores),
    )


@command
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        "python -m tfner.export", description="Export a training's best weights as the next version."
    )
    parser.add_argument("model", help="folder of a trained model, such as saved_models/head")
    parser.add_argument("--state", type=int, metavar="N", help="number of the training state in MODEL/training [the latest]")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    arguments = parser.parse_args(argv)
    folder = export(arguments.model, arguments.state)
    if arguments.json:
        print_json({"folder": str(folder)})
    else:
        print(f"exported to {folder}", file=sys.stdout)


if __name__ == "__main__":
    raise SystemExit(main())
