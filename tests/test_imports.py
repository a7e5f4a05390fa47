"""The house's order: imports point up, and what needs no tensors starts without TensorFlow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tfner

NOUNS = """errors terminal labels versions config sources columns jsonl hub corpus words demo_grammar demo demo_encoder
pretrained encoding inputs batching losses layers models optimizers scores mistakes plots epochs wordpiece graph
tagger transport client warmup card bundle transformers_format onnx_format rest microbatch servable app""".split()
VERBS = "explore train evaluate predict export serve".split()
FOLDER = Path(tfner.__file__).parent


def top_level_imports(module: str) -> set[str]:
    tree = ast.parse((FOLDER / f"{module}.py").read_text("utf-8"))
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "tfner":
            found |= {node.module.split(".")[1]} if "." in node.module else {alias.name for alias in node.names}
    return found


def test_every_module_has_its_place():
    assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "__main__"} == {*NOUNS, *VERBS}


@pytest.mark.parametrize("module", NOUNS)
def test_a_noun_imports_only_what_stands_above_it(module):
    allowed = {*NOUNS[: NOUNS.index(module)], "__version__"}
    assert top_level_imports(module) <= allowed


@pytest.mark.parametrize("module", VERBS)
def test_a_verb_imports_no_other_verb(module):
    assert not top_level_imports(module).intersection(VERBS)


@pytest.mark.parametrize(
    "module",
    "labels config corpus words encoding inputs scores mistakes demo demo_encoder tagger client rest microbatch".split(),
)
def test_a_module_without_tensors_starts_without_tensorflow(module):
    program = f"import sys, tfner.{module}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("verb", VERBS)
def test_help_needs_neither_tensorflow_nor_transformers(verb):
    program = (
        f"import sys, atexit\nfrom tfner import {verb}\n"
        "heavy = {'tensorflow', 'transformers', 'datasets', 'matplotlib', 'starlette'}\n"
        "atexit.register(lambda: print(sorted(heavy & set(sys.modules))))\n"
        f"{verb}.main(['--help'])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("usage:")
    assert result.stdout.splitlines()[-1] == "[]"


def test_the_one_command_lists_the_verbs_and_refuses_others():
    result = subprocess.run([sys.executable, "-m", "tfner", "--help"], capture_output=True, text=True, check=True)
    assert all(verb in result.stdout for verb in VERBS)
    result = subprocess.run([sys.executable, "-m", "tfner", "trian"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "usage" in result.stderr
