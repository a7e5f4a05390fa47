"""Errors that the user can fix, with a message that suits its reader.

A message names a setting through `setting`: the command line shows `--max-pieces 512`, Python shows `max_pieces=512`.
Every exception other than `UserError` is a defect of tfner and keeps its traceback.
"""

from __future__ import annotations

import re
from pathlib import Path

_FLAG, _KEYWORD, _END = "\ue000", "\ue001", "\ue002"  # private-use characters, which no message contains otherwise
_MARKED = re.compile(f"{_FLAG}(.*?){_KEYWORD}(.*?){_END}", re.DOTALL)


def setting(name: str, value: object = None) -> str:
    """A setting as part of a `UserError` message.

    `setting("max_pieces", 512)` is shown as `--max-pieces 512` on the command line and as `max_pieces=512` in Python. Without
    a value it is shown as `--max-pieces` and `max_pieces=`; with True, a switch, as `--one-document` and `one_document=True`.
    """
    flag = "--" + name.replace("_", "-")
    if value is None:
        return f"{_FLAG}{flag}{_KEYWORD}{name}={_END}"
    shown = flag if value is True else f"{flag} {value}"
    return f"{_FLAG}{shown}{_KEYWORD}{name}={str(value) if isinstance(value, Path) else value!r}{_END}"


class UserError(ValueError):
    """A request that cannot be carried out; the message says what was expected, what was found, and what to do.

    Args:
        message: one line; settings in it come from `setting`.
        path: the file or folder that the error is about. The message starts with it.
        line: the line (or row) in that file, counted from 1.

    Attributes:
        setting: the name of the first setting in the message, or None.
    """

    def __init__(self, message: str, path: str | Path | None = None, line: int | None = None):
        super().__init__(message, path, line)
        self.message, self.path, self.line = message, path, line
        marked = _MARKED.search(message)
        self.setting = marked[2].partition("=")[0] if marked else None

    def _shown(self, form: int) -> str:
        where = "" if self.path is None else f"{self.path}: " if self.line is None else f"{self.path}:{self.line}: "
        return where + _MARKED.sub(lambda marked: marked[form], self.message)

    def __str__(self) -> str:
        """The message for Python: settings are keyword arguments."""
        return self._shown(2)

    def for_command_line(self) -> str:
        """The message for the command line: settings are flags."""
        return self._shown(1)


def one_line(text: object, limit: int = 200) -> str:
    """The message of another library on one line, cut between words after about `limit` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[:limit].rsplit(" ", 1)[0] + " ..."
