"""The files of a corpus: which file is which split, a file's text, and sentences as their source writes them.

Takes a path and returns files and texts. The readers (`conll`, `jsonl`, `hub`) fill `RawSentence`s, and `load` converts them.
Tag schemes and labels are not known here.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tfner.corpus import SPLITS
from tfner.errors import UserError, setting

JSON_EXTENSIONS = (".jsonl", ".json")
"""Endings of files of JSON lines. As corpora, files with any other ending are CoNLL columns."""
CONLL_EXTENSIONS = (".conll", ".conllu", ".iob", ".iob2", ".bio")
"""Endings of files that are CoNLL columns wherever they are read."""
BYTE_ORDER_MARK = "\ufeff"
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
COMPRESSED = (GZIP, ZSTD)
"""How compressed files begin."""

_VALIDATION_A = re.compile(r"testa(?![a-z])")  # CoNLL's testa is the validation split, "testannotated" is a test split
_SPLIT_WORDS = {"train": "train", "valid": "validation", "dev": "validation", "test": "test"}
_IGNORED = re.compile(r"\.|readme|licen[sc]e|.*\.md$")
_RULE = "the name of a file tells its split by train, valid or dev or testa, test or testb"


class RawSentence(NamedTuple):
    """A sentence as its source writes it.

    Attributes:
        words: the words.
        tags: a tag per word, in the scheme of the source.
        document: the number of its document, from 0, or None where documents are not marked.
        line: the line (or row) of the first word, from 1.
        step: the number of lines from one word to the next; 0 where a line holds a whole sentence.
        numbers: the line of each word, where some lines between them hold no word.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    document: int | None
    line: int
    step: int = 1
    numbers: tuple[int, ...] = ()

    def where(self, word: int) -> int:
        """The line (from 1) of a word (from 0)."""
        return self.numbers[word] if self.numbers else self.line + word * self.step


def splits_in_name(name: str) -> set[str]:
    """The splits that a name mentions: by train, valid, dev, testa, test or testb.

    Only starts of words count (`emerging.dev.conll`, `wnut17train.conll`), unless there are none (`engtrain`).
    """
    name, validation_a = _VALIDATION_A.subn("", name.lower())
    for boundary in ("(?<![a-z])", ""):
        found = {split for word, split in _SPLIT_WORDS.items() if re.search(boundary + word, name)}
        if validation_a:
            found.add("validation")
        if found:
            return found
    return set()


def split_files(folder: Path) -> dict[str, Path]:
    """The files of a folder by split, in the order of `SPLITS`; a folder need not have all of them.

    Hidden files, folders, `README*`, `LICENSE*`, `*.md` and files whose names mention no split are ignored.

    Raises UserError, with the files found, where no name mentions a split, two files have the same one, or a name mentions two.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and not _IGNORED.match(path.name.lower()))
    names = ", ".join(path.name for path in files) or "no files"
    matched: dict[str, Path] = {}
    for path in files:
        splits = splits_in_name(path.name)
        if len(splits) > 1:
            raise UserError(
                f"expected one split in the name {path.name}, found {' and '.join(sorted(splits))}: rename it ({_RULE})", folder
            )
        for split in splits:
            if split in matched:
                raise UserError(
                    f"expected one {split} file, found {matched[split].name} and {path.name} among {names}: rename one or "
                    f"move it to another folder ({_RULE})",
                    folder,
                )
            matched[split] = path
    if not matched:
        raise UserError(f"expected a file for each split, found {names}: rename them or give a single file ({_RULE})", folder)
    return {split: matched[split] for split in SPLITS if split in matched}


def read_text(path: Path, text_encoding: str | None = None) -> tuple[str, str | None]:
    """A file's text without a byte order mark, and a note where its encoding was guessed.

    Without `text_encoding`, it is guessed (`guess_encoding`), with a note where it is ISO-8859-1. Lines may end with CR alone,
    if none ends with LF.

    Raises UserError for an unknown encoding, bytes that are invalid in it, and files that are not text.
    """
    data = path.read_bytes()
    if data.startswith(COMPRESSED):
        raise UserError("expected text, found a compressed file: unpack it first, with gunzip or zstd -d", path)
    encoding = text_encoding or guess_encoding(data, True)
    try:
        text = data.decode(encoding)
    except LookupError:
        raise UserError(
            f"{setting('text_encoding', text_encoding)}: expected an encoding that Python knows, such as utf-8 or latin-1"
        ) from None
    except UnicodeDecodeError as error:
        remedy = f"give its encoding with {setting('text_encoding')}, such as utf-8 or latin-1"
        raise UserError(
            f"expected text in {encoding}, but byte {error.start + 1} of {len(data)} is invalid ({error.reason}): "
            f"{remedy if text_encoding else 'correct it'}",
            path,
            None if text_encoding else data.count(b"\n", 0, error.start) + 1,
        ) from None
    if "\0" in text:
        raise UserError(
            f"expected text, found NUL characters: if it is text, give its encoding with {setting('text_encoding')}, such as "
            "utf-16",
            path,
        )
    note = None if text_encoding or encoding != "latin-1" else latin_1_note(path.name)
    return text.translate(line_ends(text)).removeprefix(BYTE_ORDER_MARK), note


def guess_encoding(start: bytes, whole: bool) -> str:
    """The encoding of a file: UTF-8, UTF-16 where a byte order mark says so, or ISO-8859-1, in which any bytes are text.

    A few bytes that are not UTF-8 among more characters that are do not make it ISO-8859-1.

    Args:
        start: the bytes that it begins with.
        whole: whether these are all.
    """
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")
    try:
        decoder().decode(start, whole)
    except UnicodeDecodeError:
        others = [char for char in decoder("surrogateescape").decode(start, whole) if char > "\x7f"]
        damaged = sum("\udc80" <= char <= "\udcff" for char in others)
        return "utf-8" if damaged < len(others) - damaged else "latin-1"
    return "utf-8"


def line_ends(text: str) -> dict[int, str]:
    """What `str.translate` turns into line ends: CR in the files of old Macintoshes, which have no LF; else nothing."""
    return {ord("\r"): "\n"} if "\r" in text and "\n" not in text else {}


def latin_1_note(name: str) -> str:
    """What is said of a file that is not UTF-8."""
    return f"{name}: not UTF-8, so it is read as ISO-8859-1; --text-encoding sets another encoding"


def shorten(value: object, length: int = 60) -> str:
    """A value's `repr` for a message, cut after `length` characters."""
    text = repr(value)
    return text if len(text) <= length else text[:length] + "..."


def number_documents(names: Sequence[object]) -> list[int | None]:
    """The number of each sentence's document, from 0: consecutive sentences with the same name are one document.

    A sentence without a name (None) is a document by itself. Where no sentence has a name, documents are not marked: all None.
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
