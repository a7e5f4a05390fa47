"""What corpora are read from: a folder's files by split, a file's text, and sentences as they are written.

In goes a path, out come file texts and `RawSentence` sentences, which the readers (`columns`, `jsonl`, `hub`) fill and
`corpus` turns into its own. Tag schemes and labels are not known here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tfner.errors import UserError

_VALIDATION_A = re.compile(r"testa(?![a-z])")  # CoNLL's testa is the validation split, "testannotated" is a test split
_SPLIT_WORDS = {"train": "train", "valid": "validation", "dev": "validation", "test": "test"}
_IGNORED = re.compile(r"\.|readme|licen[sc]e|.*\.md$")


class RawSentence(NamedTuple):
    """A sentence as its source has it: words, tags in the source's own scheme, document number, and where it is.

    `lines` names the line (or row) of each word, counted from 1: the first word's line and the step to the next one's.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    document: int | None
    line: int
    step: int = 1

    def where(self, word: int) -> int:
        """The line of a word, both counted as their sources do: lines from 1, words from 0."""
        return self.line + word * self.step


def splits_in_name(name: str) -> set[str]:
    """The splits that a file's name speaks of: by train, valid, dev, testa, test, testb at the start of a word
    (`emerging.dev.conll`, `wnut17train.conll`), or, where no word starts so, anywhere (`engtrain`)."""
    name, validation_a = _VALIDATION_A.subn("", name.lower())
    for boundary in ("(?<![a-z])", ""):
        found = {split for word, split in _SPLIT_WORDS.items() if re.search(boundary + word, name)}
        if validation_a:
            found.add("validation")
        if found:
            return found
    return set()


def split_files(folder: Path) -> dict[str, Path]:
    """The file of each split in a folder, in the order train, validation, test; not every split has to be there.

    Hidden files, folders, `README*`, `LICENSE*` and `*.md` do not count, nor do files whose names name no split.

    Raises UserError, listing what was found, for none, for two files of one split, and for a name that names two splits.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and not _IGNORED.match(path.name.lower()))
    listing = f"found {', '.join(path.name for path in files) or 'no files'}"
    rule = "files are matched to splits by train, valid or dev or testa, test or testb in their names"
    matched: dict[str, Path] = {}
    for path in files:
        splits = splits_in_name(path.name)
        if len(splits) > 1:
            raise UserError(f"{folder}: {path.name} names {' and '.join(sorted(splits))}; {rule}; {listing}; rename it")
        for split in splits:
            if split in matched:
                raise UserError(
                    f"{folder}: {matched[split].name} and {path.name} are both a {split} split; {rule}; {listing}; "
                    "rename one, or keep one file per split in the folder"
                )
            matched[split] = path
    if not matched:
        raise UserError(f"{folder}: no file names a split; {rule}; {listing}; rename them, or name a single file")
    return {split: matched[split] for split in ("train", "validation", "test") if split in matched}


def read_text(path: Path, text_encoding: str | None = None) -> tuple[str, str | None]:
    """A file's text without a byte order mark, and a note where its encoding had to be guessed.

    Without `text_encoding` it is UTF-8, or else ISO-8859-1, which any bytes are; that is what the note says.

    Raises UserError for an unknown encoding, bytes that do not fit it, and files that are not text.
    """
    data = path.read_bytes()
    note = None
    try:
        text = data.decode(text_encoding or "utf-8")
    except LookupError:
        raise UserError(
            f"--text-encoding {text_encoding!r} is no encoding that Python knows; expected one such as utf-8 or latin-1"
        ) from None
    except UnicodeDecodeError as error:
        if text_encoding:
            raise UserError(
                f"{path}: expected text in {text_encoding}, but byte {error.start + 1} of {len(data)} is none "
                f"({error.reason}); name the right encoding by --text-encoding, such as utf-8 or latin-1"
            ) from None
        text = data.decode("latin-1")
        note = f"{path.name}: is not UTF-8, read as ISO-8859-1; name another encoding by --text-encoding"
    if "\0" in text:
        raise UserError(
            f"{path}: expected text, found NUL characters; if it is text, name its encoding by --text-encoding, such as utf-16"
        )
    return text.removeprefix("\ufeff"), note


def shorten(value: object, length: int = 60) -> str:
    """A value's `repr` for an error message, cut after `length` characters."""
    text = repr(value)
    return text if len(text) <= length else text[:length] + "..."


def number_documents(names: Sequence[object]) -> list[int | None]:
    """Documents numbered from 0 from one name per sentence: consecutive sentences of equal names are one document.

    A sentence without a name (None) among named ones is a document of its own; all without one: no documents.
    """
    if all(name is None for name in names):
        return [None] * len(names)
    numbers: list[int | None] = []
    current, previous = -1, None
    for name in names:
        if not numbers or name is None or name != previous:
            current += 1
        numbers.append(current)
        previous = name
    return numbers
