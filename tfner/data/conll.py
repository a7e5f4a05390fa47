"""CoNLL columns: a word on each line with its tags in further columns, a blank line between sentences.

`sentence_rows` holds the rules of the format for every reader. `read_columns` takes a file's text and returns a `RawSentence`
per sentence. Tag schemes and labels are left to `tfner.data.load`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from pathlib import Path
from sys import intern
from typing import NamedTuple

from tfner.data.files import RawSentence, shorten
from tfner.errors import UserError, setting
from tfner.terminal import counted

DOCUMENT_MARK = "-DOCSTART-"
_LAYOUTS = {4: "word POS chunk NER", 3: "word POS NER"}
_COLUMNS = {("pos", 4): 1, ("chunk", 4): 2, ("pos", 3): 1}  # task, number of columns: the column, counted from 0

TAG = re.compile(r"O|[BIESLU]-\S+")
"""A tag as most files write it."""
WORD_NUMBER = re.compile(r"[0-9]+([-.][0-9]+)?")
"""How CoNLL-U numbers a word, several words together, or an empty word."""


class NoUsualColumn(UserError):
    """The file has no usual column for the tags of a task. `expected` is the message without what to do."""

    def __init__(self, message: str, path: str | Path | None = None, line: int | None = None, expected: str = ""):
        super().__init__(message, path, line)
        self.expected = expected


class SentenceLines(NamedTuple):
    """The lines of a sentence without their ends, and the number of the first one, from 1. They follow each other directly."""

    first: int
    lines: list[str]


class Rows(NamedTuple):
    """The columns of the lines of a sentence, and the number of the first line, from 1."""

    first: int
    rows: list[list[str]]


def columns(line: str) -> list[str]:
    """The columns of a line.

    They are separated by a tab where the line has one, and by spaces otherwise. No other white space separates, so a no-break
    space can be a word.
    """
    if "\t" in line:
        return line.split("\t")
    cells = line.split(" ")
    return [cell for cell in cells if cell] if "" in cells else cells


def sentence_lines(lines: Iterable[str], most: float = inf) -> Iterator[SentenceLines | None]:
    """Yields the lines of each sentence, and None for each document mark. Reads no further than it has to.

    A line is blank if it is empty or holds only white space. A line whose first column is `-DOCSTART-` is a document mark.
    Both end a sentence.

    Args:
        lines: lines with or without their `\\n`. Splitting at other characters would split words that contain U+0085 or U+2028.
        most: the most characters of a sentence. A longer one is not held in memory, and has no lines.
    """
    first = size = 0
    sentence: list[str] = []
    for number, line in enumerate(lines, start=1):
        line = line.rstrip(" \t\r\n")
        mark = DOCUMENT_MARK in line and columns(line)[0] == DOCUMENT_MARK
        if line and not line.isspace() and not mark:
            if not size:
                first = number
            size += len(line) + 1
            if size <= most:
                sentence.append(line)
            else:
                sentence = []
            continue
        if size:
            yield SentenceLines(first, sentence)
            sentence, size = [], 0
        if mark:
            yield None
    if size:
        yield SentenceLines(first, sentence)


def without_comments(sentence: SentenceLines, usual: str) -> SentenceLines:
    """The lines of a sentence without the comments before them.

    A comment begins with # and is written unlike the other lines: without a tab where they have one, or with another number of
    columns. If the # is a column of its own, between spaces, and the last column holds no tag where the others have one, it is
    a comment too.

    Args:
        sentence: the lines.
        usual: a line of another sentence, for sentences whose lines all begin with #; empty where there is none.
    """
    lines = sentence.lines
    if not lines[0].startswith("#"):
        return sentence
    other = next((line for line in reversed(lines) if not line.startswith("#")), usual)
    number = 0
    while number < len(lines) and lines[number].startswith("#") and _is_comment(lines[number], other):
        number += 1
    return SentenceLines(sentence.first + number, lines[number:])


def _is_comment(line: str, other: str) -> bool:
    cells, others = columns(line), columns(other)
    if other and ("\t" in other) != ("\t" in line):
        return True
    if other and len(cells) != len(others):
        return True
    tagged = TAG.fullmatch(others[-1]) if other else True
    return bool(cells[0] == "#" and "\t" not in line and tagged and not TAG.fullmatch(cells[-1]))


def sentence_rows(
    lines: Iterable[str], left_out: Callable[[int], None] = lambda number: None, most: float = inf
) -> Iterator[Rows | None]:
    """Yields the columns of each sentence of `sentence_lines`, without comments, and None for each document mark.

    `left_out` is called with the number of comments before each sentence. One of more than `most` characters has no rows.
    """
    usual = ""
    for sentence in sentence_lines(lines, most):
        if sentence is None or not sentence.lines:
            yield None if sentence is None else Rows(sentence.first, [])
            continue
        kept = without_comments(sentence, usual)
        left_out(kept.first - sentence.first)
        if kept.lines:
            usual = kept.lines[-1]
            yield Rows(kept.first, [columns(line) for line in kept.lines])


def are_numbered(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first of at least three columns numbers the words of a sentence, so that the words are in the second."""
    numbers = [row[0] for row in rows]
    return len(rows[0]) > 2 and any(numbers == [str(start + i) for i in range(len(rows))] for start in (0, 1))


def are_conllu(rows: Sequence[Sequence[str]]) -> bool:
    """Whether these are lines of CoNLL-U: ten columns, the first of which numbers words, several words together, or none."""
    return all(len(row) == 10 and WORD_NUMBER.fullmatch(row[0]) for row in rows)


def read_columns(
    text: str,
    path: str | Path,
    task: str,
    tag_column: int | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> list[RawSentence]:
    """The sentences of a file's text.

    Sentences before the first document mark are a document too. Where the first column numbers the words in every sentence, the
    words are in the second. In CoNLL-U, lines of several words and empty words are left out.

    Args:
        text: the text of the file.
        path: the file, for messages.
        task: the task, which decides the column of the tags in the usual layouts.
        tag_column: the column of the tags instead, from 1 (the word), or from the end if negative.
        note: called with a line for everything that was left out or guessed.

    Raises:
        UserError: where the number of columns changes, there is no sentence, or the column of the tags is not known.
    """
    left_out: list[int] = []
    sentences = list(sentence_rows(text.split("\n"), left_out.append))
    solid = [sentence for sentence in sentences if sentence]
    if not solid:
        raise UserError("expected a word and its tag on each line, found no sentence: check that this is the right file", path)
    _check_width(solid, path)
    all_rows = [rows for _, rows in solid]
    conllu = all(map(are_conllu, all_rows))
    numbered = conllu or (all(map(are_numbered, all_rows)) and any(len(rows) > 1 for rows in all_rows))
    column = _tag_column(all_rows[0], task, tag_column, numbered, conllu, path, solid[0].first)
    if comments := sum(left_out):
        note(f"{counted(comments, 'comment line')} beginning with # left out")
    if numbered:
        note(f"the first column numbers the words, which are in the second; tags are read from column {column + 1}")

    found: list[RawSentence] = []
    marked = starting = False  # there is a mark; the next sentence starts a document
    document = 0
    for one in sentences:
        if one is None:
            marked = starting = True
            continue
        first, rows = one
        lines = [(number, row) for number, row in enumerate(rows, start=first) if not conllu or row[0].isdecimal()]
        document += starting and bool(found)
        starting = False
        words, tags = tuple(row[numbered] for _, row in lines), tuple(intern(row[column]) for _, row in lines)
        found.append(RawSentence(words, tags, document, first, numbers=tuple(number for number, _ in lines) if conllu else ()))
    return found if marked else [sentence._replace(document=None) for sentence in found]


def _check_width(sentences: Sequence[Rows], path: str | Path) -> None:
    """Raises UserError where the number of columns changes."""
    width, width_line = len(sentences[0].rows[0]), sentences[0].first
    for first, rows in sentences:
        for number, row in enumerate(rows, start=first):
            if len(row) != width:
                raise UserError(
                    f"expected {width} columns as in line {width_line}, found {len(row)}: {shorten(' '.join(row))}: correct "
                    "the line (a tab or spaces separate columns, a blank line separates sentences)",
                    path,
                    number,
                )


def _tag_column(
    rows: Sequence[Sequence[str]],
    task: str,
    tag_column: int | None,
    numbered: bool,
    conllu: bool,
    path: str | Path,
    line: int,
) -> int:
    """The column of the tags, counted from 0, in a file with such rows."""
    width, first = len(rows[0]), 2 + numbered  # the first column that may have tags, from 1
    if width < first:
        raise UserError(
            "expected a word and at least one tag, separated by a tab or spaces, found one column: check that this is the "
            "right file",
            path,
            line,
        )
    if tag_column is not None:
        column = tag_column - 1 if tag_column > 0 else width + tag_column
        if not first <= column + 1 <= width:
            raise UserError(
                f"{setting('tag_column', tag_column)}: expected {first} to {width}, or -1 to {first - 1 - width} from the end, "
                f"as the line has {width} columns and the {'second' if numbered else 'first'} is the word",
                path,
                line,
            )
        return column
    if conllu and task == "pos":
        return 3  # UPOS
    if conllu:
        expected = f"{setting('task', task)}: CoNLL-U has no column for these tags"
        raise NoUsualColumn(f"{expected}: give theirs with {setting('tag_column')} (10 is MISC)", path, line, expected)
    if task == "ner":
        tagged = [all(TAG.fullmatch(row[i]) for row in rows) for i in range(2, width)]
        several = numbered and all(tagged)  # as in GermEval, the outer ones first
        return 2 if several else width - 1
    known = _COLUMNS.get((task, width - numbered))
    if known is None:
        shown = " or ".join(f"{n} columns ({_LAYOUTS[n]})" for t, n in _COLUMNS if t == task)
        flag = setting("tag_column", width) if width == 2 else f"{setting('tag_column')} ({first} to {width})"
        expected = f"{setting('task', task)}: expected {shown}, found {width}"
        raise NoUsualColumn(f"{expected}: give the column of the tags with {flag}", path, line, expected)
    return known + numbered
