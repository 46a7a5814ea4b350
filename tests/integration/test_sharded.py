"""A stage whose parameters lie in shards (FSDP2) in two processes, layer by layer, stopped and resumed.

accelerate shards on GPUs alone: here its ``prepare`` is replaced by the part of it that does so, on two gloo processes.
"""

import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin
from accelerate.commands.config.config_args import load_config_from_file
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

import oryx
from oryx.model.parts import assemble
from oryx.processing.options import PreprocessOptions
from oryx.train.checkpoints import load_weights, module_sha256, save_weights
from oryx.train.datasets import read_records
from oryx.train.device import compute
from oryx.train.stages import STAGES, StagePlan, train_on_records
from tests.parts import write_language_model, write_siglip
from tests.records import write_records
from tests.unit.train.test_loop import Stop

pytestmark = pytest.mark.integration
FILES = Path(__file__).parents[2] / "workflow" / "accelerate"
PLAN = StagePlan(steps=20, batch=6, rate=1e-3, sides={"image": 2}, checkpoint_seconds=0.0)


def sharded(self, objective, optimizer):
    """Shard as ``Accelerator.prepare`` does where it is launched with the configuration file."""
    self.state.fsdp_plugin = FullyShardedDataParallelPlugin()
    self.state._shared_state["distributed_type"] = self.state.distributed_type = DistributedType.FSDP
    return self._prepare_fsdp2(objective, optimizer)


def one_of_two(rank: int, folder: Path, port: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    machine, records = compute("fp32"), read_records(folder / "records" / "records.json")

    def stage(name: str, plan: StagePlan = PLAN, **how):
        model = assemble(str(folder / "siglip"), str(folder / "text"), position_grid=4, options=PreprocessOptions())
        return model, train_on_records(STAGES["sft"], model, records, plan, folder / name, machine, **how)

    whole, curve = stage("whole")
    Accelerator.prepare = sharded

    def stop_at_15(done, total):
        if done == 15:
            raise Stop

    with pytest.raises(Stop):
        stage("half", progress=stop_at_15)
    torch.distributed.barrier()  # what is compared below is the checkpoint of step 14
    resumed, again = stage("half", replace(PLAN, accumulate=2))
    layers = [*resumed.vision_tower.blocks, *resumed.language_model.model.layers]
    assert all(isinstance(layer, FSDPModule) for layer in layers), "each is gathered by itself"
    assert all(isinstance(parameter, DTensor) for parameter in resumed.parameters())
    assert [point["step"] for point in again] == [point["step"] for point in curve]
    assert [point["loss"] for point in again] == pytest.approx([point["loss"] for point in curve], rel=1e-4)
    save_weights(folder / "w.safetensors", resumed, torch.float32)
    torch.distributed.barrier()
    copy = oryx.load(folder / "half" / "model")
    assert module_sha256(copy) == module_sha256(resumed), "the model that is written is whole"
    load_weights(folder / "w.safetensors", copy)
    for own, expected in zip(copy.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-4)
    (folder / f"process {rank} is done").touch()


def launched(monkeypatch, name: str):
    """The configuration of a file of ours, with what the launcher hands on of it."""
    config = load_config_from_file(str(FILES / f"{name}.yaml"))
    for option, value in config.fsdp_config.items():
        monkeypatch.setenv(option.upper(), str(value).lower() if isinstance(value, bool) else str(value))
    return config


def test_the_configuration_files_are_those_of_accelerate(monkeypatch):
    found = {path.stem: launched(monkeypatch, path.stem) for path in FILES.iterdir()}
    kinds = {"ddp": DistributedType.MULTI_GPU, "fsdp2": DistributedType.FSDP, "deepspeed": DistributedType.DEEPSPEED}
    assert {name: config.distributed_type for name, config in found.items()} == kinds
    assert all(config.num_processes == 2 and config.mixed_precision == "no" for config in found.values())
    assert found["deepspeed"].deepspeed_config["zero_stage"] == 2
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"


@pytest.mark.skipif(sys.platform == "win32", reason="gloo on Linux and macOS only")
def test_a_sharded_stage_resumes_and_ends_with_the_weights_of_a_replicated_one(tmp_path, monkeypatch):
    launched(monkeypatch, "fsdp2")
    write_siglip(tmp_path / "siglip")
    write_language_model(tmp_path / "text")
    write_records(tmp_path / "records", 12)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(one_of_two, (tmp_path, port), nprocs=2)
    assert len(list(tmp_path.glob("process *"))) == 2
