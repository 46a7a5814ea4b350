"""The template notebook on its own example, through the command line, with a tiny random model."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from oryx.evidence.rows import read_rows
from tests.tiny import save_tiny_model
from workbook.studies.own_data.study import OwnData

pytestmark = pytest.mark.notebook
ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "notebooks" / OwnData.notebook


def test_the_template_runs_as_it_is(tmp_path):
    values = {"models": str(save_tiny_model(tmp_path / "tiny")), "compressions": "4x,16x", "items": "null"}
    flags = [word for name, value in values.items() for word in ("-p", f"{name}={value}")]
    command = [sys.executable, "-m", "oryx", "run", "own_data", "--scale", "smoke", "--results", str(tmp_path)]
    done = subprocess.run([*command, *flags], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    study = OwnData()
    settings = study.settings({"scale": "smoke", "results": str(tmp_path), **values})
    folder = study.run_folder(settings)
    arms = study.arms(settings)
    rows = read_rows([folder / "seed-0" / "arms" / arm / "rows.jsonl" for arm in arms])
    assert arms == ["4x", "16x"] and rows["error"].isna().all() and set(rows["task"]) == {"number", "icon", "video"}
    assert len(rows) == 2 * 2 * len(study.items(settings))
    executed = nbformat.read(folder / "notebook.ipynb", 4)
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    shown = "".join(
        str(output.get("data", {}).get(kind, "")) for output in outputs for kind in ("text/html", "text/markdown")
    )
    assert "no picture" in shown and "own.4x.above_chance" in shown and "direction only" in shown


def test_the_template_is_thin_and_stripped():
    cells = nbformat.read(TEMPLATE, 4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert "parameters" in code[0].metadata["tags"]
    assert not any("def " in cell.source or "class " in cell.source for cell in code), "logic belongs to oryx/"
