"""A stage under DeepSpeed (ZeRO stage 2) in two processes, stopped and resumed; skipped where it is not installed.

accelerate starts DeepSpeed on GPUs alone: here it is told so on two gloo processes.
"""

import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from accelerate import Accelerator, DeepSpeedPlugin, DistributedType, PartialState
from accelerate.commands.config.config_args import load_config_from_file
from safetensors.torch import load_file

from oryx.errors import CheckpointError
from oryx.model.parts import assemble
from oryx.processing.options import PreprocessOptions
from oryx.train.datasets import read_records
from oryx.train.device import compute
from oryx.train.stages import STAGES, StagePlan, train_on_records
from tests.parts import write_language_model, write_siglip
from tests.records import write_records
from tests.unit.train.test_loop import Stop

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not find_spec("deepspeed"), reason="deepspeed is not installed: pip install deepspeed"),
]
FILE = Path(__file__).parents[2] / "workflow" / "accelerate" / "deepspeed.yaml"
PLAN = StagePlan(steps=20, batch=6, rate=1e-3, accumulate=2, sides={"image": 2}, checkpoint_seconds=0.0)


def under_deepspeed() -> None:
    """What accelerate's launcher and state do with the configuration file on GPUs."""
    import deepspeed

    sys.modules["deepspeed.comm.torch"].build_shm_op = lambda: None  # a kernel that would be compiled
    deepspeed.init_distributed("gloo", auto_mpi_discovery=False)
    plugin = DeepSpeedPlugin(zero_stage=load_config_from_file(str(FILE)).deepspeed_config["zero_stage"])
    state = Accelerator(cpu=True).state
    state._shared_state["deepspeed_plugins"] = {"default": plugin}
    for kind in (state, PartialState()):
        kind._shared_state["distributed_type"] = DistributedType.DEEPSPEED
    plugin.select(_from_accelerator_state=True)


def one_of_two(rank: int, folder: Path, port: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "DS_ACCELERATOR": "cpu"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    machine, records = compute("fp32"), read_records(folder / "records" / "records.json")

    def stage(name: str, **how):
        model = assemble(str(folder / "siglip"), str(folder / "text"), position_grid=4, options=PreprocessOptions())
        return train_on_records(STAGES["sft"], model, records, PLAN, folder / name, machine, **how)

    curve = stage("whole")
    under_deepspeed()

    def stop_at_15(done, total):
        if done == 15:
            raise Stop

    with pytest.raises(Stop):
        stage("half", progress=stop_at_15)
    torch.distributed.barrier()
    if rank == 0:
        assert [one.name for one in (folder / "half" / "sft.pt").iterdir() if one.is_dir()] == ["14"]
    torch.distributed.barrier()
    steps = []
    again = stage("half", progress=lambda done, total: steps.append(done))
    assert steps[0] == 15 and [point["step"] for point in again] == [point["step"] for point in curve]
    assert [point["loss"] for point in again] == pytest.approx([point["loss"] for point in curve], rel=1e-4)
    whole, half = (load_file(folder / name / "model" / "model.safetensors") for name in ("whole", "half"))
    for name, expected in whole.items():
        torch.testing.assert_close(half[name], expected, atol=1e-5, rtol=1e-4)
    with pytest.raises(CheckpointError, match=r"sft\.pt is no checkpoint of this training"):
        stage("whole")
    (folder / f"process {rank} is done").touch()


def test_a_stage_resumes_and_ends_with_the_weights_of_a_replicated_one(tmp_path):
    write_siglip(tmp_path / "siglip")
    write_language_model(tmp_path / "text")
    write_records(tmp_path / "records", 12)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(one_of_two, (tmp_path, port), nprocs=2)
    assert len(list(tmp_path.glob("process *"))) == 2
