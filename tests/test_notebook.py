"""The notebook runs from top to bottom on the embedded corpus, and its stored outputs are those of one such run."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "01_compare_variants.ipynb"


def run_scores(notebook):
    """Overall F1 on the test split of each model that the notebook trained, read from its outputs."""
    text = "\n".join(o.get("text", "") for c in notebook.cells if c.cell_type == "code" for o in c.outputs)
    found = re.findall(r"^test split$.*?^overall +[\d.]+ +[\d.]+ +([\d.]+)", text, re.DOTALL | re.MULTILINE)
    return [float(f1) for f1 in found]


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path):
    """Trains for one epoch instead of six, which is enough to see all three variants learn."""
    (tmp_path / "notebooks").mkdir()
    copy = shutil.copy(NOTEBOOK, tmp_path / "notebooks")
    notebook = nbformat.read(copy, as_version=4)
    first = next(c for c in notebook.cells if c.cell_type == "code")
    first.source += '\n\nfrom tfner.config import PRESETS\n\nPRESETS["demo"]["epochs"] = 1'
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path / "notebooks")}}).execute()
    scores = run_scores(notebook)
    assert len(scores) == 3
    assert all(0.3 < f1 < 0.995 for f1 in scores)


def test_the_stored_scores_of_all_three_variants_are_above_the_bound():
    scores = run_scores(nbformat.read(NOTEBOOK, as_version=4))
    assert len(scores) == 3
    assert all(0.90 <= f1 < 0.995 for f1 in scores)


def test_the_stored_outputs_are_from_one_run_without_errors():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    assert not any(o.output_type == "error" or o.get("name") == "stderr" for c in cells for o in c.outputs)
    assert NOTEBOOK.stat().st_size < 200_000


def test_the_notebook_imports_everything_from_tfner():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    source = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
    imports = re.findall(r"^ *(?:from|import) (\w+)", source, re.MULTILINE)
    assert set(imports) == {"tfner"}
