"""Notebook 06 through the real runner: as it is at smoke, and at scale paper on a tiny checkpoint and local copies."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from oryx.evidence.rows import read_rows
from tests.integration.test_benchmark_study import checkpoint, copies
from workbook.studies.benchmarks import tables
from workbook.studies.benchmarks.study import Benchmarks

__all__ = ["checkpoint", "copies"]
pytestmark = pytest.mark.notebook
ROOT = Path(__file__).parents[2]


def executed(values: dict, scale: str, results: Path):
    """The folder of a run by the command line, and what the executed notebook shows as text."""
    study = Benchmarks()
    flags = [word for name, value in values.items() for word in ("-p", f"{name}={value}")]
    command = [sys.executable, "-m", "oryx", "run", "benchmarks", "--scale", scale, "--results", str(results), *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    settings = study.settings({"scale": scale, "results": str(results), **values})
    folder = study.run_folder(settings)
    outputs = [o for c in nbformat.read(folder / "notebook.ipynb", 4).cells for o in c.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    return folder, "".join(
        str(output.get("data", {}).get(kind, "")) for output in outputs for kind in ("text/html", "text/markdown")
    )


def test_the_notebook_runs_as_it_is(tmp_path):
    folder, shown = executed({}, "smoke", tmp_path)
    rows = read_rows([folder / "seed-0" / "arms" / "paper" / "rows.jsonl"])
    assert len(rows) == 2 * 12 and rows["error"].isna().all() and set(rows["benchmark"]) == {"ocrbench", "videomme"}
    assert "paper.ocrbench" in shown and "one model" in shown and "not found" in shown
    cost = tables.cost_table(folder)
    assert list(cost.index) == ["paper"] and cost["rows"].tolist() == [24] and (cost["memory, MB"] > 50).all()


def test_a_checkpoint_in_the_authors_format_is_asked_local_copies(checkpoint, copies, tmp_path):
    values = {"checkpoint": str(checkpoint), "data": str(copies), "benchmarks": "ocrbench,mmbench,mlvu,nextqa,scanqa"}
    values |= {"protocols": "paper,official", "frames": "3", "max_new_tokens": "3"}
    folder, shown = executed(values, "paper", tmp_path)
    for said in (
        "81.4 %",
        "672 0-1000",
        "published for Oryx 7B",
        "official.nextqa",
        "all turns",
        "no option chosen",
        "ROUGE-L",
    ):
        assert said in shown, said
    assert (folder / "figures" / "beside_published.png").stat().st_size > 5000
