"""Files of records to tag, of any number and size: lines, compressed lines, or Parquet.

Takes what a user names (a file, a folder, a pattern) and yields the records of all files in order. The formats of lines are
defined in `inputs`, Parquet in `parquet`.
"""

from __future__ import annotations

import codecs
import glob
import gzip
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from tfner.config import INPUT_FORMATS
from tfner.contents import sampled
from tfner.data import parquet
from tfner.data.files import GZIP, ZSTD, guess_encoding, latin_1_note, line_ends
from tfner.data.inputs import LONGEST_LINE, Record, guess_format, is_array, read_records, recognize, whole_lines
from tfner.data.words import as_text
from tfner.errors import UserError, one_line, setting
from tfner.terminal import quote

_BLOCK = 1 << 16  # bytes that are read at once
_COMPRESSED = (".gz", ".zst")
_BINARY = (b"BZh", b"\xfd7zXZ", b"PK\x03\x04", b"7z\xbc\xaf", b"\x04\x22\x4d\x18")  # bzip2, xz, zip, 7z, lz4
_SMALL_BLOCK = 1 << 12  # of Zstandard, whose reader loses the block in which a file ends too early
_BYTES = re.compile("[\udc80-\udcff]")  # what bytes that are not text become


def _marked(error: UnicodeError) -> tuple[str, int]:
    """Replaces bytes that are not text by halves of surrogate pairs, as `surrogateescape` does in UTF-8."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC80 | byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error("tfner.marked", _marked)


def find_files(given: str, results: str | Path | None = None, say: Callable[[str], None] = lambda line: None) -> list[Path]:
    """The files that a path or a pattern names, sorted: a file, all files in a folder and below it, or those of a pattern such
    as `logs/*.jsonl`. Hidden files are left out, and so is what lies in the folder of the results. Of links to one file, the
    first is taken, which `say` is told.

    Raises UserError where there is none, or a folder cannot be read.
    """
    path = Path(given).expanduser()
    if path.is_file():
        return [path]
    matching = map(Path, glob.glob(str(path), recursive=True))  # noqa: PTH207  any pattern; leaves hidden files out
    found = _below(path) if path.is_dir() else matching
    files: dict[Path, Path] = {}
    for path in sorted(p for p in found if p.is_file()):
        if (first := files.setdefault(path.resolve(), path)) != path:
            say(f"{path}: left out, because it is the same file as {first}")
    if not files:
        raise UserError("expected a file, a folder with files, or a pattern such as 'logs/*.jsonl', found none", given)
    own = Path(results).expanduser().resolve() if results else None
    kept = [path for place, path in files.items() if own not in place.parents]
    if not kept:
        raise UserError(f"{setting('output', results)}: the files to tag are in this folder: choose another one")
    return kept


def _below(folder: Path) -> Iterator[Path]:
    """The files in a folder and below it, also through links, each folder once. Hidden ones are left out."""

    def refuse(error: OSError) -> None:
        raise UserError(f"cannot be read ({error.strerror}): correct its permissions, or leave it out", error.filename)

    seen = set()
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = Path(place).resolve()
        folders[:] = sorted(name for name in folders if not name.startswith(".") and real not in seen)
        if real not in seen:
            yield from (Path(place) / name for name in names if not name.startswith("."))
        seen.add(real)


def identify(file: Path) -> dict[str, Any]:
    """What identifies a file: its name, its size in bytes, when it was modified (in nanoseconds since 1970), and a SHA-256 of
    its first and last MiB.

    Raises UserError where it cannot be read.
    """
    try:
        name = os.fsencode(file.name).decode("utf-8", "backslashreplace")  # any bytes can be a name
        return {"name": name, "modified": file.stat().st_mtime_ns, **sampled(file)}
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror}): correct its permissions, or leave it out", file) from error


def check_file(file: Path, column: str = "text") -> None:
    """Raises UserError where a file needs a package that is not installed, or is Parquet without such a column of texts."""
    try:
        with file.open("rb") as raw:
            start = raw.read(4)
            if start == parquet.START:
                parquet.open_parquet(file, column)
            else:
                _reader(raw, start)
    except UserError:
        raise
    except (OSError, ValueError):  # a damaged file, which is a record with a problem
        return


def file_records(
    file: Path,
    kind: str | None = None,
    encoding: str | None = None,
    column: str = "text",
    moved: Callable[[int], None] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[Record]:
    """The records of a file. What cannot be read is a record with a problem.

    Args:
        file: the file; it may be compressed with gzip or Zstandard, and Parquet.
        kind: one of `INPUT_FORMATS` [recognized from its first lines and its name].
        encoding: of its text [guessed from its beginning, as `files.guess_encoding` does]. Bytes that are not text are a
            problem of their record alone.
        column: the column of the texts in Parquet; the others are `fields`.
        moved: called with the number of bytes that were read since the last call, for showing the progress.
        say: called with a line for everything that was guessed and is not certain.

    Raises:
        UserError: where the file needs a package that is not installed, has no such column of texts, or is a pipe.
    """
    number = 0
    try:
        with file.open("rb") as raw:
            if not raw.seekable():
                raise UserError("expected a file, found a pipe: give its text on standard input", file)
            start = raw.read(4)
            raw.seek(0)
            if start == parquet.START:
                records = parquet.read_parquet(file, column, moved)
            else:
                read = _reader(raw, start)  # held here: pyarrow's reader closes the file when it is let go
                head, whole, rest = _head(_blocks(read))
                guessed, encoding = encoding is None, encoding or guess_encoding(head, whole)
                if guessed and encoding == "latin-1":  # any bytes could be that
                    if b"\0" in head or head.startswith(_BINARY):
                        raw.seek(0, os.SEEK_END)
                        _reporting(raw, moved)()
                        yield _binary(file)
                        return
                    say(latin_1_note(file.name))
                beginning = codecs.getincrementaldecoder(encoding)("replace").decode(head)
                kind = kind or _kind(beginning, whole, file, say)
                array = kind == "jsonl" and is_array(beginning)
                lines = whole_lines(_texts(chain([head], rest), encoding, _reporting(raw, moved)))
                records = iter([_array(file)]) if array else read_records(lines, kind, file)
                nul = guessed and kind != "jsonl"  # JSON may have escaped ones
                records = (_checked(record, file, encoding, nul) for record in records)
            for record in records:
                number = record.line
                yield record
    except UserError:
        raise
    except (OSError, EOFError, ValueError, zlib.error) as error:  # ValueError: text in another encoding, damaged Parquet
        where, what = ("after this line ", "the rest of it") if number else ("", "it")
        problem = f"the file cannot be read {where}({one_line(error)}): repair it, and tag {what}"
        yield Record("", number, problem=UserError(problem, file, number or None))


def stream_records(
    file: BinaryIO, kind: str | None, encoding: str, name: str, say: Callable[[str], None] = lambda line: None
) -> Iterator[Record]:
    """The records of a stream, such as standard input, each as soon as it is read.

    Args:
        file: the stream.
        kind: one of `INPUT_FORMATS` [recognized from the lines that are there at first].
        encoding: of its text.
        name: what it is called in messages.
        say: called with a line where columns are recognized.

    Raises:
        UserError: with the line, for bytes that are not text in the encoding.
    """
    texts, first = _decoded(file, encoding, name), ""
    while "\n" not in first and len(first) <= LONGEST_LINE and (text := next(texts, "")):
        first += text
    lines = first.split("\n")  # no more of them: a terminal or a program may wait for the answer to a line
    found = kind or recognize(lines[:-1] or lines, "")
    if not kind and found not in ("text", "jsonl"):
        say(f"{name}: read as {INPUT_FORMATS[found]}, which its first lines are; --format sets another format")
    return read_records(whole_lines(chain([first], texts)), found, name)


def _decoded(file: BinaryIO, encoding: str, name: str) -> Iterator[str]:
    decoder, number = codecs.getincrementaldecoder(encoding)(), 1
    read = getattr(file, "read1", file.read)
    while True:
        block = read(_BLOCK)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeError as error:
            if isinstance(error, UnicodeDecodeError):
                number += error.object[: error.start].decode(encoding, "replace").count("\n")
            raise UserError(
                f"expected text in {encoding}, found bytes that are not ({getattr(error, 'reason', error)}): give the encoding "
                f"of the input with {setting('text_encoding')}",
                name,
                number,
            ) from error
        number += text.count("\n")
        yield text
        if not block:
            break


def _array(file: Path) -> Record:
    """The problem record for a file that is one JSON array, which would have to be read as a whole."""
    problem = f"expected an object on each line, found one JSON array: jq -c '.[]' {quote(file)} writes such lines"
    return Record("", 1, problem=UserError(problem, file, 1))


def _binary(file: Path) -> Record:
    """The problem record for a file that is not text."""
    problem = (
        "expected text, found a binary file, or another compression than gzip and Zstandard: unpack it, give its encoding with "
        f"{setting('text_encoding')}, or leave it out"
    )
    return Record("", 1, problem=UserError(problem, file))


def _reader(raw: BinaryIO, start: bytes) -> Callable[[], bytes]:
    """A function that reads a block of a file, which begins with these bytes."""
    if start.startswith(GZIP):
        return partial(gzip.GzipFile(fileobj=raw).read1, _BLOCK)  # `read` loses what precedes an error
    if start == ZSTD:
        try:
            import pyarrow
        except ImportError as error:
            raise UserError("reading Zstandard needs pyarrow, which is not installed: pip install pyarrow") from error
        return partial(pyarrow.CompressedInputStream(raw, "zstd").read, _SMALL_BLOCK)
    return partial(raw.read, _BLOCK)


def _blocks(read: Callable[[], bytes]) -> Iterator[bytes | Exception]:
    """What can be read, block by block, and the error that ended it, if one did."""
    try:
        yield from iter(read, b"")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        yield error


def _head(blocks: Iterator[bytes | Exception]) -> tuple[bytes, bool, Iterable[bytes | Exception]]:
    """The bytes that a file begins with, whether they are all, and the blocks after them."""
    head = b""
    for block in blocks:
        if isinstance(block, Exception):
            return head, False, [block]
        head += block
        if len(head) >= _BLOCK:
            return head, False, blocks
    return head, True, ()


def _reporting(raw: BinaryIO, moved: Callable[[int], None] | None) -> Callable[[], None]:
    """A function that reports how far a file was read since its last call."""
    position = 0

    def report() -> None:
        nonlocal position
        if moved:
            moved(raw.tell() - position)
            position = raw.tell()

    return report


def _kind(text: str, whole: bool, file: Path, say: Callable[[str], None]) -> str:
    """The format of a file that begins with this text, or has no other."""
    name = file.name
    while name.lower().endswith(_COMPRESSED):
        name = name[: name.rindex(".")]
    lines = text.translate(line_ends(text)).split("\n")
    kind = recognize(lines if whole else lines[:-1], name)
    if kind == "text" and name.lower().endswith(".csv"):
        say(f"{file.name}: read as one text per line; to tag a column of a table, save it as Parquet and give --text-column")
    if kind != guess_format(name):
        say(f"{file.name}: read as {INPUT_FORMATS[kind]}, which its first lines are; --format sets another format")
    return kind


def _texts(blocks: Iterable[bytes | Exception], encoding: str, report: Callable[[], None]) -> Iterator[str]:
    """The text of a file, block by block. Each byte that is not text becomes half of a surrogate pair."""
    decoder = codecs.getincrementaldecoder(encoding)("tfner.marked")
    ends: dict[int, str] | None = None
    for block in blocks:
        if isinstance(block, Exception):
            raise block
        text = decoder.decode(block)
        ends = line_ends(text) if ends is None else ends
        report()
        yield text.translate(ends) if ends else text
    yield decoder.decode(b"", final=True)


def _checked(record: Record, file: Path, encoding: str, guessed: bool) -> Record:
    """The record, or one with a problem where it has bytes that are not text, or NUL characters in a guessed encoding."""
    if record.problem:
        return record
    text = as_text(record.item)
    if _BYTES.search(text):
        problem = f"expected text in {encoding}, found bytes that are not: correct them, or give {setting('text_encoding')}"
    elif guessed and "\0" in text:
        problem = f"expected text, found NUL characters: give its encoding with {setting('text_encoding')}, such as utf-16-le"
    else:
        return record
    return Record("", record.line, record.fields, UserError(problem, file, record.line), text)
