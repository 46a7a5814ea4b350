"""What a clone of the repository costs, and what work in it leaves to git."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
MOST_BYTES = 60_000_000


def test_the_tracked_files_stay_small():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout: nothing says which files are tracked")
    sizes = {name: (ROOT / name).stat().st_size for name in listed.stdout.split("\0") if (ROOT / name).is_file()}
    largest = sorted(sizes, key=sizes.get)[-5:]
    assert sum(sizes.values()) < MOST_BYTES, f"the largest files are {largest}"


def test_a_notebook_that_jupyterlab_saved_is_for_git_as_it_was(tmp_path):
    planned = subprocess.run(["make", "-n", "lab"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    filters = next(line for line in planned.splitlines() if line.startswith("git config"))
    name = "notebooks/03_pooling_vs_dynamic_compression.ipynb"
    for file in (".gitattributes", name):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    filters = filters.replace(str(ROOT / ".venv" / "bin" / "python"), sys.executable)
    for command in ("git init -q", "git add .", filters):
        subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    saved = nbformat.read(tmp_path / name, as_version=4)
    for count, cell in enumerate(cell for cell in saved.cells if cell.cell_type == "code"):
        cell.execution_count, cell.outputs = count, [nbformat.v4.new_output("stream", text="seen")]
    saved.metadata.language_info |= {
        "version": "3.11.4",
        "mimetype": "text/x-python",
        "codemirror_mode": {"version": 3},
    }
    saved.metadata.widgets = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    nbformat.write(saved, tmp_path / name)
    changed = subprocess.run(["git", "diff", "--stat"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert not changed
    saved.cells[0].source += " and more"
    nbformat.write(saved, tmp_path / name)
    changed = subprocess.run(["git", "diff", "--stat"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "03_pooling" in changed
