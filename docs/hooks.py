"""Fills the generated parts of the reference when MkDocs builds the site.

A marker in a page is replaced by what the code says: `<!-- flags: train -->` by the settings of `Config`, `<!-- help: VERB -->`
by the help of a command, `<!-- signatures -->` by the signatures of an exported model, `<!-- errors -->` by the texts of the
errors that the tests check, `<!-- modules: WING -->` by the interface of a wing's modules, `<!-- wings -->` by a list of them.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import tfner
from tfner.__main__ import VERBS
from tfner.config import GROUPS, Config, default_text
from tfner.contract import SIGNATURES, Field

PACKAGE = Path(tfner.__file__).parent
ERRORS = Path(__file__).parent.parent / "tests" / "golden" / "errors.json"
WINGS = (
    "ground",
    "evaluation",
    "serving",
    "demo",
    "data",
    "modeling",
    "tagging",
    "training",
    "exports",
    "experiments",
    "commands",
)
"""In the order of the imports. The ground and the commands are the modules that are in no folder."""
TOPICS = {
    "argument": "Arguments and settings",
    "setting": "Arguments and settings",
    "preset": "Arguments and settings",
    "label": "Labels and tags",
    "scheme": "Labels and tags",
    "sentence": "Labels and tags",
    "tag_": "Labels and tags",
    "task_of": "Model folders",
    "same_tags": "Corpora: files and folders",
    "other_words": "Corpora: files and folders",
    "single_label": "Corpora: files and folders",
    "all_tasks": "Exports",
    "conll": "Corpora: CoNLL columns",
    "jsonl": "Corpora: JSON lines",
    "files": "Corpora: files and folders",
    "load": "Corpora: files and folders",
    "demo": "Corpora: files and folders",
    "hub": "Corpora: the Hugging Face hub",
    "input": "Texts to tag",
    "encoder": "Encoders and tokenizers",
    "tokenizer": "Encoders and tokenizers",
    "variant": "Encoders and tokenizers",
    "replace": "Encoders and tokenizers",
    "weights": "Encoders and tokenizers",
    "row": "Words to word pieces",
    "output": "Output folders",
    "model": "Model folders",
    "saved_model": "Model folders",
    "state": "Model folders",
    "train": "Training",
    "no_validation": "Training",
    "tensorboard": "Training",
    "evaluat": "Evaluation",
    "no_such_split": "Evaluation",
    "export": "Exports",
    "no_such_training": "Exports",
    "no_training": "Exports",
    "tf2onnx": "Exports",
    "unknown_format": "Exports",
    "onnx": "Exports",
    "transformers": "Exports",
    "serv": "Servers and clients",
    "address": "Servers and clients",
    "client": "Servers and clients",
    "rest": "Servers and clients",
    "batching": "Servers and clients",
    "text_too_large": "Servers and clients",
    "grpc": "Servers and clients",
    "tagg": "Tagging in Python",
    "half_of": "Tagging in Python",
    "words_are": "Tagging in Python",
}
"""Beginnings of the keys in `ERRORS`, and the sections that they are shown in, in the order of the page."""
OTHER = "Others"
_PUBLIC = {"tfner.tagging.load": "load_tagger", "tfner.tagging.tagger": "Tagger", "tfner.data.load": "load_corpus"} | {
    "tfner.labels": "(Entity|LabelSet)",
    "tfner.config": "Config",
}
"""What reference/python.md shows of a module, so that the page of its wing leaves it out."""
_MARKER = re.compile(r"^<!-- (flags|help|signatures|errors|modules|wings)(?:: (\w+))? -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs calls this with the Markdown of each page."""
    return _MARKER.sub(lambda marker: _GENERATED[marker[1]](*filter(None, [marker[2]])), markdown)


def flags_of(verb: str) -> str:
    """A table for each group of settings: flag, default, meaning. Only `train` has all of them."""
    assert verb == "train", verb
    parts = []
    for group, heading in GROUPS.items():
        rows = [
            (f"`--{one.name.replace('_', '-')}`", default_text(one) or "off", _meaning(one.metadata))
            for one in fields(Config)
            if one.metadata["group"] == group
        ]
        parts.append(f"### {heading[0].upper()}{heading[1:]}\n\n{_table(('flag', 'default', 'meaning'), rows)}")
    return "\n\n".join(parts)


def _meaning(metadata: Any) -> str:
    choices = ", ".join(f"`{choice}`" for choice in metadata["choices"])
    return metadata["help"] + (f"; one of {choices}" if choices else "")


def help_of(verb: str) -> str:
    """What `python -m tfner.VERB --help` prints, 100 columns wide."""
    columns, printed = os.environ.get("COLUMNS"), io.StringIO()
    os.environ["COLUMNS"] = "100"
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            importlib.import_module(f"tfner.{verb}").main(["--help"])
    finally:
        del os.environ["COLUMNS"]
        if columns is not None:
            os.environ["COLUMNS"] = columns
    return f"```text\n{printed.getvalue().strip()}\n```"


def signatures() -> str:
    """A section for each signature with tables of its inputs and outputs."""
    parts = []
    for one in SIGNATURES:
        parts.append(f"### `{one.name}`\n\n{one.meaning}")
        for title, named in (("input", one.inputs), ("output", one.outputs)):
            rows = [(f"`{name}`", field.dtype, _shape(field), field.meaning) for name, field in named.items()]
            parts.append(_table((title, "type", "shape", "meaning"), rows))
    return "\n\n".join(parts)


def _shape(field: Field) -> str:
    return f"({', '.join(field.shape)}{',' if len(field.shape) == 1 else ''})"


def errors() -> str:
    """A section for each topic with a table of its errors. The Python form of a message is shown where it differs.

    Messages that differ in numbers only are shown once.
    """
    topics: dict[str, list[tuple[str, str]]] = {}
    shown: set[str] = set()
    for key, texts in sorted(json.loads(ERRORS.read_text("utf-8")).items()):
        if (general := without_numbers(texts["command line"])) in shown:
            continue
        shown.add(general)
        topic = next((topic for prefix, topic in TOPICS.items() if key.startswith(prefix)), OTHER)
        message = _code(texts["command line"])
        if texts["python"] != texts["command line"]:
            message += f"<br>in Python: {_code(texts['python'])}"
        topics.setdefault(topic, []).append((re.sub(r"_+", " ", key).strip(), message))
    return "\n\n".join(
        f"## {topic}\n\n{_table(('situation', 'message'), topics[topic])}"
        for topic in dict.fromkeys([*TOPICS.values(), OTHER])
        if topic in topics
    )


def without_numbers(text: str) -> str:
    """A message with every number replaced, to compare it with others."""
    return re.sub(r"-?\d+(\.\d+)?", "0", text)


def modules(wing: str) -> str:
    """The docstring of a wing, and for each of its modules the block that mkdocstrings replaces by its interface."""
    parts = [_docstring(PACKAGE / wing / "__init__.py")] if (PACKAGE / wing).is_dir() else []
    for module in modules_of(wing):
        options = ["show_root_full_path: true", "heading_level: 2"]
        if module in _PUBLIC:
            options.append(f'filters: ["!^_", "!^{_PUBLIC[module]}$"]')
        parts.append(f"::: {module}\n    options:\n" + "\n".join(f"        {option}" for option in options))
    return "\n\n".join(parts)


def wings() -> str:
    """A section for each wing with its modules and the first paragraph of their docstrings."""
    parts = []
    for wing in WINGS:
        rows = [(f"`{module}`", _docstring(path_of(module)).partition("\n\n")[0]) for module in modules_of(wing)]
        rows = [(name, " ".join(text.split())) for name, text in rows]
        parts.append(f"## [{wing.capitalize()}]({wing}.md)\n\n{_table(('module', 'purpose'), rows)}")
    return "\n\n".join(parts)


def modules_of(wing: str) -> list[str]:
    """The names of a wing's modules, sorted."""
    if wing in ("ground", "commands"):
        names = {path.stem for path in PACKAGE.glob("[!_]*.py")}
        return [f"tfner.{name}" for name in sorted(names - set(VERBS) if wing == "ground" else names & set(VERBS))]
    return [f"tfner.{wing}.{path.stem}" for path in sorted((PACKAGE / wing).glob("[!_]*.py"))]


def path_of(module: str) -> Path:
    """The file of a module."""
    return PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")


def _docstring(path: Path) -> str:
    """The docstring of a module, which is read without importing it."""
    return ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""


def _code(text: str) -> str:
    """Text as inline code, which may hold backticks and, in a table, bars."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_GENERATED: dict[str, Callable[..., str]] = {
    "flags": flags_of,
    "help": help_of,
    "signatures": signatures,
    "errors": errors,
    "modules": modules,
    "wings": wings,
}
