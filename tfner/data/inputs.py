"""Texts and sentences to tag, read as a stream from lines of text, JSON lines, CoNLL columns or CoNLL-U.

Takes lines and yields texts (strings) and split sentences (tuples of words), one at a time, so that memory is bounded. The
formats are defined in `tfner.data.conll` and `tfner.data.jsonl`. Opening files is left to the caller.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from tfner.config import INPUT_FORMATS
from tfner.data.conll import DOCUMENT_MARK, TAG, WORD_NUMBER, Rows, are_conllu, are_numbered, columns, sentence_rows
from tfner.data.files import BYTE_ORDER_MARK, CONLL_EXTENSIONS, JSON_EXTENSIONS, shorten
from tfner.data.jsonl import document_of, is_blank, json_object, string_list
from tfner.errors import UserError, setting

_HALF_PAIR = re.compile("[\ud800-\udfff]")
"""What readers make of bytes that are not text, which JSON has as escapes alone."""
T = TypeVar("T")
LONGEST_LINE, LONGEST_SENTENCE = 1 << 26, 1 << 24
"""The most characters of a line, and of the lines of a sentence, that are held in memory. What is longer is a problem."""
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
        document: the file and the document in it that a sentence of words is from, or None where documents are not marked.
            Consecutive sentences with the same one are tagged with each other's context.
    """

    item: str | tuple[str, ...]
    line: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    problem: UserError | None = None
    source: str = ""
    document: tuple[str, str] | None = None


def guess_format(name: str) -> str:
    """The format that the ending of a file's name implies, such as `conll` for `.conll` and `.iob2`; otherwise `text`."""
    ending = "." + name.lower().rpartition(".")[2]
    if ending in JSON_EXTENSIONS:
        return "jsonl"
    if ending == ".conllu":
        return "conllu"
    return "conll" if ending in CONLL_EXTENSIONS else "text"


def recognize(lines: Iterable[str], name: str) -> str:
    """The format of a file, from its first lines, and where they fit several, from its name.

    JSON lines begin with an object. CoNLL-U has ten columns and numbers its words. In CoNLL columns, all lines have as many
    columns, and the last is a tag of a known scheme.
    """
    first = [line.rstrip("\r\n").removeprefix(BYTE_ORDER_MARK) for line in lines if not is_blank(line)]
    if first and first[0].lstrip().startswith("{"):
        with contextlib.suppress(UserError):
            json_object(first[0], name, 1, _EXAMPLE)
            return "jsonl"
    rows = [columns(line) for line in first if not line.startswith("#") and not line.startswith(DOCUMENT_MARK)]
    widths = {len(row) for row in rows}
    if rows and are_conllu(rows):
        return "conllu"
    if len(rows) >= 3 and len(widths) == 1 and widths != {1} and all(TAG.fullmatch(row[-1]) for row in rows):
        return "conll"
    return guess_format(name)


def is_array(text: str) -> bool:
    """Whether a file of JSON that begins with this text is one array of objects, not lines of which the first is an array."""
    text = text.lstrip(f"{BYTE_ORDER_MARK} \t\r\n")
    if not text.startswith("[") or text[1:].lstrip()[:1] not in ("{", ""):
        return False
    first, _, others = text.partition("\n")
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return True
    return not others.strip()


def read_records(lines: Iterable[str], kind: str, name: str | Path) -> Iterator[Record]:
    """Yields an input per line (`text`), per object with `"text"` or `"tokens"` (`jsonl`), or per sentence (`conll`, `conllu`).

    Every line of text and every object yields an input, so results keep the order and number of the input. For `conll`, the
    words are the first column, or the second where the first numbers them; further columns and comments are not used. For
    `conllu`, they are the second column of the lines with whole numbers; comments, lines of several words and empty words are
    not used. A byte order mark at the start is removed. Sentences of words have documents as in a corpus (`-DOCSTART-` lines,
    `"document"`), but those before the first mark have none: whether a mark follows is not known yet.

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
    if kind in ("conll", "conllu"):
        yield from _of_columns(lines, kind == "conllu", name)
        return
    for number, line in enumerate(lines, start=1):
        if len(line) > LONGEST_LINE:
            yield _too_long("line", LONGEST_LINE, name, number, line[:1000])
        elif kind == "text":
            yield Record(line.rstrip("\r\n"), number)
        elif not is_blank(line):
            yield _of_json(line, number, name)


def valid(records: Iterable[Record]) -> Iterator[Record]:
    """Passes records on. Raises the UserError of the first that has a problem."""
    for record in records:
        if record.problem:
            raise record.problem
        yield record


def together(
    items: Iterable[T], size: int, most: int, document: Callable[[T], object] = attrgetter("document")
) -> Iterator[list[T]]:
    """Divides records into lists to be tagged together, which depend only on what follows their first one.

    A list has `size` of them, and more where the document of the last one goes on, up to `most`. It is yielded without waiting
    for the next record, if that does not matter.

    Args:
        items: records, or what has one.
        size: how many.
        most: how many at most.
        document: returns the document of an item's record.
    """
    some: list[T] = []
    for item in items:
        if len(some) >= size and document(item) != document(some[-1]):
            yield some
            some = []
        some.append(item)
        if len(some) == most or (len(some) >= size and document(item) is None):
            yield some
            some = []
    if some:
        yield some


def whole_lines(texts: Iterable[str]) -> Iterator[str]:
    """The lines of a text that comes in pieces. They end only with `\\n`, and each is yielded as soon as its end is there.

    Of a line of more than `LONGEST_LINE` characters, pieces are left out at its end, so that it still has more.
    """
    parts: list[str] = []  # of the line that is not complete yet
    size = 0
    for text in texts:
        first, *others = text.split("\n")
        if size <= LONGEST_LINE:
            parts.append(first)
            size += len(first)
        if others:
            yield "".join(parts) + "\n"
            yield from (line + "\n" for line in others[:-1])
            parts, size = [others[-1]], len(others[-1])
    if any(parts):
        yield "".join(parts)


_DECIDING = 3
"""Sentences of several words after which it is decided whether the first column numbers the words."""


def _of_columns(lines: Iterable[str], conllu: bool, name: str | Path) -> Iterator[Record]:
    """The words of each sentence. They are in the second column if the first numbers them in all of the first sentences."""
    numbered: bool | None = None
    waiting: list[tuple[Rows, tuple[str, str] | None]] = []  # until it is decided
    marks = 0

    def records() -> Iterator[Record]:
        for (first, rows), document in waiting:
            if not rows:
                yield _too_long("sentence", LONGEST_SENTENCE, name, first)
            elif conllu:
                yield replace(_of_conllu(first, rows, name), document=document)
            else:
                words = tuple(row[1 if numbered and len(row) > 1 else 0] for row in rows)
                yield Record(words, first, document=document)
        waiting.clear()

    for sentence in sentence_rows(lines, most=LONGEST_SENTENCE):
        if sentence is None:
            marks += 1
            continue
        waiting.append((sentence, (str(name), str(marks)) if marks else None))
        if numbered is None:
            if sentence.rows and not are_numbered(sentence.rows):
                numbered = False
            elif sum(len(rows) > 1 for (_, rows), _ in waiting) == _DECIDING:
                numbered = True
        if conllu or numbered is not None:
            yield from records()
    numbered = any(len(rows) > 1 for (_, rows), _ in waiting) if numbered is None else numbered
    yield from records()


def _of_conllu(first: int, rows: Sequence[Sequence[str]], name: str | Path) -> Record:
    """The words of a sentence: the lines with whole numbers. The others are several words together, and empty words."""
    for number, row in enumerate(rows, start=first):
        if len(row) < 2 or not WORD_NUMBER.fullmatch(row[0]):
            problem = f"expected a line of CoNLL-U, with the number of a word, found {shorten(row[0])}: correct it, or give "
            error = UserError(f"{problem}{setting('format', 'conll')} for other columns", name, number)
            return Record("", first, problem=error, source="\n".join("\t".join(own) for own in rows))
    return Record(tuple(row[1] for row in rows if row[0].isdecimal()), first)


def _too_long(what: str, most: int, name: str | Path, number: int, beginning: str = "") -> Record:
    """The problem record for a line or a sentence of more than `most` characters."""
    problem = UserError(f"expected a {what} of at most {most:,} characters, found a longer one: divide it", name, number)
    return Record("", number, problem=problem, source=beginning)


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
        if not line.isascii() and _HALF_PAIR.search(line):
            raise UserError(f"found bytes that are not text: correct them, or give {setting('text_encoding')}", name, number)
        row = json_object(line, name, number, _EXAMPLE)
        text = row.get("text")
        if isinstance(text, str):
            del row["text"]
            return Record(text, number, row)
        if "tokens" in row:
            words = string_list(row, "tokens", name, number)
            del row["tokens"]
            document = document_of(row)
            return Record(tuple(words), number, row, document=None if document is None else (str(name), document))
        raise UserError(f"expected an object such as {_EXAMPLE}, found {shorten(row)}: correct the line", name, number)
    except UserError as error:
        return Record("", number, problem=error, source=line.rstrip("\r\n"))
