"""JSON lines: one object per line with `tokens` and their tags, as names or as ids.

In goes a file's text, out come `RawSentence` sentences. Ids become names here, by a label list; schemes are not known.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tfner.data.files import RawSentence, number_documents, shorten
from tfner.errors import UserError

LABELS_FILE = "labels.json"
_DOCUMENT_KEYS = ("document", "document_id")


def read_jsonl(text: str, path: Path, task: str, label_list: Sequence[str] | None = None) -> list[RawSentence]:
    """The sentences of a file's text; `path` stands for the file in messages, and beside it `labels.json` is looked for.

    Tags stand under `ner_tags` (`pos_tags`, `chunk_tags`) or `tags`. Ids need `label_list` or `labels.json`, a
    JSON list of names in the order of their ids. A `document` or `document_id` of any kind tells documents apart:
    consecutive equal ones are one. Blank lines and sentences without tokens are passed over.

    Raises UserError, with file and line, for a line that is not such an object, and for no sentence at all.
    """
    rows: list[tuple[int, tuple[str, ...], tuple[str, ...], object]] = []
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: JSON strings may hold U+2028
        if not line or line.isspace():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{where}: expected one JSON object per line, found {shorten(line)} ({error.msg} at column {error.colno}); "
                "write each sentence on a line of its own"
            ) from None
        if not isinstance(row, dict):
            expected = f'{{"tokens": [...], "{task}_tags": [...]}}'
            raise UserError(f"{where}: expected an object such as {expected}, found {shorten(row)}; mend the line")
        tokens = _list(row, ("tokens",), where)
        tags = _list(row, (f"{task}_tags", "tags"), where)
        for token in tokens:
            if not isinstance(token, str):
                raise UserError(f"{where}: expected tokens to be strings, found {shorten(token)}; put it in quotes")
        if len(tokens) != len(tags):
            found = f"{len(tokens)} tokens and {len(tags)} tags"
            raise UserError(f"{where}: expected one tag per token, found {found}; mend the line")
        if any(not isinstance(tag, str) for tag in tags):
            label_list = _read_labels(path, where) if label_list is None else label_list
            tags = [_name(tag, label_list, where) for tag in tags]
        if tokens:
            rows.append((number, tuple(tokens), tuple(tags), next((row[key] for key in _DOCUMENT_KEYS if key in row), None)))
    if not rows:
        raise UserError(f'{path}: expected lines such as {{"tokens": [...], "{task}_tags": [...]}}, found no sentence')
    documents = number_documents([json.dumps(row[3]) if row[3] is not None else None for row in rows])
    return [
        RawSentence(words, tags, document, number, step=0)
        for (number, words, tags, _), document in zip(rows, documents, strict=True)
    ]


def _list(row: dict, keys: Sequence[str], where: str) -> list:
    """The list under the first of the keys that a row has."""
    key = next((key for key in keys if key in row), None)
    if key is None:
        raise UserError(f"{where}: expected a key {' or '.join(map(repr, keys))}, found {shorten(sorted(row))}")
    if not isinstance(row[key], list):
        raise UserError(f"{where}: expected a list under {key!r}, found {shorten(row[key])}")
    return row[key]


def _read_labels(path: Path, where: str) -> list[str]:
    """The names that `labels.json` beside a file gives its ids."""
    labels = path.parent / LABELS_FILE
    if not labels.is_file():
        raise UserError(
            f"{where}: tags are ids and no label list says what they mean; put {LABELS_FILE}, a JSON list of label names in "
            f"the order of their ids, beside {path.name}, or write names instead of ids"
        )
    try:
        names = json.loads(labels.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise UserError(f"{labels}: expected a JSON list of label names, found no JSON ({error})") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f'{labels}: expected a JSON list of label names such as ["O", "B-PER"], found {shorten(names)}')
    return names


def _name(tag: object, label_list: Sequence[str], where: str) -> str:
    """The name of a tag that is an id; a name stays as it is."""
    if isinstance(tag, str):
        return tag
    if not isinstance(tag, int) or isinstance(tag, bool):
        raise UserError(f"{where}: expected tags to be names or ids, found {shorten(tag)}")
    if not 0 <= tag < len(label_list):
        raise UserError(
            f"{where}: expected ids 0 to {len(label_list) - 1} ({len(label_list)} labels are listed), found {tag}; "
            "mend the tag or complete the label list"
        )
    return label_list[tag]
