"""What is distributed: the public names, the declared dependencies, the files, and a test file for each module."""

import ast
import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import tfner

REPOSITORY = Path(tfner.__file__).parent.parent
DISTRIBUTIONS = {
    "PIL": "pillow",
    "google": "protobuf",
    "grpc": "grpcio",
    "tensorflow_serving": "tensorflow-serving-api",
    "yaml": "pyyaml",
}
"""The distribution of a package to import, where their names differ."""
NOT_IMPORTED: dict[str, str] = {}
"""Direct dependencies that no module imports, with the reason."""
WITHOUT_A_TEST_FILE = {
    "tfner/demo/grammar.py": "sentence templates and word lists, which the tests of tfner.demo.corpus read through it",
}
"""Modules that have no test file of their own, with the reason."""


def imported(*paths: Path) -> set[str]:
    """The distributions that some modules import, imports inside functions included."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(str(node.module).split(".")[0])
    found -= {*sys.stdlib_module_names, "tfner", "support"}
    return {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in found}


def declared(*extras: str) -> set[str]:
    """The distributions in setup.cfg: those of tfner itself for "", else those of an extra and the extras that it names."""
    settings = configparser.ConfigParser()
    settings.read(REPOSITORY / "setup.cfg", "utf-8")
    found = set()
    for extra in extras:
        lines = settings["options.extras_require"][extra] if extra else settings["options"]["install_requires"]
        for line in filter(None, lines.splitlines()):
            name, inner = re.fullmatch(r"([\w-]+)(?:\[(\w+)])?.*", line).groups()
            found |= declared(inner) if name == "tfner" else {name.lower().replace("_", "-")}
    return found


def modules() -> list[Path]:
    return sorted((REPOSITORY / "tfner").rglob("*.py"))


def test_every_public_name_resolves():
    assert {name: getattr(tfner, name).__name__ for name in tfner.__all__} == {name: name for name in tfner.__all__}
    assert set(tfner.__all__) <= set(dir(tfner))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="load_taggers"):
        tfner.load_taggers  # noqa: B018


def test_importing_tfner_imports_neither_tensorflow_nor_transformers():
    program = "import sys, tfner; dir(tfner); print(sorted(name for name in sys.modules if name.startswith(('t', 'n'))))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"tensorflow", "tf_keras", "transformers", "numpy"}.intersection(ast.literal_eval(result.stdout))


def test_every_direct_dependency_is_declared_and_every_declared_one_is_imported():
    extras = declared("onnx", "openvino", "serve", "ray", "spacy") - declared("")
    assert imported(*modules()) - extras == declared("") - set(NOT_IMPORTED)


@pytest.mark.parametrize(
    ("files", "extras"),
    [
        ("exports/onnx.py", ["onnx"]),
        ("tagging/onnx.py", ["onnx"]),
        ("tagging/openvino.py", ["openvino"]),
        ("tagging/on_ray.py", ["ray"]),
        ("tagging/outputs.py", ["spacy"]),
        ("exports/*.py", ["openvino"]),
        ("tagging/*.py", ["openvino", "ray", "spacy"]),
        ("serve.py", ["serve"]),
        ("serving/*.py", ["serve"]),
    ],
    ids=str,
)
def test_the_modules_of_an_extra_import_what_it_declares(files, extras):
    assert imported(*(REPOSITORY / "tfner").glob(files)) <= declared("", *extras)


@pytest.mark.parametrize(
    ("files", "extras"),
    [("tests/**/*.py", ["test"]), ("docs/*.py", ["docs"]), ("notebooks/*.py", ["test", "notebooks"])],
    ids=str,
)
def test_what_tests_docs_and_notebooks_import_is_declared(files, extras):
    assert imported(*REPOSITORY.glob(files)) <= declared("", *extras)


def test_only_modules_that_import_tensorflow_are_checked_less_strictly():
    settings = (REPOSITORY / "pyproject.toml").read_text("utf-8")
    relaxed = set(re.findall(r'"(tfner\.[\w.]+)",$', settings, re.MULTILINE))
    tensorflow = {"tensorflow", "tensorflow-text", "tf-keras"}
    assert relaxed
    for name in sorted(relaxed):
        assert imported(REPOSITORY / f"{name.replace('.', '/')}.py") & tensorflow, name


def test_every_module_has_its_test_file():
    found = {path.relative_to(REPOSITORY).as_posix() for path in modules() if path.stem not in ("__init__", "__main__")}
    without = {path for path in found if not file_of_tests(path).exists()}
    assert without == set(WITHOUT_A_TEST_FILE)


def file_of_tests(module: str) -> Path:
    path = Path(module)
    return REPOSITORY / "tests" / path.relative_to("tfner").with_name(f"test_{path.name}")


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == tfner.__version__
    assert f"## [{tfner.__version__}]" in (REPOSITORY / "CHANGELOG.md").read_text("utf-8")


def test_the_workflow_runs_the_projects_own_checks():
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert "bash .ci/run" in [step.get("run") for step in steps]
