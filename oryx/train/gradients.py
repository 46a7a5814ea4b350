"""The mean of the gradients of processes that train together.

Here and not in DistributedDataParallel, which expects as many forward passes on every process and every parameter in
each: a step may read its batch in more parts on one than on another, and at region side 1 the compressor has nothing to
weigh.
"""

import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from functools import reduce

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, nn

MEMORY = "/dev/shm"
"""Where Linux keeps files that lie in memory only."""

Exchange = Callable[[Sequence[Tensor]], Tensor]
"""Takes the parts (any length each) of a vector of this process, gives the sum of the vectors of all, one tensor."""


def average_gradients(parameters: Sequence[nn.Parameter], processes: int, exchange: Exchange) -> None:
    """Give every process the mean of all processes' gradients, in one exchange; a parameter that none used has none."""
    used = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
    own = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    total = exchange([*(gradient.flatten() for gradient in own), used])
    *means, used = total.div_(processes).split([*(p.numel() for p in parameters), len(parameters)])
    for parameter, mean, users in zip(parameters, means, used.tolist(), strict=True):
        parameter.grad = mean.view_as(parameter) if users else None


def by_network(parts: Sequence[Tensor]) -> Tensor:
    """The :data:`Exchange` that works everywhere."""
    total = torch.cat(list(parts))
    torch.distributed.all_reduce(total)
    return total


class ByMemory:
    """The :data:`Exchange` of processes of one machine's CPU, in memory that they share.

    Its sums are in the order of the processes. ``room``: (2, processes, numbers of a vector). A process that is ahead
    already writes the next vector while the others still read this one; it cannot get further ahead than that.
    """

    def __init__(self, room: Tensor, process: int):
        self.room, self.process, self.now = room, process, 0

    def __call__(self, parts: Sequence[Tensor]) -> Tensor:
        vectors = self.room[self.now]
        self.now = 1 - self.now
        torch.cat(list(parts), out=vectors[self.process])
        torch.distributed.barrier()
        return reduce(torch.add, vectors)


def exchange_for(parameters: Sequence[nn.Parameter], accelerator: Accelerator) -> Exchange:
    """The fastest exchange that these processes have for the gradients of ``parameters``."""
    numbers = sum(p.numel() for p in parameters) + len(parameters)
    room = None
    if accelerator.device.type == "cpu":
        room = shared_room((2, accelerator.num_processes, numbers), accelerator)
    return by_network if room is None else ByMemory(room, accelerator.process_index)


def shared_room(shape: tuple[int, ...], accelerator: Accelerator) -> Tensor | None:
    """Zeros (float32) in memory that all processes share; None if they are not on one machine, or it has no room.

    The file behind it has no name any more once all have it, so it goes with the last of them.
    """
    numbers = torch.Size(shape).numel()
    path = _file_of(4 * numbers) if accelerator.is_main_process else None
    where, machine = broadcast_object_list([path, platform.node()])
    here = where is not None and machine == platform.node() and os.path.exists(where)
    room = torch.from_file(where, shared=True, size=numbers).view(shape) if here else None
    everywhere = all(gather_object([here]))
    if path is not None:
        os.unlink(path)
    return room if everywhere else None


def _file_of(size: int) -> str | None:
    """A new file of ``size`` bytes, in memory where there is a folder for that; None if there is no room for it."""
    in_memory = os.path.isdir(MEMORY) and os.access(MEMORY, os.W_OK)
    handle, path = tempfile.mkstemp(prefix="oryx-gradients-", dir=MEMORY if in_memory else None)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle, 0, size)  # what is missing is missed now, not at the first gradient
        else:
            os.truncate(handle, size)
    except OSError:
        os.unlink(path)
        return None
    finally:
        os.close(handle)
    return path
