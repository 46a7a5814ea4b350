"""Notebooks 01, 03 and 05 at scale paper, through the real runner, on complete tiny checkpoints and six-item copies."""

import subprocess
import sys
from pathlib import Path

import pytest

from oryx.evidence.rows import read_rows
from tests.benchmark_copies import COPIES, write_frames, write_scanqa
from tests.tiny import save_tiny_released
from workbook.cli import find_study

pytestmark = pytest.mark.notebook
ROOT = Path(__file__).parents[2]
MOST_SECONDS = 600
"""For each notebook, on a machine that others use too."""


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Settings that name a released checkpoint and copies of benchmarks."""
    folder = tmp_path_factory.mktemp("given")
    for name, write in COPIES.items():
        write(folder / "copies" / name)
    write_scanqa(folder / "copies" / "scanqa")
    for scene in range(3):
        write_frames(folder / "marked" / f"scene{scene:04d}_00", scene, mark="1")
    released = {"checkpoint": str(save_tiny_released(folder / "released")), "data": str(folder / "copies"), "items": 4}
    return {
        "native_vs_fixed_resolution": released | {"side": 96},
        "pooling_vs_dynamic_compression": released | {"frames": 4},
        "spatial_correspondence": released | {"marked": str(folder / "marked")},
    }


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("native_vs_fixed_resolution", "score_by_size"),
        ("pooling_vs_dynamic_compression", "score_by_ratio"),
        ("spatial_correspondence", "score_by_task"),
    ],
)
def test_a_notebook_runs_at_scale_paper(given, tmp_path, name, figure):
    study = find_study(name)
    settings = study.settings({"scale": "paper", "results": str(tmp_path), **given[name]})
    flags = [word for field, value in given[name].items() for word in ("-p", f"{field}={value}")]
    command = [sys.executable, "-m", "oryx", "run", name, "--scale", "paper", "--results", str(tmp_path), *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=MOST_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    folder, arms = study.run_folder(settings), study.arms(settings)
    rows = read_rows([folder / "seed-0" / "arms" / arm / "rows.jsonl" for arm in arms])
    assert rows["error"].isna().all() and set(rows["arm"]) == set(arms)
    assert (folder / "notebook.ipynb").exists() and (folder / "figures" / f"{figure}.png").stat().st_size > 5000
    judged = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  H")]
    assert judged and all(name.endswith(".paper") for name in judged), done.stdout
