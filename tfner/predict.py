"""`python -m tfner.predict`: tags texts given on the command line, in a file, or on standard input.

Texts or split sentences go in; entities come out, as lines for the eye or as JSON, in the order of the input.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import tee
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tfner.config import INPUT_FORMATS
from tfner.data.inputs import guess_format, read_inputs
from tfner.labels import Entity
from tfner.terminal import Parser, command, quiet_imports

_COLOURS = (36, 33, 32, 35, 34, 31)  # cyan, yellow, green, magenta, blue, red


def predict(
    model: str | Path, inputs: Iterable[str | Sequence[str]], chunk: int | None = None
) -> Iterator[tuple[str, list[Entity]]]:
    """Tags any number of texts or split sentences with an exported model; yields each text with its entities, in order.

    Args:
        model: a version's folder, a folder of versions, or the address of a served model.
        inputs: texts (strings) and split sentences (sequences of words).
        chunk: how many are read and tagged at once.

    Raises:
        UserError: where there is no such model.
    """
    with quiet_imports():
        from tfner.tagging.load import load_tagger
        from tfner.tagging.tagger import TEXTS_PER_CHUNK
    with load_tagger(model) as tagger:
        inputs, again = tee(inputs)
        for item, entities in zip(again, tagger.tag_many(inputs, chunk or TEXTS_PER_CHUNK), strict=True):
            yield item if isinstance(item, str) else " ".join(item), entities


def as_json(text: str, entities: Sequence[Entity]) -> dict[str, Any]:
    """A text and its entities as what `json.dumps` takes; offsets in characters and words, half-open."""
    return {
        "text": text,
        "entities": [
            {
                "type": e.type,
                "text": e.text,
                "start": e.start,
                "end": e.end,
                "score": round(e.score, 6),
                "first_word": e.first_word,
                "end_word": e.end_word,
            }
            for e in entities
        ],
    }


def highlight(text: str, entities: Sequence[Entity], colours: bool) -> str:
    """The text with its entities marked as `[text]TYPE`, in colour on a terminal."""
    types = sorted({e.type for e in entities})
    parts, position = [], 0
    for e in entities:
        marked = f"[{e.text}]{e.type}"
        if colours:
            marked = f"\x1b[{_COLOURS[types.index(e.type) % len(_COLOURS)]};1m{marked}\x1b[0m"
        parts += [text[position : e.start], marked]
        position = e.end
    return "".join([*parts, text[position:]])


def format_entities(text: str, entities: Sequence[Entity], colours: bool = False) -> str:
    """The highlighted text, and a line for each of its entities."""
    return "\n".join([highlight(text, entities, colours), *map(entity_line, entities)])


def entity_line(entity: Entity) -> str:
    """One entity as a line: type, score, text, words and characters."""
    words = (
        f"word {entity.first_word}"
        if entity.end_word == entity.first_word + 1
        else f"words {entity.first_word}-{entity.end_word}"
    )
    return f"  {entity.type:<8} {entity.score:.4f}  {entity.text}  ({words}, characters {entity.start}-{entity.end})"


@command
def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = Parser("predict", "Tag texts with a trained model.")
    parser.add_argument("model", help="folder of a trained model, such as saved_models/head, or address of a served one")
    parser.add_argument("texts", nargs="*", metavar="text", help="texts to tag [read --file or standard input]")
    parser.add_argument("--file", metavar="FILE", help="file of texts, one a line, JSON lines, or CoNLL columns")
    parser.add_argument(
        "--format", metavar="|".join(INPUT_FORMATS), help="format of the input [from the file's name, else text]"
    )
    parser.add_argument("--text-encoding", default="utf-8", metavar="NAME", help="encoding of the input [utf-8]")
    parser.add_argument("--json", action="store_true", help="print one JSON object per text, a line each")
    arguments = parser.parse_intermixed_args(argv)
    if arguments.texts and arguments.file:
        parser.error("give texts or --file, not both")
    interactive = not arguments.texts and not arguments.file and sys.stdin.isatty()
    if not arguments.texts and not arguments.file:
        sys.stdin.reconfigure(encoding=arguments.text_encoding)
    with Path(arguments.file).open(encoding=arguments.text_encoding) if arguments.file else nullcontext(sys.stdin) as lines:
        kind = arguments.format or guess_format(arguments.file or "")
        inputs = arguments.texts or read_inputs(lines, kind, arguments.file or "standard input")
        results = predict(arguments.model, inputs, chunk=1 if interactive else None)
        quiet = bool(arguments.texts) or not sys.stderr.isatty() or sys.stdout.isatty()
        colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        for text, entities in tqdm(results, unit="text", disable=quiet, file=sys.stderr):
            if arguments.json:
                print(json.dumps(as_json(text, entities), ensure_ascii=False))
                continue
            print(format_entities(text, entities, colours))


if __name__ == "__main__":
    raise SystemExit(main())
