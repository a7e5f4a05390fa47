"""`tfner VERB` and `python -m tfner VERB`: one program for all verbs."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

from tfner import __version__

VERBS = {
    "explore": "count a corpus and show its sentences",
    "train": "fine-tune an encoder and export the model",
    "compare": "train variants with several seeds, and compare them",
    "evaluate": "score a model on a split",
    "predict": "tag texts",
    "serve": "serve models over HTTP, with a page to try them",
    "export": "export a trained model again, or for another runtime",
}
_USAGE = """\
usage: tfner VERB ...
       tfner --version

{verbs}

tfner VERB --help lists the arguments of a verb.
Exit status: 0 on success, 1 for an internal error, 2 for invalid input, 130 on Ctrl-C, 143 on SIGTERM in a training."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb with the arguments that follow it; returns its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = arguments[0] if arguments else ""
    if verb in VERBS:
        status: int = importlib.import_module(f"tfner.{verb}").main(arguments[1:])
        return status
    if verb == "--version":
        print(f"tfner {__version__}")
        return 0
    if verb in ("-h", "--help"):
        print(_USAGE.format(verbs="\n".join(f"  {name:<9} {what}" for name, what in VERBS.items())))
        return 0
    similar = difflib.get_close_matches(verb, VERBS, n=1)
    hint = f"; did you mean {similar[0]}?" if similar else ""
    found = f"got {verb!r}{hint}" if verb else "got none"
    print(f"error: expected a verb ({', '.join(VERBS)}), {found}: tfner --help explains them", file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
