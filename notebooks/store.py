"""Runs notebooks in an empty folder and stores them with their outputs.

    python notebooks/store.py 01_data.ipynb 02_three_variants.ipynb

Pictures are reduced to 200 colours, which less than halves their size. Needs the extras `test` and `notebooks`.
"""

import base64
import io
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parent


def run(name: str) -> nbformat.NotebookNode:
    """Runs a notebook from top to bottom in an empty folder, and returns it with its outputs."""
    notebook = nbformat.read(FOLDER / name, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": folder}}, coalesce_streams=True).execute()
    return notebook


def shrink(notebook: nbformat.NotebookNode) -> None:
    """Removes the metadata that differs between machines, and most colours of the pictures."""
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                picture = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))).convert("RGB")
                packed = io.BytesIO()
                picture.quantize(200, dither=Image.Dither.NONE).save(packed, format="PNG", optimize=True)
                output.data["image/png"] = base64.b64encode(packed.getvalue()).decode()


if __name__ == "__main__":
    for name in sys.argv[1:]:
        done = run(name)
        shrink(done)
        nbformat.write(done, FOLDER / name)
