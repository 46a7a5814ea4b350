"""A training whose parameters lie in shards (FSDP2) in two processes, stopped and resumed.

accelerate shards on GPUs alone: here its ``prepare`` is replaced by what it does there, on two gloo processes.
"""

import os
import socket
import sys
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin
from accelerate.commands.config.config_args import load_config_from_file
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from oryx.train.checkpoints import load_weights, module_sha256, save_weights
from oryx.train.loop import TrainPlan, train
from tests.unit.train.test_loop import Stop, batches, loss, model

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
PLAN = TrainPlan(20, 1e-2, warmup=5, log_every=5, checkpoint_seconds=0.0)


def sharded(self, objective, optimizer):
    """Shard in place and give the optimizer the shards, as ``Accelerator.prepare`` does for FSDP2."""
    names, old = [name for name, _ in objective.named_parameters()], list(objective.parameters())
    fully_shard(objective, mesh=torch.distributed.init_device_mesh("cpu", (2,)))
    new = dict(zip(map(id, old), map(objective.get_parameter, names), strict=True))
    for group in optimizer.param_groups:
        group["params"] = [new[id(parameter)] for parameter in group["params"]]
    return objective, optimizer


def one_of_two(rank: int, folder: Path, port: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    whole = model()
    curve = train(whole, batches(20), loss, PLAN)
    Accelerator.prepare = sharded
    half = model()

    def stop_at_15(done, total):
        if done == 15:
            raise Stop

    with pytest.raises(Stop):
        train(half, batches(20), loss, PLAN, folder / "c.pt", stop_at_15)
    torch.distributed.barrier()  # what is compared below is the checkpoint of step 10
    resumed = model()
    again = train(resumed, batches(20), loss, PLAN, folder / "c.pt")
    assert all(isinstance(parameter, DTensor) for parameter in resumed.parameters())
    assert [point["step"] for point in again] == [point["step"] for point in curve]
    save_weights(folder / "w.safetensors", resumed, torch.float32)
    torch.distributed.barrier()
    copy = model()
    load_weights(folder / "w.safetensors", copy)
    assert module_sha256(copy) == module_sha256(resumed)
    for own, expected in zip(copy.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-5)
    (folder / f"process {rank} is done").touch()


def test_the_configuration_file_is_one_of_accelerate(monkeypatch):
    config = load_config_from_file(str(ROOT / "workflow" / "fsdp2.yaml"))
    for name, value in config.fsdp_config.items():  # as the launcher hands them on
        monkeypatch.setenv(name.upper(), str(value).lower() if isinstance(value, bool) else str(value))
    plugin = FullyShardedDataParallelPlugin()
    assert config.distributed_type == DistributedType.FSDP and plugin.fsdp_version == 2
    assert plugin.state_dict_type.name == "FULL_STATE_DICT" and plugin.reshard_after_forward


@pytest.mark.skipif(sys.platform == "win32", reason="gloo on Linux and macOS only")
def test_a_sharded_training_resumes_and_ends_with_the_weights_of_a_replicated_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(one_of_two, (tmp_path, port), nprocs=2)
    assert len(list(tmp_path.glob("process *"))) == 2
