"""Files of records to tag, of any number and size: lines, compressed lines, or Parquet.

Takes what a user names (a file, a folder, a pattern) and yields the records of all files in order. The formats of lines are
defined in `inputs`.
"""

from __future__ import annotations

import codecs
import glob
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tfner.config import INPUT_FORMATS
from tfner.contents import sampled
from tfner.data.files import GZIP, ZSTD, latin_1_note, line_ends
from tfner.data.inputs import Record, guess_format, is_array, read_records, recognize, whole_lines
from tfner.data.words import as_text
from tfner.errors import UserError, one_line, setting
from tfner.terminal import quote

_BLOCK = 1 << 16  # bytes that are read at once
_PARQUET = b"PAR1"
_COMPRESSED = (".gz", ".zst")
_BYTES = re.compile("[\udc80-\udcff]")  # what bytes that are not text become


def find_files(given: str) -> list[Path]:
    """The files that a path or a pattern names, sorted: a file, all files in a folder and below it, or those of a pattern such
    as `logs/*.jsonl`. Hidden files are left out.

    Raises UserError where there is none.
    """
    path = Path(given).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [p for p in path.rglob("*") if not any(part.startswith(".") for part in p.relative_to(path).parts)]
    else:
        found = [Path(name) for name in glob.glob(str(path), recursive=True)]  # noqa: PTH207  any pattern; leaves hidden files out
    files = sorted(p for p in found if p.is_file())
    if not files:
        raise UserError("expected a file, a folder with files, or a pattern such as 'logs/*.jsonl', found none", given)
    return files


def identify(file: Path) -> dict[str, Any]:
    """What identifies a file: its name, its size in bytes, and a SHA-256 of its first and last MiB.

    Raises UserError where it cannot be read.
    """
    try:
        return {"name": file.name, **sampled(file)}
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror}): correct its permissions, or leave it out", file) from error


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
        encoding: of its text [UTF-8, or what a byte order mark says; ISO-8859-1 where the beginning is not UTF-8]. Bytes that
            are not text are a problem of their record alone.
        column: the column of the texts in Parquet; the others are `fields`.
        moved: called with the number of bytes that were read since the last call, for showing the progress.
        say: called with a line for everything that was guessed and is not certain.

    Raises:
        UserError: where the file needs a package that is not installed, or has no such column of texts.
    """
    number = 0
    try:
        with file.open("rb") as raw:
            start = raw.read(4)
            raw.seek(0)
            if start == _PARQUET:
                encoding, records = "utf-8", _parquet_records(file, column, moved)
            else:
                content = _opened(raw, start)
                head = content.read(_BLOCK)
                encoding = encoding or _encoding(head, file, say)
                kind = kind or _kind(head, encoding, file, say)
                texts = _texts(head, content, encoding, _reporting(raw, moved))
                array = kind == "jsonl" and is_array(head.decode(encoding, "replace"))
                records = iter([_array(file)]) if array else read_records(whole_lines(texts), kind, file)
            for record in records:
                number = record.line
                yield _without_bytes(record, file, encoding)
    except UserError:
        raise
    except (OSError, EOFError, ValueError, zlib.error) as error:  # ValueError: text in another encoding, damaged Parquet
        where = "after this line " if number else ""
        problem = f"the file cannot be read {where}({one_line(error)}): repair it, and tag the rest of it"
        yield Record("", number, problem=UserError(problem, file, number))


def decoded_lines(file: BinaryIO, encoding: str, name: str) -> Iterator[str]:
    """The lines of a file, which end only with `\\n`. A line is yielded as soon as it is read.

    Raises UserError, with the line, for bytes that are not text in the encoding.
    """
    return whole_lines(_decoded(file, encoding, name))


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


def _opened(raw: BinaryIO, start: bytes) -> Any:
    if start.startswith(GZIP):
        return gzip.GzipFile(fileobj=raw)
    if start == ZSTD:
        try:
            import pyarrow
        except ImportError as error:
            raise UserError("reading Zstandard needs pyarrow, which is not installed: pip install pyarrow") from error
        return pyarrow.CompressedInputStream(raw, "zstd")
    return raw


def _reporting(raw: BinaryIO, moved: Callable[[int], None] | None) -> Callable[[], None]:
    """A function that reports how far a file was read since its last call."""
    position = 0

    def report() -> None:
        nonlocal position
        if moved:
            moved(raw.tell() - position)
            position = raw.tell()

    return report


def _encoding(head: bytes, file: Path, say: Callable[[str], None]) -> str:
    """The encoding of a file that begins with these bytes."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        say(latin_1_note(file.name))
        return "latin-1"
    return "utf-8"


def _kind(head: bytes, encoding: str, file: Path, say: Callable[[str], None]) -> str:
    """The format of a file that begins with these bytes."""
    name = file.name
    while name.lower().endswith(_COMPRESSED):
        name = name[: name.rindex(".")]
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    lines = text.translate(line_ends(text)).split("\n")
    kind = recognize(lines[:-1] if len(head) == _BLOCK else lines, name)
    if kind == "text" and name.lower().endswith(".csv"):
        say(f"{file.name}: read as one text per line; to tag a column of a table, save it as Parquet and give --text-column")
    if kind != guess_format(name):
        say(f"{file.name}: read as {INPUT_FORMATS[kind]}, which its first lines are; --format sets another format")
    return kind


def _texts(head: bytes, content: Any, encoding: str, report: Callable[[], None]) -> Iterator[str]:
    """The text of a file, block by block. In UTF-8, each byte that is not text becomes half of a surrogate pair."""
    errors = "surrogateescape" if codecs.lookup(encoding).name == "utf-8" else "strict"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    block, text = head, decoder.decode(head)
    ends = line_ends(text)
    while block:
        report()
        yield text.translate(ends) if ends else text
        block = content.read(_BLOCK)
        text = decoder.decode(block)
    yield decoder.decode(b"", final=True)


def _without_bytes(record: Record, file: Path, encoding: str) -> Record:
    """The record, or one with a problem where it has bytes that are not text."""
    text = as_text(record.item)
    if record.problem or not _BYTES.search(text):
        return record
    problem = f"expected text in {encoding}, found bytes that are not: correct them, or give {setting('text_encoding')}"
    return Record("", record.line, record.fields, UserError(problem, file, record.line), text)


def _parquet_records(file: Path, column: str, moved: Callable[[int], None] | None) -> Iterator[Record]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UserError("reading Parquet needs pyarrow, which is not installed: pip install pyarrow", file) from error
    table = pyarrow.parquet.ParquetFile(file)
    names = table.schema_arrow.names
    if column not in names:
        raise UserError(f"{setting('text_column', column)}: expected one of its columns {', '.join(names)}", file)
    kind = table.schema_arrow.field(column).type
    if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
        raise UserError(f"{setting('text_column', column)}: expected a column of text, found {kind}", file)
    number, rows, size = 0, max(table.metadata.num_rows, 1), file.stat().st_size
    for batch in table.iter_batches(batch_size=4096):
        for row in batch.to_pylist():
            number += 1
            text = row.pop(column)
            if isinstance(text, str):
                yield Record(text, number, row)
            else:
                problem = UserError(f"expected a text in column {column}, found {text!r}", file, number)
                yield Record("", number, row, problem)
        if moved:
            moved(size * len(batch) // rows)
