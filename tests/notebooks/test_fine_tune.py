"""The notebook of fine-tuning on its own example, with few pictures, in Jupyter's way of running notebooks."""

from pathlib import Path

import nbformat
import papermill
import pytest

from workbook.studies.finetune import EXAMPLE, write_example

pytestmark = [pytest.mark.notebook, pytest.mark.finetune]
TEMPLATE = Path(__file__).parents[2] / "notebooks" / "templates" / "fine_tune.ipynb"


def test_the_template_runs_as_it_is(tmp_path):
    write_example(tmp_path / "out" / EXAMPLE, 12)
    values = {"folder": str(tmp_path / "out"), "epochs": 1.0}
    papermill.execute_notebook(str(TEMPLATE), str(tmp_path / "done.ipynb"), values, cwd=tmp_path, progress_bar=False)
    executed = nbformat.read(tmp_path / "done.ipynb", 4)
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    said = "".join(output.get("text", "") for output in outputs)
    shown = "".join(str(output.get("data", {}).get("text/html", "")) for output in outputs)
    assert "change: " in said and "no_visual" in shown and (tmp_path / "out" / "adapter").is_dir()


def test_the_template_is_thin_and_stripped():
    code = [cell for cell in nbformat.read(TEMPLATE, 4).cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert "parameters" in code[0].metadata["tags"] and not any("def " in cell.source for cell in code)
