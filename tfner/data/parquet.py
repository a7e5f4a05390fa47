"""Texts to tag from Parquet files.

Takes a file and the name of the column of its texts and yields records. A row that cannot be read is a record with a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfner.data.inputs import Record
from tfner.errors import UserError, one_line, setting

START = b"PAR1"
"""How such a file begins."""


def open_parquet(file: Path, column: str) -> Any:
    """An open Parquet file. Raises UserError where it has no such column of texts, or pyarrow is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UserError("reading Parquet needs pyarrow, which is not installed: pip install pyarrow", file) from error
    table = pyarrow.parquet.ParquetFile(file)
    schema = table.schema_arrow
    if column not in schema.names:
        raise UserError(f"{setting('text_column', column)}: expected one of its columns {', '.join(schema.names)}", file)
    if twice := next((name for name in schema.names if schema.names.count(name) > 1), None):
        raise UserError(f"expected a name of its own for each column, found two columns {twice!r}: rename one", file)
    kind = schema.field(column).type
    kind = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    if str(kind) not in ("string", "large_string", "string_view"):
        raise UserError(f"{setting('text_column', column)}: expected a column of text, found {kind}", file)
    return table


def read_parquet(file: Path, column: str, moved: Callable[[int], None] | None = None) -> Iterator[Record]:
    """The records of a file: a text in `column`, and the other columns as `fields`. `moved` is called with numbers of bytes.

    Raises UserError as `open_parquet` does, and OSError or ValueError where the file is damaged.
    """
    table = open_parquet(file, column)
    number, rows, size = 0, max(table.metadata.num_rows, 1), file.stat().st_size
    for batch in table.iter_batches(batch_size=4096):
        for row in _rows(batch):
            number += 1
            if isinstance(row, Exception):
                problem = UserError(f"the row has a value that cannot be read ({one_line(row)}): correct it", file, number)
                yield Record("", number, problem=problem)
            elif isinstance(text := row.pop(column), str):
                yield Record(text, number, row)
            else:
                problem = UserError(f"expected a text in column {column}, found {text!r}", file, number)
                yield Record("", number, row, problem)
        if moved:
            moved(size * len(batch) // rows)


def _rows(batch: Any) -> Iterator[dict[str, Any] | Exception]:
    """The rows of a Parquet file, or why Python has no such value: it is no UTF-8, or a time after the year 9999."""
    try:
        yield from batch.to_pylist()
    except (OverflowError, LookupError, ValueError) as error:
        if len(batch) == 1:
            yield error
        else:
            for i in range(len(batch)):
                yield from _rows(batch.slice(i, 1))
