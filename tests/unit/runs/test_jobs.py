"""Which job starts next, and what counts as a slot."""

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from workbook.runs import jobs
from workbook.runs.jobs import Job, cuda_devices, next_job, slots


def job(processes: int = 1, seed: int = 0, level: int = 0) -> Job:
    return Job("none", {}, "arm", seed, Path("nowhere"), level=level, processes=processes)


def test_a_job_takes_a_slot_for_each_of_its_processes():
    two = job(2)
    assert next_job([two], [], free=2, count=2) == two
    assert next_job([two, job()], [job()], free=1, count=2) is None, "a smaller job does not overtake it"


def test_a_job_of_more_processes_than_slots_runs_alone():
    four = job(4)
    assert next_job([four], [], free=1, count=1) == four and next_job([four], [job()], free=0, count=1) is None


def test_a_job_waits_for_the_lower_levels_of_its_own_seed():
    last, other = job(level=1), job(seed=1, level=1)
    assert next_job([job(), last], [], 2, 2) == job()
    assert next_job([last, other], [job()], 1, 2) == other and next_job([last], [job()], 1, 2) is None


@pytest.fixture
def machine(monkeypatch):
    """A machine with a CUDA build of torch whose driver knows two GPUs."""
    monkeypatch.setattr(jobs.metadata, "version", lambda name: "2.13.0")
    monkeypatch.setattr(jobs.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout="0\n1\n"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return monkeypatch


def test_a_slot_is_a_gpu_where_there_are_any(machine):
    four = [job()] * 4
    assert cuda_devices() == slots(four) == ["0", "1"]
    assert slots(four, workers=3) == ["0", "1", "0"] and slots(four, workers=1) == ["0"]
    assert slots(four, workers=10**12) == ["0", "1", "0", "1"], "no more than there are jobs"
    machine.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-7")
    assert cuda_devices() == ["3", "GPU-7"]
    machine.setenv("CUDA_VISIBLE_DEVICES", "1,-1,0")
    assert cuda_devices() == ["1"], "CUDA stops at the first that is no device"
    machine.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert cuda_devices() == []
    machine.setenv("CUDA_VISIBLE_DEVICES", "")
    assert cuda_devices() == [] and slots([job()] * 999) == [None] * jobs.cores()


def test_a_slot_is_a_core_without_gpus_or_with_a_build_of_torch_for_the_cpu(machine):
    def missing(*_, **__):
        raise FileNotFoundError("nvidia-smi")

    assert slots([Job("none", {}, "arm", 0, Path("nowhere"), torch=False)] * 2, 2) == [None, None]
    machine.setattr(jobs.metadata, "version", lambda name: "2.13.0+cpu")
    assert cuda_devices() == []
    machine.undo()
    machine.setattr(jobs.metadata, "version", lambda name: "2.13.0")
    machine.setattr(subprocess, "run", missing)
    assert cuda_devices() == [] and slots([job()] * 2, 2) == [None, None]
