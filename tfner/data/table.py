"""CSV tables with a header and a word in each row, as many corpora on Kaggle are.

Takes a file's text and returns a `RawSentence` per sentence. Tag schemes and labels are left to `tfner.data.load`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from tfner.data.files import RawSentence, shorten
from tfner.errors import UserError

EXTENSION = ".csv"
_WORDS = ("word", "words", "token", "tokens")
_SENTENCES = ("sentence #", "sentence", "sentence_id", "sentence id", "sentence_idx", "sent_id")


def is_table(text: str) -> bool:
    """Whether a text begins with a header of comma-separated names that tell the column of the words."""
    return any(name in _WORDS for name in _names(text.partition("\n")[0].split(",")))


def read_table(text: str, path: str | Path, task: str) -> list[RawSentence]:
    """The sentences of a file's text.

    The words are in the column `word` or `token`, the tags in `tag`, `label`, or one called as the task is. A row whose column
    `sentence` (`sentence #`, `sentence_id`) holds another value than the rows before it begins a sentence; an empty cell
    continues one. Capitals do not count in these names.

    Args:
        text: the text of the file.
        path: the file, for messages.
        task: the task of the tags.

    Raises:
        UserError: where a column is missing, a row has too few or too many cells, or there is no sentence.
    """
    reader = csv.reader(io.StringIO(text))
    try:
        (header, _), *rows = [(row, reader.line_num) for row in reader if row]
    except csv.Error as error:
        raise UserError(f"expected comma-separated values ({error}): correct the row", path, reader.line_num) from None
    names, columns = _names(header), []
    tags = (task, f"{task}_tag", f"{task}_tags", "tag", "tags", "label", "labels")
    for wanted in (_WORDS, tags, _SENTENCES):
        found = next((name for name in wanted if name in names), None)
        if found is None:
            raise UserError(f"expected a column {' or '.join(wanted)}, found {', '.join(names)}: rename a column", path, 1)
        columns.append(names.index(found))
    word, tag, sentence = columns
    sentences: list[tuple[list[tuple[str, str]], list[int]]] = []
    current = None
    for row, number in rows:
        if len(row) <= max(columns) or any(row[len(names) :]):
            raise UserError(f"expected {len(names)} cells, found {len(row)}: correct the row", path, number)
        if current is None or row[sentence] not in ("", current):
            current = row[sentence]
            sentences.append(([], []))
        pair = row[word].strip(), row[tag].strip()
        if not all(pair) or any("\n" in cell for cell in row):  # a quotation mark alone takes the rows after it into its cell
            raise UserError(
                f"expected a word and its tag, found {shorten(row)}: correct the row (a quotation mark that is a word is "
                "written as four of them)",
                path,
                number,
            )
        sentences[-1][0].append(pair)
        sentences[-1][1].append(number)
    if not sentences:
        raise UserError("expected a word and its tag in each row, found none: check that this is the right file", path)
    result = []
    for pairs, numbers in sentences:
        words, own = zip(*pairs, strict=True)
        result.append(RawSentence(words, own, None, numbers[0], numbers=tuple(numbers)))
    return result


def _names(cells: Sequence[str]) -> list[str]:
    return [cell.strip().strip('"').lower() for cell in cells]
