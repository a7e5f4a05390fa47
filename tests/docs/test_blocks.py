"""Runs the shell and Python blocks of README.md and of the documentation, and compares what they print with what is shown.

The blocks of a page run in their order, in a temporary folder of the page. A ```` ```text ```` block is the output of the block
before it. `<!-- not run: reason -->` on the line before a block leaves it out.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from support.jobs import free_ports

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELL, PYTHON, OUTPUT = "sh", "python", "text"
LANGUAGES = {SHELL, PYTHON, OUTPUT, "json"}
"""Other names of these languages are refused: a block must not escape by calling itself bash."""

TRAIN = "python -m tfner.train --variant head"
SET_UP = "python3 -m venv .venv && . .venv/bin/activate && pip install -e . && "
COMMANDS_RUN_ONCE = (TRAIN, SET_UP + TRAIN)
"""Blocks that train the model of all pages. The training runs once, and each page gets a copy of its result. The environment
that `SET_UP` makes is the one that these tests run in: CI makes it by the same steps."""
START_FROM_NOTHING = ("README.md", "docs/tutorial.md")
"""Pages that train this model themselves. Others refer to the tutorial and find `saved_models/head`."""
TAGS_ONLY = "python -m tfner.predict saved_models/head "
"""A block of nothing but such commands prints the same on every page, and runs once."""
IN_PROCESSES = ("README.md",)
"""Pages whose commands all run as processes of their own. On other pages, a block of nothing but `COMMAND` lines calls the
commands' functions in this process, which saves the 5 seconds that importing TensorFlow takes."""
COMMAND = re.compile(r"python -m tfner\.(\w+)((?: [^|<>&;$`#*?]*)?)")
SERVE = "python -m tfner.serve "
"""A block that starts so is a server: it runs until the last page is done."""
PORT = 8501

_BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<comment>.*?) -->\n(?P=indent))?```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_EPOCH = re.compile(r"^( +\d+(?: +\d+\.\d+){7}) +\d+$", re.MULTILINE)  # the last column is words a second


class Block(NamedTuple):
    """A fenced block; `comment` is the HTML comment on the line before it."""

    line: int
    language: str
    text: str
    comment: str | None

    @property
    def runs(self) -> bool:
        return self.language in (SHELL, PYTHON) and not (self.comment or "").startswith("not run")


def blocks(page: Path) -> list[Block]:
    markdown = page.read_text("utf-8")
    return [
        Block(
            markdown.count("\n", 0, found.start("text")) + 1,
            found["language"],
            textwrap.dedent(found["text"]),
            found["comment"],
        )
        for found in _BLOCK.finditer(markdown)
    ]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


class Runner:
    """Runs the blocks of one page in a folder, which is the current one."""

    def __init__(self, folder: Path, shared: Shared):
        self.folder, self.shared = folder, shared
        self.names: dict[str, object] = {"__name__": "__main__"}

    def run(self, page: Path, block: Block) -> str:
        """What the block prints on standard output."""
        text = block.text.strip()
        if block.language == PYTHON:
            return self._python(block.text, f"{name(page)}:{block.line}")
        if text in COMMANDS_RUN_ONCE:
            return self.shared.give_model(self.folder)
        if text.startswith(SERVE):
            return self.shared.serve(text)
        if all(line.startswith(TAGS_ONLY) for line in text.splitlines()):
            return self.shared.once(text, lambda: shell(text, self.folder))
        text = self.shared.with_port(text)
        commands = [COMMAND.fullmatch(line) for line in text.splitlines()]
        if all(commands) and name(page) not in IN_PROCESSES:
            return "".join(in_this_process(found[1], shlex.split(found[2])) for found in commands if found)
        return shell(text, self.folder)

    def _python(self, text: str, where: str) -> str:
        printed = io.StringIO()
        text = self.shared.with_port(text)
        lines = "\n" * (int(where.rpartition(":")[2]) - 1) + text  # a traceback then shows the line of the page
        with contextlib.redirect_stdout(printed):
            exec(compile(lines, where, "exec"), self.names)
        return printed.getvalue()


class Shared:
    """What the pages share: the trained model, its answers, its server."""

    def __init__(self, folder: Path):
        self.folder, [self.port] = folder, free_ports(1)
        self.model_output: str | None = None
        self.outputs: dict[str, str] = {}
        self.servers: dict[str, tuple[subprocess.Popen, str]] = {}

    def give_model(self, folder: Path) -> str:
        """Copies the model, trained if it is the first time, into a page's folder; returns what its training printed.

        `TFNER_MAIN_RUN` names a folder in which the command has run already, with what it printed in `output.txt`.
        """
        if self.model_output is None and (done := os.environ.get("TFNER_MAIN_RUN")):
            self.model_output = Path(done, "output.txt").read_text("utf-8")
            shutil.copytree(Path(done, "saved_models"), self.folder / "saved_models")
        elif self.model_output is None:
            self.model_output = shell(TRAIN, self.folder)
        shutil.copytree(self.folder / "saved_models", folder / "saved_models")
        return self.model_output

    def once(self, text: str, run: Callable[[], str]) -> str:
        """What `run` returned when it was first asked for this text."""
        if text not in self.outputs:
            self.outputs[text] = run()
        return self.outputs[text]

    def serve(self, command: str) -> str:
        """Starts a server with the shared model and waits until it is ready; returns what it printed."""
        command = command.removesuffix("&").strip()
        if command not in self.servers:
            command_line = f"exec {command} --port {self.port}"
            log = self.folder / "server.txt"
            with log.open("w") as file:
                process = subprocess.Popen(["bash", "-c", command_line], cwd=self.folder, env=environment(), stdout=file)
            self.servers[command] = process, ""
            deadline = time.monotonic() + 120
            while "Ctrl-C" not in log.read_text("utf-8"):
                assert process.poll() is None, f"{command} ended with {process.returncode}"
                assert time.monotonic() < deadline, f"{command} is not ready after 120 seconds"
                time.sleep(0.1)
            self.servers[command] = process, log.read_text("utf-8").replace(str(self.port), str(PORT))
        return self.servers[command][1]

    def with_port(self, text: str) -> str:
        """A block that asks the documented port, with the port that the server has in this test."""
        return text.replace(f"localhost:{PORT}/", f"localhost:{self.port}/")

    def close(self) -> None:
        for process, _ in self.servers.values():
            process.terminate()
            process.wait(30)


def environment() -> dict[str, str]:
    """The environment of a shell: `python` is this Python, and `tfner` this tfner."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }


def shell(text: str, folder: Path) -> str:
    """What commands print on standard output. All of them have to succeed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=environment(), capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, f"exit status {done.returncode} of\n{text}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def in_this_process(verb: str, arguments: list[str]) -> str:
    """What a command prints on standard output. It has to succeed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = importlib.import_module(f"tfner.{verb}").main(arguments)
    assert status == 0, f"exit status {status} of {verb} {arguments}\n{printed.getvalue()[-2000:]}"
    return printed.getvalue()


def general(output: str) -> list[str]:
    """The lines of an output without what differs between machines: scores, times, spaces between columns."""
    output = re.sub(r"\d+\.\d+(e-?\d+)?", "#", _EPOCH.sub(r"\1 #", output))
    return [" ".join(line.split()) for line in output.strip().splitlines()]


def agrees(shown: str, printed: str) -> bool:
    """Whether an output is what a page shows. A line `...` matches any number of lines, `...` within a line any text."""
    lines = [r"(?:.*\n)*" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n" for line in general(shown)]
    return re.fullmatch("".join(lines), "".join(f"{line}\n" for line in general(printed))) is not None


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Iterator[Shared]:
    one = Shared(tmp_path_factory.mktemp("shared"))
    yield one
    one.close()


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if any(b.runs for b in blocks(p))], ids=name)
def test_the_blocks_of_a_page_run_and_print_what_it_shows(page, shared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name(page) not in START_FROM_NOTHING:
        shared.give_model(tmp_path)
    runner = Runner(tmp_path, shared)
    printed: str | None = None
    for block in blocks(page):
        if block.language == OUTPUT:
            if printed is not None:
                where = f"{name(page)}:{block.line}"
                assert agrees(block.text, printed), f"{where} shows\n{block.text}\nbut this was printed\n{printed}"
            printed = None
        elif block.language in (SHELL, PYTHON):
            printed = runner.run(page, block) if block.runs else None


@pytest.mark.slow
def test_every_file_of_the_trained_model_is_on_the_page_of_model_folders(shared, tmp_path):
    text = (ROOT / "docs" / "reference" / "model-folder.md").read_text("utf-8")
    shared.give_model(tmp_path)
    files = [path for path in (tmp_path / "saved_models" / "head").rglob("*") if path.is_file()]
    assert len(files) > 15
    described_as_a_whole = ("variables", "tokenizer", "encoder")
    assert [path.name for path in files if path.name not in text and path.parent.name not in described_as_a_whole] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_says_its_language_and_why_it_is_not_run(page):
    for block in blocks(page):
        where = f"{name(page)}:{block.line}"
        assert block.language in LANGUAGES, f"{where} is a block of {block.language!r}: expected one of {LANGUAGES}"
        if block.comment and block.comment.startswith("not run"):
            reason = re.fullmatch(r"not run: (.*\w.*)", block.comment)
            assert reason and len(reason[1].split()) >= 3, f"{where}: expected <!-- not run: reason -->, found {block.comment}"


def test_every_fence_is_part_of_a_block():
    for page in PAGES:
        fences = re.findall(r"^ *```", page.read_text("utf-8"), re.MULTILINE)
        assert len(fences) == 2 * len(blocks(page)), f"{name(page)} has a fence that opens or closes no block"


def test_an_output_with_another_type_does_not_agree():
    shown = "My name is [Ahmed]PER.\n  PER  0.9976  Ahmed  (word 3, characters 11-16)\n"
    assert agrees(shown, shown.replace("0.9976", "0.81"))
    assert not agrees(shown, shown.replace("PER", "ORG"))
    assert not agrees(shown, shown.replace("11-16", "11-17"))
    assert not agrees(shown, shown + "one more line\n")
    assert agrees("...\n" + shown + "...\n", "a\nb\n" + shown + "c\n")
    assert agrees("a ... c\n", "a b c\n")


def test_blocks_are_found_with_their_comments():
    markdown = "text\n\n<!-- not run: needs a hub -->\n```sh\nfirst\n```\n\n    ```python\n    second\n    ```\n"
    page = [m.groupdict() for m in _BLOCK.finditer(markdown)]
    assert [(b["language"], b["text"].strip(), b["comment"]) for b in page] == [
        ("sh", "first", "not run: needs a hub"),
        ("python", "second", None),
    ]
