"""The code of the document and of the notebook does what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Dict

import pytest
from support import PATIENCE, ROOT

import estimator_mnist as em

DOCUMENT = ROOT / "docs" / "python-api.md"
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"


def environment() -> Dict[str, str]:
    """Returns the environment of a process that imports this project's packages."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_every_block_of_the_document_runs_in_order(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 7
    path = tmp_path / "document.py"
    path.write_text("\n".join(blocks))
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "holds another experiment: --train_steps is 200, not 100" in done.stdout
    assert "small.py:small runs/arrays-small-small" in done.stdout


def test_the_document_names_every_name_and_every_member_of_a_run():
    text = DOCUMENT.read_text()
    names = [name for name in em.__all__ if name not in ("Data", "Run", "Predictions", "Evaluation")]
    assert not [name for name in names if f"em.{name}" not in text]
    members = [name for name in vars(em.Run) if not name.startswith("_")]
    assert not [name for name in members if f"`{name}" not in text]
    assert len(text.splitlines()) <= 200


def test_the_notebook_runs(tmp_path: Path):
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    import nbformat

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=PATIENCE, resources=resources).execute(env=environment())
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    shown = {kind for output in outputs for kind in output.get("data", {})}
    assert {"image/png", "text/html"} <= shown
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
