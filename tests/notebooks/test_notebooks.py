"""The notebooks run from the first cell to the last, and carry no traces of the machine where they last did."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from talksplat.config import CONF_DIR

NOTEBOOKS = sorted((CONF_DIR.parent / "notebooks").glob("*.ipynb"))
SMALL = {"SIZE": "64", "FRAMES": "33", "STEPS": "3", "POINTS": "400"}
PICTURES = {"01_look_at_a_clip": 3, "02_walk_through_the_shapes": 1, "03_compare_runs": 5}
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first notebook makes its sample for all."""
    return tmp_path_factory.mktemp("data")


@pytest.mark.slow
@by_name
def test_notebook_runs(path: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (SMALL | {"DATA": str(data)}).items():
        monkeypatch.setenv(f"TALKSPLAT_NOTEBOOK_{name}", value)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    # Without a network the face model would be looked for in vain, several times.
    monkeypatch.setenv("TALKSPLAT_ASSETS", os.environ.get("TALKSPLAT_ASSETS", str(data)))
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= PICTURES[path.stem]
    for picture in pictures:
        image = cv2.imdecode(np.frombuffer(base64.b64decode(picture), np.uint8), cv2.IMREAD_COLOR)
        assert image.std() > 5, "a picture with nothing on it"
    assert not list(tmp_path.iterdir()), "a notebook leaves nothing where it was opened"


@by_name
def test_outputs_are_stripped(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None, "strip outputs before committing"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    text = path.read_text()
    for trace in ("/home/", "/Users/", "/root", "/tmp", "/work", "C:\\\\"):
        assert trace not in text, f"a path of some machine: {trace}"


def test_notebooks_define_nothing_reusable() -> None:
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                lines = cell.source.splitlines()
                assert not [line for line in lines if line.startswith(("def ", "class "))], "it belongs into src"
    assert {path.stem for path in NOTEBOOKS} == set(PICTURES)
