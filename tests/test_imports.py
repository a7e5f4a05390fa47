"""The order of the imports, and what may be imported without a heavy library.

The order of the wings is in pyproject.toml; import-linter checks it, imports inside functions included.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tfner
from tfner.__main__ import VERBS

REPOSITORY = Path(tfner.__file__).parent.parent
TENSORFLOW = {"tensorflow", "tensorflow_text", "tf_keras"}


def module_names() -> list[str]:
    """Every module of tfner, without its packages."""
    paths = sorted(path.relative_to(REPOSITORY) for path in (REPOSITORY / "tfner").rglob("*.py"))
    return [".".join(path.with_suffix("").parts) for path in paths if path.name != "__init__.py"]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    return subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def small_house(tmp_path) -> Path:
    """A copy of tfner's modules with their imports alone, to add forbidden ones to."""
    (tmp_path / "pyproject.toml").write_text((REPOSITORY / "pyproject.toml").read_text("utf-8"), "utf-8")
    for path in (REPOSITORY / "tfner").rglob("*.py"):
        copy = tmp_path / path.relative_to(REPOSITORY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        tree = ast.parse(path.read_text("utf-8"))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        copy.write_text("".join(f"{ast.unparse(node)}\n" for node in imports), "utf-8")
    return tmp_path


def test_imports_follow_the_order_of_the_wings():
    result = lint_imports(REPOSITORY)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "addition", "report"),
    [
        ("errors.py", "import tfner.labels", "tfner.errors is not allowed to import tfner.labels"),
        (
            "evaluation/scores.py",
            "def late():\n    import tfner.tagging",
            "tfner.evaluation is not allowed to import tfner.tagging",
        ),
        ("evaluation/plots.py", "import tfner.serving.rest", "tfner.evaluation is not allowed to import tfner.serving"),
        ("demo/names.py", "if TYPE_CHECKING:\n    import tfner.data.words", "tfner.demo is not allowed to import tfner.data"),
        ("train.py", "import tfner.export", "tfner.train is not allowed to import tfner.export"),
        (
            "evaluation/scores.py",
            "def late():\n    import tfner.evaluation.mistakes",
            "No cycles are allowed in tfner.evaluation",
        ),
        ("new_module.py", "", "new_module"),
    ],
    ids=["ground", "function", "sibling wing", "type checking", "verb", "circle in a wing", "no place"],
)
def test_a_forbidden_import_is_found(small_house, module, addition, report):
    path = small_house / "tfner" / module
    path.write_text((path.read_text("utf-8") if path.exists() else "") + addition + "\n", "utf-8")
    result = lint_imports(small_house)
    assert result.returncode == 1
    assert report in result.stdout, result.stdout + result.stderr


def test_only_modeling_training_and_exports_import_tensorflow_at_once():
    """Every other module is imported here, so that the commands and clients that need no tensors start quickly."""
    heavy = ("tfner.modeling.", "tfner.training.", "tfner.exports.", "tfner.experiments.study")
    light = {name for name in module_names() if not name.startswith(heavy)} - {"tfner.__main__"}
    light |= {"tfner.modeling.rows", "tfner.modeling.decoding", "tfner.modeling.pretrained", "tfner.training.request"}
    light |= {"tfner.modeling.batches", "tfner.modeling.tokenizer", "tfner.modeling.windows"}
    program = f"import sys, {', '.join(sorted(light))}; print(sorted({TENSORFLOW | {'transformers'}!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


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
