"""Notebooks 01, 02 and 03 at scale small, through the real runner: tiny parts, records in public formats, few steps."""

import subprocess
import sys
from pathlib import Path

import pytest

from oryx.evidence.rows import read_rows
from tests.public_parts import write_public
from workbook.cli import find_study

pytestmark = pytest.mark.notebook
ROOT = Path(__file__).parents[2]
MOST_SECONDS = 600
"""For each notebook, on a machine that others use too."""


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Settings that name the parts, records and copies, with few arms."""
    public = write_public(tmp_path_factory.mktemp("public"))
    return {
        "native_vs_fixed_resolution": public | {"side": 64, "arms": "native,area_1,blind"},
        "oryxvit_vs_siglip": public | {"side": 64, "look_items": 8, "arms": "siglip_partition,oryxvit_native,blind"},
        "pooling_vs_dynamic_compression": public | {"frames": 4, "arms": "average,dynamic"},
    }


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("native_vs_fixed_resolution", "score_by_size"),
        ("oryxvit_vs_siglip", "crossed_scores"),
        ("pooling_vs_dynamic_compression", "score_by_ratio"),
    ],
)
def test_a_notebook_runs_at_scale_small(given, tmp_path, name, figure):
    study = find_study(name)
    settings = study.settings({"scale": "small", "results": str(tmp_path), **given[name]})
    flags = [word for field, value in given[name].items() for word in ("-p", f"{field}={value}")]
    command = [sys.executable, "-m", "oryx", "run", name, "--scale", "small", "--results", str(tmp_path), *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=MOST_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    folder, arms = study.run_folder(settings), study.arms(settings)
    rows = read_rows([folder / "seed-0" / "arms" / arm / "rows.jsonl" for arm in arms])
    assert rows["error"].isna().all() and set(rows["arm"]) == set(arms)
    assert rows["weights_hash"].nunique() == 1 and rows.groupby("arm")["trained_hash"].nunique().eq(1).all()
    assert rows["trained_hash"].nunique() == len(arms), "every arm is another model"
    assert (folder / "notebook.ipynb").exists() and (folder / "figures" / f"{figure}.png").stat().st_size > 5000
    assert (folder / "figures" / "training_curves.png").exists()
    faulty = (folder / "seed-0" / "records" / "sft" / "faulty.jsonl").read_text().splitlines()
    assert len(faulty) == 1 and "expected at most 2000 tokens" in faulty[0]
    judged = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  H")]
    assert judged and all(name.endswith(".small") for name in judged), done.stdout
