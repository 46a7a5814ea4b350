"""Every job of every study and every training of shared parts runs at smoke on a stand-in for a GPU, in this process.

See :mod:`tests.stand_in` for what this finds and what it cannot see.
"""

from functools import cache

import pytest
import torch

from benchmarks.acceptance.studies import FEW, PLACES, jobs_of, run_job
from oryx.eval.generate import Prompted
from tests.stand_in import stand_in_gpu
from workbook.stages.registry import PARTS
from workbook.stages.registry import main as train_part
from workbook.studies.base import study_at


@pytest.fixture(autouse=True)
def short_answers(monkeypatch):
    """Barely trained models talk on: two tokens of an answer take the way of all."""
    greedy = Prompted.greedy
    monkeypatch.setattr(Prompted, "greedy", lambda self, stops, most, *how: greedy(self, stops, min(most, 2), *how))


@pytest.fixture(autouse=True)
def gpu():
    torch.set_num_threads(1)
    with stand_in_gpu() as found:
        yield found


def opened(name, folder):
    study = study_at(PLACES[name])
    values = {"scale": "smoke", "results": str(folder), **FEW.get(name, {})}
    return study, study.settings(values)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Study id -> the study, its settings and the folder of its jobs, those done that others wait for."""

    @cache
    def prepare(name):
        folder = tmp_path_factory.mktemp(name)
        study, settings = opened(name, folder)
        study.check(settings)
        for job in jobs_of(study, settings)[0]:
            run_job(study, settings, folder / "arms", job)
        return study, settings, folder / "arms"

    return prepare


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "job"), [(name, job) for name in PLACES for job in jobs_of(*opened(name, "results"))[1]]
)
def test_a_job_runs_on_the_device(name, job, prepared, gpu):
    study, settings, folder = prepared(name)
    rows = run_job(study, settings, folder, job)
    assert bool(rows) is (job in study.arms(settings))
    assert [row["error"] for row in rows if row["error"]] == []
    others = name in ("own_data", "ocr_resolution")  # a checkpoint's own format, and a model of another runtime
    assert gpu.autocasts or not rows or others, "what is trained or asked is so in bf16"
    assert_on_device(gpu)


@pytest.mark.integration
@pytest.mark.parametrize("part", PARTS)
def test_a_training_runs_on_the_device(part, gpu, tmp_path):
    train_part([part, "--scale", "smoke", "--folder", str(tmp_path)])
    assert list(tmp_path.glob("*.safetensors")) and list(tmp_path.glob("*.json"))
    assert gpu.varlen_calls and gpu.autocasts and gpu.pinned
    assert_on_device(gpu)


def assert_on_device(gpu):
    """No model computed on the CPU."""
    assert not gpu.products_on_cpu, gpu.products_on_cpu
