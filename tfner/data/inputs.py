"""What is to be tagged, read as a stream: texts, JSON lines, or CoNLL columns.

In go lines, out come texts (strings) or split sentences (tuples of words), one at a time, so that input of any size fits.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from tfner.config import INPUT_FORMATS
from tfner.errors import UserError


def guess_format(name: str) -> str:
    """The format that a file's name promises: `.jsonl` and `.json`, `.conll` and `.iob…`, otherwise text."""
    ending = name.lower().rpartition(".")[2]
    if ending in ("jsonl", "json"):
        return "jsonl"
    return "conll" if ending in ("conll", "iob", "iob2", "bio", "conllu") else "text"


def read_inputs(lines: Iterable[str], kind: str, name: str = "standard input") -> Iterator[str | tuple[str, ...]]:
    """Yields an input per line (`text`, `jsonl` with `"text"` or `"tokens"`) or sentence (`conll`, first column).

    Empty texts are inputs like any other, so that results stay in step with lines.

    Raises UserError with the line's number for a line that is not what its format asks for.
    """
    if kind not in INPUT_FORMATS:
        raise UserError(f"--format: expected one of {', '.join(INPUT_FORMATS)}, got {kind!r}")
    if kind == "conll":
        yield from _sentences(lines)
        return
    for number, line in enumerate(lines, start=1):
        line = line.rstrip("\r\n")
        yield line if kind == "text" else _from_json(line, f"{name}:{number}")


def _sentences(lines: Iterable[str]) -> Iterator[tuple[str, ...]]:
    words: list[str] = []
    for line in lines:
        columns = line.rstrip("\r\n").split("\t" if "\t" in line else " ")
        if columns[0] and columns[0] != "-DOCSTART-":
            words.append(columns[0])
        elif words:
            yield tuple(words)
            words = []
    if words:
        yield tuple(words)


def _from_json(line: str, where: str) -> str | tuple[str, ...]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f'{where}: expected a JSON object with "text" or "tokens", got {line[:60]!r} ({error.msg})') from None
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return value["text"]
    tokens = value.get("tokens") if isinstance(value, dict) else None
    if isinstance(tokens, list) and all(isinstance(token, str) for token in tokens):
        return tuple(tokens)
    raise UserError(
        f'{where}: expected a JSON object with "text" (a string) or "tokens" (a list of strings), got {line[:60]!r}'
    )
