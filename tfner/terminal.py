"""What all commands share: parsing arguments, exit statuses, a quiet start, tables. Corpora and models are not known here.

Exit status: 0 on success, 1 for an internal error (with its traceback), 2 for invalid input (one line says what), 130 on
Ctrl-C, 143 where a training received SIGTERM.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import errno
import functools
import io
import json
import logging
import os
import shlex
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn, Protocol

from tfner.errors import UserError

FULL_DISK = "free some space, or write to another disk, then repeat the command"
_COMMAND_RUNS = False


class Parser(argparse.ArgumentParser):
    """The argument parser of a verb. It names the program as the user called it and reports a mistake as a UserError."""

    def __init__(self, verb: str, description: str):
        called = Path(sys.argv[0])
        if called.name == "tfner":
            program = f"tfner {verb}"
        elif called.name == "__main__.py" and called.parent.name == "tfner":
            program = f"python -m tfner {verb}"
        else:
            program = f"python -m tfner.{verb}"
        super().__init__(program, description=description, allow_abbrev=False)  # --seed is not --seeds

    def error(self, message: str) -> NoReturn:
        """Raises UserError; an unknown flag is answered with the most similar one."""
        unknown = message.removeprefix("unrecognized arguments: ").split()[0] if message.startswith("unrec") else ""
        similar = difflib.get_close_matches(unknown, self._option_string_actions, n=1) if unknown.startswith("-") else []
        hint = f"did you mean {similar[0]}? " if similar else ""
        raise UserError(f"{message}: {hint}{self.prog} --help lists the arguments")


def is_full_disk(error: BaseException) -> bool:
    """Whether an error of Python, TensorFlow or HDF5 says that a disk is full."""
    own = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return own or os.strerror(errno.ENOSPC) in str(error)


def filled(text: str) -> str:
    """The value of a flag that cannot be empty, for `add_argument`."""
    if not text:
        raise argparse.ArgumentTypeError("expected a name, got nothing")
    return text


class Main(Protocol):
    """The `main` of a verb: runs it with the arguments of the command line and returns its exit status."""

    def __call__(self, argv: Sequence[str] | None = None) -> int: ...


def command(main: Callable[[Sequence[str] | None], None]) -> Main:
    """Makes a verb's `main(argv=None)` return an exit status, and prints a user's mistake as one line on standard error."""

    @functools.wraps(main)
    def guarded(argv: Sequence[str] | None = None) -> int:
        quieten()
        if isinstance(sys.stdout, io.TextIOWrapper):  # what the encoding of a terminal cannot show is escaped
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            main(argv)
            sys.stdout.flush()  # here, as Python itself would report a full disk with a traceback
        except UserError as error:
            print(f"error: {error.for_command_line()}", file=sys.stderr)
            return 2
        except BrokenPipeError:  # the program that reads the output (head, less) has ended
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            if is_full_disk(error) and error.filename is None:
                print(f"error: the disk is full: {FULL_DISK}", file=sys.stderr)
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is not written yet may be for this disk
                return 2
            if error.filename is None:  # not about a file of the user
                raise
            full = f": {FULL_DISK}" if is_full_disk(error) else ""
            print(f"error: {error.filename}: {error.strerror}{full}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        return 0

    return guarded


def quieten() -> None:
    """Hides the start-up messages of TensorFlow and transformers, unless the environment already sets their variables.

    It has to run before TensorFlow is imported, so every command calls it first; importing tfner never does. It also enables
    oneDNN, which TensorFlow disables on processors without AVX-512 although it is faster there too.
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
    """Hides what libraries write to standard error during import, or when they start, and shows it if that fails.

    No setting controls the C++ start-up messages of TensorFlow and Ray. Outside a command this does nothing: importing tfner
    has no effects.
    """
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
    """Rows as aligned columns, the first `left` of them flush left, the others flush right. The first row is the header."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def counted(number: int, noun: str) -> str:
    """A number of things, such as `1 file` and `1,200 files`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def use_utf_8() -> None:
    """Writes standard output in UTF-8 from now on, for what a program reads, whatever the encoding of the terminal."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")


def print_json(value: object) -> None:
    """Prints one JSON document on standard output, in UTF-8."""
    use_utf_8()
    print(json.dumps(value, ensure_ascii=False, indent=2))


def quote(path: object) -> str:
    """A path as an argument in a suggested command, quoted for the shell where it needs to be."""
    return shlex.quote(str(path))
