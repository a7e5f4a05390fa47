"""Checks of errors: tests check what an error is about, and one golden file holds all texts.

To write texts that changed on purpose into the golden file: `TFNER_UPDATE_GOLDEN=1 python -m pytest -n 0 ...`; then read
its diff.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfner.errors import UserError

GOLDEN = Path(__file__).parent.parent / "golden" / "errors.json"
_TEMPORARY = re.compile(r"[^\s'\"(]*/pytest-\d+/(?:popen-gw\d+/)?[^/\s:'\")]+")


@contextlib.contextmanager
def refused(
    key: str, *, setting: str | None = None, path: str | Path | None = None, line: int | None = None
) -> Iterator[pytest.ExceptionInfo]:
    """Expects a UserError about a setting, or a file and line, whose text is `key`'s in the golden file."""
    with pytest.raises(UserError) as caught:
        yield caught
    check_error(key, caught.value, setting=setting, path=path, line=line)


def check_error(
    key: str, error: UserError, *, setting: str | None = None, path: str | Path | None = None, line: int | None = None
) -> None:
    """What `refused` checks, of an error that was caught."""
    found = (error.setting, None if error.path is None else str(error.path), error.line)
    assert found == (setting, None if path is None else str(path), line), str(error)
    assert "\n" not in str(error)
    texts = {"command line": _general(error.for_command_line()), "python": _general(str(error))}
    if os.environ.get("TFNER_UPDATE_GOLDEN"):
        _update(key, texts)
    golden = json.loads(GOLDEN.read_text("utf-8"))
    assert golden.get(key) == texts, (
        f"the text of {key} differs from tests/golden/errors.json; support/errors.py says what to do"
    )


def _general(text: str) -> str:
    """A text without the folders of this run."""
    return _TEMPORARY.sub("FOLDER", text)


def _update(key: str, texts: dict[str, str]) -> None:
    with GOLDEN.open("r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        golden = json.load(file) | {key: texts}
        file.seek(0)
        file.truncate()
        json.dump(dict(sorted(golden.items())), file, ensure_ascii=False, indent=1)
        file.write("\n")
