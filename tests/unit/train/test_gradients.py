"""The mean of the gradients of several processes: what it is, and that shared memory gives what the network gives."""

import errno
import os
import threading
import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from oryx.train import gradients
from oryx.train.gradients import ByMemory, average_gradients, by_network, exchange_for


def test_the_mean_of_all_and_nothing_where_none_has_any():
    both, mine, theirs, nobodys = (nn.Parameter(torch.zeros(2, 3)) for _ in range(4))
    both.grad, mine.grad = torch.full((2, 3), 1.0), torch.full((2, 3), 4.0)
    others = [
        torch.full((6,), 3.0),
        torch.zeros(6),
        torch.full((6,), 10.0),
        torch.zeros(6),
        torch.tensor([1.0, 0, 1, 0]),
    ]
    average_gradients([both, mine, theirs, nobodys], 2, lambda own: torch.cat(list(own)) + torch.cat(others))
    for parameter, mean in ((both, 2.0), (mine, 2.0), (theirs, 5.0)):
        assert torch.equal(parameter.grad, torch.full((2, 3), mean))
    assert nobodys.grad is None


@pytest.mark.parametrize("processes", [2, 3])
def test_memory_gives_the_sum_in_every_round_however_far_ahead_one_is(processes, monkeypatch):
    rounds, parts, generator = 12, (5, 1, 7), torch.Generator().manual_seed(0)
    own = torch.randn(processes, rounds, sum(parts), generator=generator)
    together = threading.Barrier(processes)
    monkeypatch.setattr(torch.distributed, "barrier", together.wait)
    room, found = torch.zeros(2, processes, sum(parts)), torch.zeros(processes, rounds, sum(parts))

    def work(process: int):
        exchange = ByMemory(room, process)
        for now in range(rounds):
            time.sleep(0.002 * ((now + process) % processes))
            found[process, now] = exchange(own[process, now].split(parts))

    threads = [threading.Thread(target=work, args=(process,)) for process in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in range(processes):
        torch.testing.assert_close(found[process], own.sum(0))
        assert torch.equal(found[process], found[0]), "all go on with the very same numbers"


@pytest.fixture
def one_of_two(tmp_path, monkeypatch):
    """The first of two processes, whose files lie in an empty folder, and what the second says of its machine."""
    other = SimpleNamespace(here=True)
    monkeypatch.setattr(gradients, "MEMORY", str(tmp_path))
    monkeypatch.setattr(gradients, "broadcast_object_list", lambda said: said)
    monkeypatch.setattr(gradients, "gather_object", lambda said: [*said, other.here])
    accelerator = SimpleNamespace(device=torch.device("cpu"), num_processes=2, process_index=0, is_main_process=True)
    return accelerator, other, tmp_path


def test_processes_of_one_machine_share_memory_that_no_file_is_left_of(one_of_two):
    accelerator, _, folder = one_of_two
    exchange = exchange_for([nn.Parameter(torch.zeros(3, 4)), nn.Parameter(torch.zeros(5))], accelerator)
    assert isinstance(exchange, ByMemory)
    assert exchange.room.shape == (2, 2, 12 + 5 + 2)
    assert not exchange.room.any()
    assert list(folder.iterdir()) == []


def test_processes_of_two_machines_use_the_network(one_of_two):
    accelerator, other, folder = one_of_two
    other.here = False
    assert exchange_for([nn.Parameter(torch.zeros(3))], accelerator) is by_network
    assert list(folder.iterdir()) == []


def test_a_machine_without_room_uses_the_network(one_of_two, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    accelerator, _, folder = one_of_two
    assert exchange_for([nn.Parameter(torch.zeros(3))], accelerator) is by_network
    assert list(folder.iterdir()) == []


def test_on_a_gpu_the_network_is_used(one_of_two):
    accelerator, _, _ = one_of_two
    accelerator.device = torch.device("cuda", 0)
    assert exchange_for([nn.Parameter(torch.zeros(3))], accelerator) is by_network
