"""Every job of every study and every training of shared parts runs at smoke on a stand-in for a GPU, in this process.

See :mod:`tests.stand_in` for what this finds and what it cannot see.
"""

import json
from dataclasses import replace
from functools import cache

import pytest
import torch

from oryx.eval.generate import Prompted
from tests.stand_in import stand_in_gpu
from workbook.cli import STUDIES, TEMPLATES
from workbook.stages import encoders, language_model, one_model, recipes, shared, video_reader
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
def test_a_job_runs_on_the_device(name, job, prepared):
    study, settings, folder = prepared(name)
    rows = run(study, settings, folder, job)
    assert bool(rows) is (job in study.arms(settings))


def shared_parts(folder):
    shared.train_shared(recipes.recipe("smoke"), 0, folder)


def encoders_of_a_seed(folder):
    for name in encoders.ENCODERS:
        encoders.train_encoder(name, recipes.encoder_recipe("smoke"), 0, folder, folder)


def language_model_of_forms(folder):
    language_model.train_language_model(language_model.FormsPlan(items=4, steps=2, batch=2), folder)


def reader_of_frames(folder):
    r = replace(video_reader.video_recipe("smoke"), pages=2, shots=2)
    bank = video_reader.make_bank(folder / "bank", 0, r.size, shots=r.shots, pages=r.pages)
    video_reader.train_video_reader(r, 0, folder, bank)


def one_small_model(folder):
    one_model.train_one_model(one_model.recipe("smoke", steps=4), 0, folder)


TRAININGS = (shared_parts, encoders_of_a_seed, language_model_of_forms, reader_of_frames, one_small_model)


@pytest.mark.integration
@pytest.mark.parametrize("training", TRAININGS)
def test_a_training_runs_on_the_device(training, tmp_path):
    training(tmp_path)
    assert any(tmp_path.iterdir())
