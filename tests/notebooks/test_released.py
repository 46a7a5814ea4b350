"""Notebooks 01, 02 and 03 at scale paper, through the real runner, on complete tiny checkpoints and six-item copies."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import SiglipVisionConfig, SiglipVisionModel

from oryx.evidence.rows import read_rows
from tests.benchmark_copies import COPIES
from tests.tiny import save_tiny_released
from workbook.cli import find_study

pytestmark = pytest.mark.notebook
ROOT = Path(__file__).parents[2]
MOST_SECONDS = 600
"""For each notebook, on a machine that others use too."""


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Settings that name a released checkpoint and copies of benchmarks, or public SigLIP weights."""
    folder = tmp_path_factory.mktemp("given")
    for name, write in COPIES.items():
        write(folder / "copies" / name)
    torch.manual_seed(0)
    shape = {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    siglip = SiglipVisionConfig(**shape, image_size=28, patch_size=14, hidden_act="gelu_pytorch_tanh")
    SiglipVisionModel(siglip).save_pretrained(folder / "siglip")
    released = {"checkpoint": str(save_tiny_released(folder / "released")), "data": str(folder / "copies"), "items": 4}
    few = {"train_items": 12, "train_steps": 2, "batch": 2, "text_items": 2, "object_items": 2, "look_items": 8}
    encoders = {"siglip": str(folder / "siglip"), "side": 96, "encoder_steps": 2, "encoder_batch": 2, **few}
    return {
        "native_vs_fixed_resolution": released | {"side": 96},
        "oryxvit_vs_siglip": encoders | {"arms": "siglip_fixed,siglip_partition,oryxvit_native,blind"},
        "pooling_vs_dynamic_compression": released | {"frames": 4},
    }


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("native_vs_fixed_resolution", "score_by_size"),
        ("oryxvit_vs_siglip", "crossed_scores"),
        ("pooling_vs_dynamic_compression", "score_by_ratio"),
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
