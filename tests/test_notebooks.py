"""The notebooks run from top to bottom on the embedded corpus, and their stored outputs are those of one such run."""

import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SHORTER = {
    "01_data": "",
    "02_three_variants": 'SEEDS, SETTINGS = 1, {"epochs": 1}',
    "03_why_two_of_them_failed": 'SHARE, SETTINGS = 0.02, {"epochs": 1}',
    "04_export_and_serve": 'SETTINGS = {"epochs": 1}',
}
"""What is added to the first cell of each notebook, so that its trainings are short."""


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def output_text(notebook):
    return "\n".join(output.get("text", "") for cell in code_cells(notebook) for output in cell.outputs)


def check_results(name, text, least):
    """Checks that what was trained found entities: F1 of at least `least`, and below 1."""
    if name == "02_three_variants":
        rows = [re.split(" {2,}", line) for line in text.splitlines() if re.match("(finetune|head|replace)  +[0-9]", line)]
        scores = {row[0]: float(row[-1].split()[0]) for row in rows}
        assert sorted(scores) == ["finetune", "head", "replace"]
        assert all(least <= f1 < 0.995 for f1 in scores.values())
    if name == "03_why_two_of_them_failed":
        assert "model 2, trained as tfner does" in text
    if name == "04_export_and_serve":
        assert "entity_count" in text
        assert '{"outputs":{"' in text  # the answer to curl
        assert "the server has ended" in text


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom_and_leaves_nothing_behind(path, tmp_path):
    notebook = read(path)
    code_cells(notebook)[0].source += "\n" + SHORTER[path.stem]
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    check_results(path.stem, output_text(notebook), least=0.3)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_stored_outputs_are_from_one_run_without_errors(path):
    notebook = read(path)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not any(o.output_type == "error" or o.get("name") == "stderr" for cell in cells for o in cell.outputs)
    assert path.stat().st_size < 150_000
    check_results(path.stem, output_text(notebook), least=0.9)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_imports_tfner_and_the_standard_library_and_opens_with_what_it_is_for(path):
    notebook = read(path)
    source = "\n".join(cell.source for cell in code_cells(notebook))
    imports = set(re.findall(r"^ *(?:from|import) (\w+)", source, re.MULTILINE))
    assert imports - sys.stdlib_module_names == {"tfner"}
    assert "def " not in source
    opening = notebook.cells[0].source
    assert all(f"**{word}.**" in opening for word in ("Purpose", "Running time", "What it needs"))
    assert re.search(r"^PRESET = \"demo\"  # or \"paper\"$", code_cells(notebook)[0].source, re.MULTILINE)


def test_every_notebook_is_tested():
    assert [path.stem for path in NOTEBOOKS] == list(SHORTER)
