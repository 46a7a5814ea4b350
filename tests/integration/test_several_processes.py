"""Several processes (accelerate) share a batch of training: the same weights as one process, but for rounding."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchmarks import training_together
from tests.integration import two_processes, unequal_parts
from workbook.runs.jobs import Job, run_jobs
from workbook.stages import encoders
from workbook.studies import registry
from workbook.studies.native_resolution.study import SHARED
from workbook.studies.needle.study import READER_JOB

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


def assert_same_weights(one: Path, two: Path, *files: str):
    for name in files:
        tensors, others = load_file(one / name), load_file(two / name)
        assert tensors.keys() == others.keys()
        for key, tensor in tensors.items():
            # kept in 8 or 16 bits: rounding may fall the other way
            difference = (tensor.float() - others[key].float()).abs().max()
            assert difference <= (1 if tensor.dtype == torch.int8 else 2e-3), f"{name}, {key}: {difference}"


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """A folder with what two processes have trained together, and what they printed."""
    folder = tmp_path_factory.mktemp("two")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launch, "-m", two_processes.__name__, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "process 1 of 2" in done.stdout, "two have trained"
    return folder, done.stdout


def test_two_processes_train_the_encoders_of_one(launched, tmp_path):
    encoders.main(["--scale", "smoke", "--folder", str(tmp_path)])
    assert_same_weights(tmp_path, launched[0], *map(encoders.encoder_file, encoders.ENCODERS))


@pytest.mark.parametrize(
    ("study_id", "values", "waves", "files"),
    [
        ("native_vs_fixed_resolution", {}, (SHARED,), ("siglip", "oryxvit", "reader")),
        ("needle_in_a_haystack", {"haystacks": 1, "haystack_frames": 16}, (SHARED, READER_JOB), ("video_reader",)),
    ],
)
def test_two_processes_of_a_job_train_the_shared_part_of_one(tmp_path, study_id, values, waves, files):
    """As a run from scratch does it: the launcher starts both, the first writes."""
    study = registry.get(study_id)
    settings = study.settings({"scale": "smoke", "results": str(tmp_path), **values})
    for name in waves:
        (tmp_path / name).mkdir()
        study.run_job(settings, name, 0, tmp_path / name, lambda *_: None)
    place = f"{type(study).__module__}:{type(study).__qualname__}"
    job = Job(place, settings.to_dict(), waves[-1], 0, tmp_path / "two", processes=2)
    assert run_jobs([job]) == [], (job.folder / "log.txt").read_text()
    assert_same_weights(tmp_path / waves[-1], job.folder, *(f"{file}.safetensors" for file in files))


def test_processes_may_have_different_numbers_of_parts(launched, tmp_path):
    """With torch's DistributedDataParallel these steps waited for each other for ever."""
    folder, printed = launched
    assert len(set(re.findall(r"(\d) parts", printed))) == 2, f"the parts must differ: {printed}"
    unequal_parts.main(tmp_path / "parts.safetensors")
    others = load_file(folder / "parts.safetensors")
    for name, tensor in load_file(tmp_path / "parts.safetensors").items():
        torch.testing.assert_close(others[name], tensor, atol=1e-4, rtol=1e-3, msg=lambda text, name=name: name + text)


def test_sums_in_shared_memory_are_those_of_the_network(launched):
    assert json.loads((launched[0] / "exchanges.json").read_text()) == [["ByMemory", 0.0]] * 2


def test_the_benchmark_measures_all_ways_and_tells_their_ratio(launched):
    found = json.loads((launched[0] / "seconds.json").read_text())
    assert found.keys() == training_together.WAYS.keys()
    assert all(len(seconds) == 1 and seconds[0] > 0 for seconds in found.values())
    text = training_together.table({"neither": [0.3, 0.2, 0.4], "both": [0.1, 0.25, 0.2]})
    assert "| both | 200 | 100 to 250 | 1.50 |" in text
