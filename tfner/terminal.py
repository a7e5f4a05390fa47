"""What all commands share: exit codes, quiet start-up, tables. Nothing here knows corpora or models.

Exit code 0: done; 2: the user's mistake, told in one line; 1: ours, with its traceback.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence

from tfner.errors import UserError

_COMMAND_RUNS = False


def command(main: Callable[[Sequence[str] | None], None]) -> Callable[[Sequence[str] | None], int]:
    """Makes a verb's ``main(argv=None)`` return an exit code, and a user's mistake one line on standard error."""

    @functools.wraps(main)
    def guarded(argv: Sequence[str] | None = None) -> int:
        quieten()
        try:
            main(argv)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except BrokenPipeError:  # the reader of our output (head, less) went away
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            if error.filename is None:  # no file of the user's: ours to explain
                raise
            print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        return 0

    return guarded


def quieten() -> None:
    """Keeps TensorFlow's and transformers' start-up lines off the terminal; variables that are set already win.

    Has to run before TensorFlow is imported, so commands call it first and importing tfner never does. Also asks for
    oneDNN's kernels, which TensorFlow leaves off on processors without AVX-512 though they are faster there as well.
    """
    global _COMMAND_RUNS
    _COMMAND_RUNS = True
    for name, value in {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "TF_USE_LEGACY_KERAS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "true",
    }.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm in a notebook without widgets


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Holds back what libraries write to standard error while they are imported (TensorFlow's C++ start-up lines obey no
    setting); it is shown after all if the import fails. Does nothing unless a command runs: importing tfner has no effects."""
    if not _COMMAND_RUNS:
        yield
        return
    sys.stderr.flush()
    keep = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
            logging.getLogger("tensorflow").setLevel(logging.ERROR)  # its import sets another level in a notebook
        except BaseException:
            held.seek(0)
            os.write(keep, held.read())
            raise
        finally:
            os.dup2(keep, 2)
            os.close(keep)


def table(rows: Sequence[Sequence[object]], left: int = 1) -> str:
    """Rows (the first one the header) as aligned columns: the first ``left`` columns to the left, the rest to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def print_json(value: object) -> None:
    """Prints one JSON document on standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=2))
