"""Fills the generated parts of the reference when MkDocs builds the site.

A marker in a page is replaced by what the code says: `<!-- flags: train -->` by the settings of `Config`, `<!-- help: VERB -->`
by the help of a command, `<!-- signatures -->` by the signatures of an exported model, `<!-- errors -->` by the texts of the
errors that the tests check.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from tfner.config import GROUPS, Config, default_text
from tfner.contract import SIGNATURES, Field

ERRORS = Path(__file__).parent.parent / "tests" / "golden" / "errors.json"
_MARKER = re.compile(r"^<!-- (flags|help|signatures|errors)(?:: (\w+))? -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs calls this with the Markdown of each page."""
    return _MARKER.sub(lambda marker: _GENERATED[marker[1]](*filter(None, [marker[2]])), markdown)


def flags_of(verb: str) -> str:
    """A table for each group of settings: flag, default, meaning. Only `train` has all of them."""
    assert verb == "train", verb
    parts = []
    for group, heading in GROUPS.items():
        rows = [
            (f"`--{one.name.replace('_', '-')}`", default_text(one) or "off", _meaning(one.metadata))
            for one in fields(Config)
            if one.metadata["group"] == group
        ]
        parts.append(f"### {heading[0].upper()}{heading[1:]}\n\n{_table(('flag', 'default', 'meaning'), rows)}")
    return "\n\n".join(parts)


def _meaning(metadata: Any) -> str:
    choices = ", ".join(f"`{choice}`" for choice in metadata["choices"])
    return metadata["help"] + (f"; one of {choices}" if choices else "")


def help_of(verb: str) -> str:
    """What `python -m tfner.VERB --help` prints, 100 columns wide."""
    columns, printed = os.environ.get("COLUMNS"), io.StringIO()
    os.environ["COLUMNS"] = "100"
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            importlib.import_module(f"tfner.{verb}").main(["--help"])
    finally:
        del os.environ["COLUMNS"]
        if columns is not None:
            os.environ["COLUMNS"] = columns
    return f"```text\n{printed.getvalue().strip()}\n```"


def signatures() -> str:
    """A section for each signature with tables of its inputs and outputs."""
    parts = []
    for one in SIGNATURES:
        parts.append(f"### `{one.name}`\n\n{one.meaning}")
        for title, named in (("input", one.inputs), ("output", one.outputs)):
            rows = [(f"`{name}`", field.dtype, _shape(field), field.meaning) for name, field in named.items()]
            parts.append(_table((title, "type", "shape", "meaning"), rows))
    return "\n\n".join(parts)


def _shape(field: Field) -> str:
    return f"({', '.join(field.shape)}{',' if len(field.shape) == 1 else ''})"


def errors() -> str:
    """A table of the errors: the situation, and the message with its remedy. The Python form is shown where it differs."""
    rows = []
    for key, texts in sorted(json.loads(ERRORS.read_text("utf-8")).items()):
        message = _code(texts["command line"])
        if texts["python"] != texts["command line"]:
            message += f"<br>in Python: {_code(texts['python'])}"
        rows.append((key.replace("_", " "), message))
    return _table(("situation", "message"), rows)


def _code(text: str) -> str:
    """Text as inline code, which may hold backticks and, in a table, bars."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_GENERATED: dict[str, Callable[..., str]] = {"flags": flags_of, "help": help_of, "signatures": signatures, "errors": errors}
