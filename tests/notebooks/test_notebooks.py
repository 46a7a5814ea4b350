"""Every notebook at smoke scale through the real runner, and the same strictness by bare papermill."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from oryx.evidence.rows import read_rows
from tests.rows import same_rows
from tests.unit.report.pages import answers, publish
from workbook import cli
from workbook.runs.shards import read_status

pytestmark = pytest.mark.notebook
ROOT = Path(__file__).parents[2]
FIGURES = {
    "native_vs_fixed_resolution": ("score_by_task", "score_by_size", "score_against_tokens"),
    "oryxvit_vs_siglip": ("score_by_task", "crossed_scores", "score_by_aspect", "probes"),
    "pooling_vs_dynamic_compression": ("score_by_ratio", "score_by_task", "shift", "attention"),
    "spatial_correspondence": ("score_by_task", "score_against_tokens"),
    "needle_in_a_haystack": ("heat_map", "score_by_length", "score_by_context", "score_by_variant"),
}


@pytest.fixture(scope="module", params=cli.STUDIES)
def finished(request, tmp_path_factory):
    """A study run by the command line at smoke; its settings, folder and output."""
    study = cli.find_study(request.param)
    results = tmp_path_factory.mktemp("results")
    command = [sys.executable, "-m", "oryx", "run", study.id, "--scale", "smoke", "--results", str(results)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    settings = study.settings({"scale": "smoke", "results": str(results)})
    return study, settings, study.run_folder(settings), command, done.stdout


def test_the_run_leaves_rows_tables_figures_and_the_executed_notebook(finished):
    study, settings, folder, _, out = finished
    rows = read_rows([folder / "seed-0" / "arms" / arm / "rows.jsonl" for arm in study.arms(settings)])
    assert set(rows["arm"]) == set(study.arms(settings)) and rows["error"].isna().all()
    assert {"visual", "no_visual"} <= set(rows["condition"]) and rows["score"].between(0, 1).all()
    assert (rows.loc[rows["condition"] == "no_visual", "visual_tokens"] == 0).all()
    assert (rows.loc[rows["condition"] == "visual", "visual_tokens"] > 0).all()
    for name in (*FIGURES[study.id], "training_curves", "verdicts"):
        assert (folder / "figures" / f"{name}.png").stat().st_size > 5000
    verdicts = json.loads((folder / "verdicts.json").read_text())
    assert {v["scale"] for v in verdicts} == {"smoke"} and all(v["seeds"] <= 1 for v in verdicts)
    assert not any(v["verdict"] in ("supported", "contradicted") for v in verdicts), "one seed decides nothing"
    assert read_status(folder / "seed-0" / "status.json")["state"] == "done"
    executed = nbformat.read(folder / "notebook.ipynb", 4)
    pictures = [o for c in executed.cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(pictures) >= 5 and str(folder) in out


def test_a_second_run_does_nothing_again(finished):
    study, settings, folder, command, _ = finished
    arms = [folder / "seed-0" / "arms" / arm / "rows.jsonl" for arm in study.arms(settings)]
    before, times = read_rows(arms), [path.stat().st_mtime_ns for path in arms]
    subprocess.run([*command, "--no-merge"], cwd=ROOT, check=True, capture_output=True)
    assert [path.stat().st_mtime_ns for path in arms] == times
    assert same_rows(before, read_rows(arms)) == []


def test_bare_papermill_refuses_a_misspelt_parameter_or_a_mistyped_value(tmp_path):
    wrong = [
        ({"sacle": "smoke"}, "unknown parameter 'sacle'"),
        ({"seeds": "0,x"}, r"seeds\[1\]: expected a valid integer"),
    ]
    for number, notebook in enumerate(sorted((ROOT / "notebooks").glob("*.ipynb"))):
        study = "seeds: list" in notebook.read_text(encoding="utf-8")  # others know no seeds at all
        given, message = wrong[number % 2 if study else 0]
        with pytest.raises(PapermillExecutionError, match=message):
            papermill.execute_notebook(
                notebook,
                tmp_path / notebook.name,
                {"scale": "smoke", "results": str(tmp_path / "results"), **given},
                progress_bar=False,
                cwd=ROOT,
            )
    assert not (tmp_path / "results").exists(), "refused before any work"


def test_the_paper_against_ours_is_a_report_over_results(tmp_path):
    """No study: executed by the verb ``report``, through the same runner, over whatever is published."""
    publish(tmp_path, answers({seed: {"native": 18, "area_matched": 9} for seed in range(3)}))
    command = [sys.executable, "-m", "oryx", "report", "--notebook", "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    folder = tmp_path / "runs" / "paper_vs_ours" / "all" / "published"
    assert str(folder / "notebook.ipynb") in done.stdout and (tmp_path / "runs" / "report.html").exists()
    assert read_status(folder / "status.json")["state"] == "done"
    executed = nbformat.read(folder / "notebook.ipynb", 4)
    text = "".join(str(o.get("data", "")) for c in executed.cells for o in c.get("outputs", []))
    assert "H1a.equal.nano: Native beats" in text and "+0.450 [" in text and "image/png" in text
    assert "T.perception" in text and "paper: not found" not in text and "no published run tests it" in text


def test_notebooks_are_thin_and_stripped():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, 4).cells
        code = [cell for cell in cells if cell.cell_type == "code"]
        assert len(cells) <= 40 and all(not cell.outputs and cell.execution_count is None for cell in code), path
        assert "parameters" in code[0].metadata.get("tags", []), f"{path}: the first code cell holds the parameters"
        assert not any("def " in cell.source or "class " in cell.source for cell in code), (
            f"{path}: logic belongs to oryx/"
        )
