"""``tfner VERB`` and ``python -m tfner VERB``: one command for all verbs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

VERBS = {
    "explore": "count and show a corpus",
    "train": "fine-tune an encoder and export the model",
    "evaluate": "score a model on a split",
    "predict": "tag texts",
    "serve": "serve models to programs and to a browser",
    "export": "export a training state again",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb with the arguments after it; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in VERBS:
        return importlib.import_module(f"tfner.{arguments[0]}").main(arguments[1:])
    usage = "usage: tfner VERB ...\n\n" + "\n".join(f"  {verb:<9} {what}" for verb, what in VERBS.items())
    asked = bool(arguments) and arguments[0] in ("-h", "--help")
    print(usage, file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


if __name__ == "__main__":
    raise SystemExit(main())
