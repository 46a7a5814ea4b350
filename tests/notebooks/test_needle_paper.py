"""Notebook 04 on a checkpoint, through the real runner; a tiny random one takes the place of released weights."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from oryx.evidence.rows import read_rows
from tests.integration.test_needle_released import SMALL, checkpoint
from workbook.studies.needle.study import NeedleInAHaystack

__all__ = ["checkpoint"]
pytestmark = pytest.mark.notebook
ROOT = Path(__file__).parents[2]


def test_the_notebook_runs_released_weights(checkpoint, tmp_path):
    values = {**SMALL, "checkpoint": str(checkpoint), "results": str(tmp_path), "arms": ["released", "released_4x"]}
    study = NeedleInAHaystack()
    settings = study.settings(values)
    flags = [
        flag
        for name, value in values.items()
        if name not in ("scale", "results")
        for flag in ("-p", f"{name}={str(value).replace(chr(39), chr(34))}")
    ]
    command = [sys.executable, "-m", "oryx", "run", study.id, "--scale", "paper", "--results", str(tmp_path), *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    folder = study.run_folder(settings)
    rows = read_rows([folder / "seed-0" / "arms" / arm / "rows.jsonl" for arm in ("released", "released_4x")])
    assert rows["error"].isna().all() and set(rows["side"]) == {4, 2}
    verdicts = json.loads((folder / "verdicts.json").read_text())
    assert [verdict["id"] for verdict in verdicts] == ["H4a.level.paper", "H4a.length.paper"]
    assert json.loads((folder / "seed-0" / "manifest.json").read_text())["context"].startswith("2,000 tokens (")
    assert (folder / "notebook.ipynb").exists() and (folder / "figures" / "score_by_context.png").stat().st_size > 5000
