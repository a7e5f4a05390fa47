"""JSON lines: an object on each line with `tokens` and their tags, as names or as ids.

`json_objects` and `string_list` hold the rules of the format for every reader. `read_jsonl` takes a file's text and returns a
`RawSentence` per sentence, with names for ids. Tag schemes are left to `tfner.data.load`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tfner.data.files import RawSentence, number_documents, shorten
from tfner.data.spans import has_spans, read_spans
from tfner.errors import UserError, one_line, setting

LABELS_FILE = "labels.json"
_HALF = re.compile("[\ud800-\udfff]")
_DOCUMENT_KEYS = ("document", "document_id")


def json_objects(lines: Iterable[str], path: str | Path, example: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the number (from 1) and the object of each line. Blank lines are passed over.

    Args:
        lines: lines with or without their `\\n`. Splitting at other characters would split strings that contain U+2028.
        path: the file, for messages.
        example: what an object looks like, for messages.

    Raises:
        UserError: for a line that is not one JSON object.
    """
    for number, line in enumerate(lines, start=1):
        if not is_blank(line):
            yield number, json_object(line, path, number, example)


def is_blank(line: str) -> bool:
    """Whether a line has no object."""
    return not line or line.isspace()


def json_object(line: str, path: str | Path, number: int, example: str) -> dict[str, Any]:
    """The object of a line. Raises UserError for a line that is not one JSON object."""
    line = line.rstrip("\r\n")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:  # ValueError: a number of thousands of digits, besides what is not JSON
        reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else one_line(error)
        raise UserError(
            f"expected one JSON object on each line, found {shorten(line)} ({reason}): write "
            f"every object on a line of its own, such as {example}",
            path,
            number,
        ) from None
    if not isinstance(row, dict):
        raise UserError(f"expected an object such as {example}, found {shorten(row)}: correct the line", path, number)
    return row


def string_list(row: Mapping[str, Any], key: str, path: str | Path, line: int) -> list[str]:
    """The strings under a key. Raises UserError where there is anything else."""
    values = _list(row, (key,), path, line)
    for value in values:
        if not isinstance(value, str):
            raise UserError(f"expected strings under {key!r}, found {shorten(value)}: put it in quotes", path, line)
    return values


def read_jsonl(
    text: str,
    path: Path,
    task: str,
    label_list: Sequence[str] | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> list[RawSentence]:
    """The sentences of a file's text, which is JSON lines or one JSON array of objects. Those without tokens are left out.

    Objects with a text and marked spans, instead of tokens, are left to `spans`. Otherwise, tags are under `ner_tags`
    (`pos_tags`, `chunk_tags`) or `tags`. Consecutive sentences with the same value under `document` or `document_id` are one
    document.

    Args:
        text: the text of the file.
        path: the file, for messages; `labels.json` is looked for beside it.
        task: the task of the tags.
        label_list: the names of ids, in their order. Without it, `labels.json` provides them.
        note: called with a line for everything that was changed.

    Raises:
        UserError: for a line that is not such an object, and where there is no sentence.
    """
    example = f'{{"tokens": [...], "{task}_tags": [...]}}'
    objects = iter(
        _array(text, path, example) if text.lstrip().startswith("[") else json_objects(text.split("\n"), path, example)
    )
    first = list(islice(objects, 1))
    objects = chain(first, objects)
    if first and has_spans(first[0][1]):
        if task == "pos":
            raise UserError(
                f"{setting('task', task)}: marked spans are entities, not tags of every word: leave the flag out", path
            )
        sentences = read_spans(objects, path, note)
        for sentence in sentences:
            _refuse_halves((*sentence.words, *sentence.tags), path, sentence.line)
        if not sentences:
            raise UserError("expected texts with marked spans, found no words: check that this is the right file", path)
        return sentences
    rows: list[RawSentence] = []
    documents: list[str | None] = []
    for number, row in objects:
        tokens = string_list(row, "tokens", path, number)
        tags = _list(row, (f"{task}_tags", "tags"), path, number)
        if len(tokens) != len(tags):
            found = f"tokens: {len(tokens)}, tags: {len(tags)}"
            raise UserError(f"expected one tag per token, found {found}: correct the line", path, number)
        if any(not isinstance(tag, str) for tag in tags):
            label_list = _read_labels(path, number) if label_list is None else label_list
            tags = [_name(tag, label_list, path, number) for tag in tags]
        _refuse_halves((*tokens, *tags), path, number)
        if tokens:
            documents.append(document_of(row))
            rows.append(RawSentence(tuple(tokens), tuple(tags), None, number, step=0))
    if not rows:
        raise UserError(f"expected lines such as {example}, found no sentence: check that this is the right file", path)
    return [row._replace(document=n) for row, n in zip(rows, number_documents(documents), strict=True)]


def document_of(row: Mapping[str, Any]) -> str | None:
    """What tells the document of a row from others, or None where it has none."""
    document = next((row[key] for key in _DOCUMENT_KEYS if key in row), None)
    return None if document is None else json.dumps(document)


def _refuse_halves(values: Iterable[str], path: Path, line: int) -> None:
    """Raises UserError for half of a surrogate pair."""
    for value in values:
        if not value.isascii() and _HALF.search(value):
            problem = f"found half of a surrogate pair, which is not a character, in {ascii(value)[:60]}: correct it"
            raise UserError(problem, path, line)


def _array(text: str, path: str | Path, example: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the number (from 1) and the object of each item of an array. Raises UserError for anything else."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"expected a JSON array of objects such as {example} ({one_line(error)}): correct the file", path
        ) from None
    for number, row in enumerate(values, start=1):
        if not isinstance(row, dict):
            raise UserError(f"item {number}: expected an object such as {example}, found {shorten(row)}: correct it", path)
        yield number, row


def _list(row: Mapping[str, Any], keys: Sequence[str], path: str | Path, line: int) -> list[Any]:
    """The list under the first of the keys that a row has."""
    key = next((key for key in keys if key in row), None)
    if key is None:
        expected = " or ".join(map(repr, keys))
        raise UserError(f"expected a key {expected}, found {shorten(sorted(row))}: rename the key or add it", path, line)
    values = row[key]
    if not isinstance(values, list):
        raise UserError(f"expected a list under {key!r}, found {shorten(values)}: correct the line", path, line)
    return values


def _read_labels(path: Path, line: int) -> list[str]:
    """The names of ids from `labels.json` beside a file."""
    labels = path.parent / LABELS_FILE
    if not labels.is_file():
        raise UserError(
            f"tags are ids without a label list: put {LABELS_FILE}, a JSON list of the label names in the order of their ids, "
            f"beside {path.name}, or write names instead of ids",
            path,
            line,
        )
    expected = 'expected a JSON list of label names such as ["O", "B-PER"]'
    try:
        names = json.loads(labels.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise UserError(f"{expected}, but it is not JSON ({error}): correct the file", labels) from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{expected}, found {shorten(names)}: correct the file", labels)
    return names


def _name(tag: object, label_list: Sequence[str], path: Path, line: int) -> str:
    """The name of a tag that is an id; a name is returned as it is."""
    if isinstance(tag, str):
        return tag
    if not isinstance(tag, int) or isinstance(tag, bool):
        raise UserError(f"expected tags that are names or ids, found {shorten(tag)}: correct the line", path, line)
    if not 0 <= tag < len(label_list):
        raise UserError(
            f"expected ids from 0 to {len(label_list) - 1}, as the label list has {len(label_list)} names, found {tag}: "
            "correct the tag or complete the label list",
            path,
            line,
        )
    return label_list[tag]
