"""The generated parts of the reference: each marker is replaced by what the code says, and nothing is left out."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import fields
from pathlib import Path

from tfner import contract, folder
from tfner.__main__ import VERBS
from tfner.config import Config, default_text

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_SPEC = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
hooks = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(hooks)


def page(name: str) -> str:
    """A page of the documentation after the hooks have run."""
    return hooks.on_page_markdown((DOCS / name).read_text("utf-8"))


def test_every_setting_is_in_the_table_of_flags_with_its_default_and_choices():
    table = hooks.flags_of("train")
    for one in fields(Config):
        row = next(line for line in table.splitlines() if line.startswith(f"| `--{one.name.replace('_', '-')}` |"))
        assert one.metadata["help"] in row
        assert default_text(one) in row
        assert all(f"`{choice}`" in row for choice in one.metadata["choices"])


def test_every_command_and_all_its_flags_are_on_the_page_of_commands():
    text = page("reference/commands.md")
    for verb in VERBS:
        assert f"\n## {verb}\n" in text
        flags = set(re.findall(r"--[a-z-]+", hooks.help_of(verb))) - {"--help"}
        assert flags
        for flag in flags:
            assert flag in text, f"{flag} of {verb}"


def test_the_help_on_the_page_does_not_depend_on_the_width_of_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    narrow = hooks.help_of("predict")
    monkeypatch.setenv("COLUMNS", "200")
    assert hooks.help_of("predict") == narrow
    assert narrow.startswith("```text\nusage: python -m tfner.predict ")


def test_every_input_and_output_of_a_signature_is_on_its_page():
    text = page("reference/signatures.md")
    for signature in contract.SIGNATURES:
        assert f"### `{signature.name}`" in text
        for name, field in {**signature.inputs, **signature.outputs}.items():
            shape = f"({', '.join(field.shape)}{',' if len(field.shape) == 1 else ''})"
            assert f"| `{name}` | {field.dtype} | {shape} | {field.meaning} |" in text


def test_every_error_is_on_the_page_of_errors_once():
    text = page("reference/errors.md")
    shown = hooks.without_numbers(text)
    for texts in json.loads(hooks.ERRORS.read_text("utf-8")).values():
        for form in texts.values():
            assert hooks.without_numbers(form).replace("|", "\\|") in shown
    rows = [hooks.without_numbers(line.split(" | ", 1)[1]) for line in text.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.startswith(("message", "---"))]
    assert len(rows) == len(set(rows))


def test_every_file_of_a_model_folder_is_on_its_page():
    text = page("reference/model-folder.md")
    names = [folder.TRAINING, folder.EVALUATIONS, *folder.OTHER_FORMATS, folder.SAVED_MODEL, folder.EXTRA, folder.WARMUP]
    names += [folder.CONFIG, folder.LABELS, folder.SCORES, folder.HISTORY, folder.ENCODER, folder.WEIGHTS, folder.TOKENIZER]
    names += [folder.LIMITS, folder.CARD, folder.DESCRIPTION, *folder.GRAPHS.values(), *folder.EVALUATION_FILES]
    assert [name for name in names if name not in text] == []


def test_every_module_is_on_the_page_of_its_wing():
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "tfner").rglob("[!_]*.py")}
    shown = [module for wing in hooks.WINGS for module in hooks.modules_of(wing)]
    assert sorted(shown) == sorted(modules)
    for wing in hooks.WINGS:
        text = page(f"reference/modules/{wing}.md")
        assert re.findall(r"^::: (\S+)$", text, re.MULTILINE) == hooks.modules_of(wing)


def test_what_a_page_says_about_the_public_names_is_all_of_them():
    import tfner

    shown = re.findall(r"^::: (\S+)$", page("reference/python.md"), re.MULTILINE)
    assert sorted(name.rpartition(".")[2] for name in shown) == sorted(tfner.__all__)
    assert sorted(shown) == sorted(f"{tfner._HOMES[name]}.{name}" for name in tfner.__all__)


def test_no_marker_is_left_on_any_page():
    for path in DOCS.rglob("*.md"):
        left = re.findall(r"<!-- (?!not run)[^>]*-->", hooks.on_page_markdown(path.read_text("utf-8")))
        assert left == [], path


def test_bars_and_backticks_in_messages_keep_their_table():
    assert hooks._table(("a",), [("x|y",)]).endswith("| x\\|y |")
    assert hooks._code("a `b`") == "`` a `b` ``"
