"""Texts and sentences to tag, read as a stream from lines of text, JSON lines or CoNLL columns.

Takes lines and yields texts (strings) and split sentences (tuples of words), one at a time, so that memory is bounded. The
formats are defined in `tfner.data.conll` and `tfner.data.jsonl`. Opening files is left to the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tfner.config import INPUT_FORMATS
from tfner.data.conll import columns, sentence_lines
from tfner.data.files import BYTE_ORDER_MARK, CONLL_EXTENSIONS, JSON_EXTENSIONS, shorten
from tfner.data.jsonl import json_objects, string_list
from tfner.errors import UserError, setting

_EXAMPLE = '{"text": "..."} or {"tokens": ["...", "..."]}'


def guess_format(name: str) -> str:
    """The format that the ending of a file's name implies, such as `conll` for `.conll` and `.iob2`; otherwise `text`."""
    ending = "." + name.lower().rpartition(".")[2]
    if ending in JSON_EXTENSIONS:
        return "jsonl"
    return "conll" if ending in CONLL_EXTENSIONS else "text"


def read_inputs(lines: Iterable[str], kind: str, name: str | Path = "standard input") -> Iterator[str | tuple[str, ...]]:
    """Yields an input per line (`text`), per object with `"text"` or `"tokens"` (`jsonl`), or per sentence (`conll`).

    Every line of text and every object yields an input, so results keep the order and number of the input. For `conll`, the
    words are the first column; further columns are not used. A byte order mark at the start is removed.

    Args:
        lines: lines as a file yields them that is opened with `newline="\\n"`.
        kind: one of `INPUT_FORMATS`.
        name: the file, for messages.

    Raises:
        UserError: for an unknown format, and for a line that does not have the format.
    """
    if kind not in INPUT_FORMATS:
        raise UserError(f"{setting('format', kind)}: expected one of {', '.join(INPUT_FORMATS)}")
    lines = _without_mark(lines)
    if kind == "text":
        for line in lines:
            yield line.rstrip("\r\n")
    elif kind == "conll":
        for sentence in sentence_lines(lines):
            if sentence is not None:
                yield tuple(columns(line)[0] for line in sentence.lines)
    else:
        for number, row in json_objects(lines, name, _EXAMPLE):
            yield _input(row, name, number)


def _without_mark(lines: Iterable[str]) -> Iterator[str]:
    """The same lines, the first one without a byte order mark."""
    lines = iter(lines)
    for first in lines:
        yield first.removeprefix(BYTE_ORDER_MARK)
        break
    yield from lines


def _input(row: dict[str, Any], name: str | Path, line: int) -> str | tuple[str, ...]:
    """The text or the words of an object."""
    text = row.get("text")
    if isinstance(text, str):
        return text
    if "tokens" in row:
        return tuple(string_list(row, "tokens", name, line))
    raise UserError(f"expected an object such as {_EXAMPLE}, found {shorten(row)}: correct the line", name, line)
