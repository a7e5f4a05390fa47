"""Texts and sentences to tag, read as a stream from lines of text, JSON lines or CoNLL columns.

Takes lines and yields texts (strings) and split sentences (tuples of words), one at a time, so that memory is bounded. The
formats are defined in `tfner.data.conll` and `tfner.data.jsonl`. Opening files is left to the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfner.config import INPUT_FORMATS
from tfner.data.conll import columns, sentence_lines
from tfner.data.files import BYTE_ORDER_MARK, CONLL_EXTENSIONS, JSON_EXTENSIONS, shorten
from tfner.data.jsonl import is_blank, json_object, string_list
from tfner.errors import UserError, setting

_EXAMPLE = '{"text": "..."} or {"tokens": ["...", "..."]}'


@dataclass(frozen=True)
class Record:
    """An input as it was read.

    Attributes:
        item: the text or the words; empty where there is a problem.
        line: its first line, from 1.
        fields: what else the object of a JSON line, or the row of a table, holds.
        problem: why it is no input.
        source: the line as it was read, where there is a problem.
    """

    item: str | tuple[str, ...]
    line: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    problem: UserError | None = None
    source: str = ""


def guess_format(name: str) -> str:
    """The format that the ending of a file's name implies, such as `conll` for `.conll` and `.iob2`; otherwise `text`."""
    ending = "." + name.lower().rpartition(".")[2]
    if ending in JSON_EXTENSIONS:
        return "jsonl"
    return "conll" if ending in CONLL_EXTENSIONS else "text"


def read_inputs(lines: Iterable[str], kind: str, name: str | Path = "standard input") -> Iterator[str | tuple[str, ...]]:
    """Yields the inputs of `read_records`. Raises UserError as it does, and for a line that does not have the format."""
    for record in read_records(lines, kind, name):
        if record.problem:
            raise record.problem
        yield record.item


def read_records(lines: Iterable[str], kind: str, name: str | Path) -> Iterator[Record]:
    """Yields an input per line (`text`), per object with `"text"` or `"tokens"` (`jsonl`), or per sentence (`conll`).

    Every line of text and every object yields an input, so results keep the order and number of the input. For `conll`, the
    words are the first column; further columns are not used. A byte order mark at the start is removed.

    Args:
        lines: lines as a file yields them that is opened with `newline="\\n"`.
        kind: one of `INPUT_FORMATS`.
        name: the file, for messages.

    Raises:
        UserError: for an unknown format.
    """
    if kind not in INPUT_FORMATS:
        raise UserError(f"{setting('format', kind)}: expected one of {', '.join(INPUT_FORMATS)}")
    lines = _without_mark(lines)
    if kind == "conll":
        for sentence in sentence_lines(lines):
            if sentence is not None:
                yield Record(tuple(columns(line)[0] for line in sentence.lines), sentence.first)
        return
    for number, line in enumerate(lines, start=1):
        if kind == "text":
            yield Record(line.rstrip("\r\n"), number)
        elif not is_blank(line):
            yield _of_json(line, number, name)


def _without_mark(lines: Iterable[str]) -> Iterator[str]:
    """The same lines, the first one without a byte order mark."""
    lines = iter(lines)
    for first in lines:
        yield first.removeprefix(BYTE_ORDER_MARK)
        break
    yield from lines


def _of_json(line: str, number: int, name: str | Path) -> Record:
    """The text or the words of an object."""
    try:
        row = json_object(line, name, number, _EXAMPLE)
        text = row.get("text")
        if isinstance(text, str):
            return Record(text, number, _without(row, "text"))
        if "tokens" in row:
            return Record(tuple(string_list(row, "tokens", name, number)), number, _without(row, "tokens"))
        raise UserError(f"expected an object such as {_EXAMPLE}, found {shorten(row)}: correct the line", name, number)
    except UserError as error:
        return Record("", number, problem=error, source=line.rstrip("\r\n"))


def _without(row: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}
