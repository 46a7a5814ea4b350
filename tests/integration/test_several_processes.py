"""Several processes (accelerate) share a batch of training: the same weights as one process, but for rounding."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from oryx.studies import registry
from oryx.studies.native_vs_fixed_resolution import SHARED
from oryx.studies.needle_in_a_haystack import READER_JOB
from oryx.training.encoders import encoder_file
from oryx.training.jobs import Job, run_jobs

pytestmark = pytest.mark.integration


def train_in(folder, processes: int, port: int):
    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", str(processes), "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", str(port)]
    command = [sys.executable, *(launch if processes > 1 else []), "-m", "oryx.training.encoders"]
    done = subprocess.run(
        [*command, "--scale", "smoke", "--folder", str(folder)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]


def assert_same_weights(one, two, *files: str):
    for name in files:
        tensors, others = load_file(one / name), load_file(two / name)
        assert tensors.keys() == others.keys()
        for key, tensor in tensors.items():
            # kept in 8 or 16 bits: rounding may fall the other way
            difference = (tensor.float() - others[key].float()).abs().max()
            assert difference <= (1 if tensor.dtype == torch.int8 else 2e-3), f"{name}, {key}: {difference}"


def test_two_processes_train_the_encoders_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for processes in (1, 2):
        train_in(tmp_path / str(processes), processes, port)
    assert_same_weights(tmp_path / "1", tmp_path / "2", *map(encoder_file, ("siglip", "control", "oryxvit")))


@pytest.mark.parametrize(
    ("study_id", "names", "files"),
    [
        ("native_vs_fixed_resolution", (SHARED,), ("siglip", "oryxvit", "reader")),
        ("needle_in_a_haystack", (SHARED, READER_JOB), ("video_reader",)),
    ],
)
def test_two_processes_of_a_job_train_the_shared_part_of_one(tmp_path, study_id, names, files):
    """As a run from scratch does it: the launcher starts both, the first writes."""
    study, folders = registry.get(study_id), []
    values = {"scale": "smoke", "results": str(tmp_path)}
    if study_id == "needle_in_a_haystack":
        values |= {"haystacks": 1, "haystack_frames": 16}
    settings = study.settings(values)
    place = f"{type(study).__module__}:{type(study).__qualname__}"
    for processes in (1, 2):
        folders.append(tmp_path / str(processes) / names[-1])
        for name in names:
            many = processes if name == names[-1] else 1
            folder = folders[-1].parent / name
            job = Job(place, settings.to_dict(), name, 0, folder, processes=many)
            assert run_jobs([job]) == [], (folder / "log.txt").read_text()
    assert_same_weights(*folders, *(f"{file}.safetensors" for file in files))


def test_processes_may_have_different_numbers_of_groups(tmp_path):
    """With torch's DistributedDataParallel these steps waited for each other for ever."""
    printed = {}
    for processes in (1, 2):
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"] if processes > 1 else []
        command = [sys.executable, *launch, str(Path(__file__).parent / "unequal_groups.py")]
        done = subprocess.run(
            [*command, str(tmp_path / f"{processes}.st")], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr[-3000:]
        printed[processes] = done.stdout
    assert len(set(re.findall(r"(\d) groups", printed[2]))) == 2, f"the groups must differ: {printed[2]}"
    one, two = load_file(tmp_path / "1.st"), load_file(tmp_path / "2.st")
    for name, tensor in one.items():
        torch.testing.assert_close(
            two[name], tensor, atol=1e-4, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}"
        )
