"""CoNLL columns: a word on each line with its tags in further columns, a blank line between sentences.

`sentence_lines` and `columns` hold the rules of the format for every reader. `read_columns` takes a file's text and returns a
`RawSentence` per sentence. Tag schemes and labels are left to `tfner.data.load`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from sys import intern
from typing import NamedTuple

from tfner.data.files import RawSentence, shorten
from tfner.errors import UserError, setting

DOCUMENT_MARK = "-DOCSTART-"
_LAYOUTS = {4: "word POS chunk NER", 3: "word POS NER"}
_COLUMNS = {("pos", 4): 1, ("chunk", 4): 2, ("pos", 3): 1}  # task, number of columns: the column, counted from 0


class SentenceLines(NamedTuple):
    """The lines of a sentence without their ends, and the number of the first one, from 1. They follow each other directly."""

    first: int
    lines: list[str]


def columns(line: str) -> list[str]:
    """The columns of a line.

    They are separated by a tab where the line has one, and by spaces otherwise. No other white space separates, so a no-break
    space can be a word.
    """
    if "\t" in line:
        return line.split("\t")
    cells = line.split(" ")
    return [cell for cell in cells if cell] if "" in cells else cells


def sentence_lines(lines: Iterable[str]) -> Iterator[SentenceLines | None]:
    """Yields the lines of each sentence, and None for each document mark. Reads no further than it has to.

    A line is blank if it is empty or holds only white space. A line whose first column is `-DOCSTART-` is a document mark.
    Both end a sentence.

    Args:
        lines: lines with or without their `\\n`. Splitting at other characters would split words that contain U+0085 or U+2028.
    """
    first = 0
    sentence: list[str] = []
    for number, line in enumerate(lines, start=1):
        line = line.rstrip(" \t\r\n")
        mark = DOCUMENT_MARK in line and columns(line)[0] == DOCUMENT_MARK
        if line and not line.isspace() and not mark:
            if not sentence:
                first = number
            sentence.append(line)
            continue
        if sentence:
            yield SentenceLines(first, sentence)
            sentence = []
        if mark:
            yield None
    if sentence:
        yield SentenceLines(first, sentence)


def read_columns(text: str, path: str | Path, task: str, tag_column: int | None = None) -> list[RawSentence]:
    """The sentences of a file's text.

    Sentences before the first document mark are a document too.

    Args:
        text: the text of the file.
        path: the file, for messages.
        task: the task, which decides the column of the tags in the usual layouts.
        tag_column: the column of the tags instead, from 1 (the word), or from the end if negative.

    Raises:
        UserError: where the number of columns changes, there is no sentence, or the column of the tags is not known.
    """
    found: list[RawSentence] = []
    width = width_line = column = 0  # of the first line that is not blank
    marked = starting = False  # there is a mark; the next sentence starts a document
    document = 0
    for sentence in sentence_lines(text.split("\n")):
        if sentence is None:
            marked = starting = True
            continue
        words, tags = [], []
        for number, line in enumerate(sentence.lines, start=sentence.first):
            cells = columns(line)
            if not width:
                width, width_line = len(cells), number
                column = _tag_column(width, task, tag_column, path, number)
            if len(cells) != width:
                raise UserError(
                    f"expected {width} columns as in line {width_line}, found {len(cells)}: {shorten(line)}: correct the line "
                    "(a tab or spaces separate columns, a blank line separates sentences)",
                    path,
                    number,
                )
            words.append(cells[0])
            tags.append(intern(cells[column]))
        document += starting and bool(found)
        starting = False
        found.append(RawSentence(tuple(words), tuple(tags), document, sentence.first))
    if not found:
        raise UserError("expected a word and its tag on each line, found no sentence: check that this is the right file", path)
    return found if marked else [sentence._replace(document=None) for sentence in found]


def _tag_column(width: int, task: str, tag_column: int | None, path: str | Path, line: int) -> int:
    """The column of the tags, counted from 0, in a file of `width` columns."""
    if width < 2:
        raise UserError(
            "expected a word and at least one tag, separated by a tab or spaces, found one column: check that this is the "
            "right file",
            path,
            line,
        )
    if tag_column is not None:
        column = tag_column - 1 if tag_column > 0 else width + tag_column
        if not 1 <= column < width:
            raise UserError(
                f"{setting('tag_column', tag_column)}: expected 2 to {width}, or -1 to {1 - width} from the end, as the line "
                f"has {width} columns and the first is the word",
                path,
                line,
            )
        return column
    if task == "ner":
        return width - 1
    if (task, width) not in _COLUMNS:
        known = " or ".join(f"{n} columns ({_LAYOUTS[n]})" for t, n in _COLUMNS if t == task)
        raise UserError(
            f"{setting('task', task)}: expected {known}, found {width}: give the column of the tags with "
            f"{setting('tag_column', width) if width == 2 else setting('tag_column') + f' (2 to {width})'}",
            path,
            line,
        )
    return _COLUMNS[task, width]
