"""Every job of every study and every training of shared parts runs at smoke on a stand-in for a GPU, in this process.

See :mod:`tests.stand_in` for what this finds and what it cannot see.
"""

import json
from functools import cache

import pytest
import torch

from oryx.eval.generate import Prompted
from tests.stand_in import stand_in_gpu
from workbook.cli import STUDIES, TEMPLATES
from workbook.stages.registry import STAGES
from workbook.stages.registry import main as train_stage
from workbook.studies.base import study_at
from workbook.studies.compressor.arms import ARMS as CONNECTORS
from workbook.studies.encoders.arms import ARMS as ENCODER_ARMS
from workbook.studies.needle.arms import TRAINED

FEW = {
    "native_vs_fixed_resolution": {
        "arms": ["native", "pad", "blind"], "train_items": 8, "train_steps": 2, "batch": 4, "text_items": 2,
        "object_items": 2, "encoder": "frozen",
    },
    "oryxvit_vs_siglip": {
        "arms": list(ENCODER_ARMS), "train_items": 8, "train_steps": 2, "batch": 4, "text_items": 2,
        "object_items": 2, "look_items": 8,
    },
    "pooling_vs_dynamic_compression": {
        "arms": list(CONNECTORS), "train_steps": 2, "start_steps": 2, "short_stories": 2, "long_stories": 1,
        "on_demand_stories": 1,
    },
    "needle_in_a_haystack": {
        "arms": list(TRAINED), "lengths": [16], "beyond": [], "depths": [0.5], "trials": 2, "train_steps": 2,
    },
    "own_data": {"items": 4, "models": ["nano"]},
}  # fmt: skip

PLACES = STUDIES | TEMPLATES


@pytest.fixture(autouse=True)
def short_answers(monkeypatch):
    """Barely trained models talk on: two tokens of an answer take the way of all."""
    greedy = Prompted.greedy
    monkeypatch.setattr(Prompted, "greedy", lambda self, stops, most: greedy(self, stops, min(most, 2)))


@pytest.fixture(autouse=True)
def gpu():
    torch.set_num_threads(1)
    with stand_in_gpu() as found:
        yield found


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Study id -> the study, its settings and the folder of its jobs, those done that arms wait for."""

    @cache
    def prepare(name):
        study, folder = study_at(PLACES[name]), tmp_path_factory.mktemp(name)
        settings = study.settings({"scale": "smoke", "results": str(folder), **FEW[name]})
        study.check(settings)
        for job in (name for wave in study.prepare(settings, 0) for name in wave):
            run(study, settings, folder, job)
        return study, settings, folder

    return prepare


def run(study, settings, folder, job):
    """Do one job; its rows, none of which may have failed."""
    own = folder / "arms" / job
    own.mkdir(parents=True, exist_ok=True)
    study.run_job(settings, job, 0, own, lambda *_: None)
    written = own / "rows.jsonl"
    rows = [json.loads(line) for line in written.read_text().splitlines()] if written.exists() else []
    assert [row["error"] for row in rows if row["error"]] == []
    return rows


def jobs_of(name):
    study = study_at(PLACES[name])
    settings = study.settings({"scale": "smoke", **FEW[name]})
    return [(name, job) for job in (*study.further_jobs(settings), *study.arms(settings))]


@pytest.mark.integration
@pytest.mark.parametrize(("name", "job"), [pair for name in FEW for pair in jobs_of(name)])
def test_a_job_runs_on_the_device(name, job, prepared, gpu):
    study, settings, folder = prepared(name)
    rows = run(study, settings, folder, job)
    assert bool(rows) is (job in study.arms(settings))
    assert_on_device(gpu)


SHORT = {"language_model": ["--scale", "nano", "-p", "items=4", "-p", "steps=2", "-p", "batch=2"]}
"""Stage -> what makes it short, where it has no scale smoke."""


@pytest.mark.integration
@pytest.mark.parametrize("stage", STAGES)
def test_a_training_runs_on_the_device(stage, gpu, tmp_path):
    train_stage([stage, *SHORT.get(stage, ["--scale", "smoke"]), "--folder", str(tmp_path)])
    assert list(tmp_path.glob("*.safetensors")) and list(tmp_path.glob("*.json"))
    assert gpu.varlen_calls and gpu.autocasts and gpu.pinned
    assert_on_device(gpu)


def assert_on_device(gpu):
    """No model computed on the CPU: what is multiplied there is at most what draws the data."""
    products = {line: n for line, n in gpu.products_on_cpu.items() if "/workbook/data/" not in line}
    assert not products, products
