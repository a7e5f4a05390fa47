"""The notebook runs from top to bottom on the embedded corpus, and its models are as good as the README says."""

import re
import shutil
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "01_compare_variants.ipynb"


def test_the_notebook_runs_and_all_three_variants_learn(tmp_path):
    (tmp_path / "notebooks").mkdir()
    copy = shutil.copy(NOTEBOOK, tmp_path / "notebooks")
    notebook = nbformat.read(copy, as_version=4)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path / "notebooks")}}).execute()
    text = "\n".join(o.get("text", "") for c in notebook.cells if c.cell_type == "code" for o in c.outputs)
    after = re.findall(r"^test split$.*?^overall +[\d.]+ +[\d.]+ +([\d.]+)", text, re.DOTALL | re.MULTILINE)
    assert len(after) == 3
    assert all(0.90 <= float(f1) < 0.995 for f1 in after)


def test_the_stored_outputs_are_of_one_clean_and_small_run():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    assert not any(o.output_type == "error" or o.get("name") == "stderr" for c in cells for o in c.outputs)
    assert NOTEBOOK.stat().st_size < 200_000


def test_the_notebook_imports_everything_from_tfner():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    source = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
    imports = re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE)
    assert set(imports) == {"tfner"}
