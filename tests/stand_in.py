"""A stand-in for one CUDA device on a machine that has none: values are computed on the CPU, devices kept account of.

    with stand_in_gpu() as gpu:
        study.run_job(settings, arm, seed, folder, progress)     # or a training, in this process
    assert gpu.varlen_calls

Every storage carries a mark that says whether it lies on the device. Moving and making tensors sets the mark, an
operation hands it to its results, and an operation over tensors of two devices raises RuntimeError in the words of
torch. So do a model left on the CPU while its inputs are on the device, ``numpy()`` of a tensor on the device
(TypeError), a random generator of the other device, and ``pin_memory()`` of what is on the device already. Code that
asks sees one device: ``torch.cuda``, ``Tensor.device``, accelerate's states. Mixed precision is that of the CPU: torch
has bfloat16 autocast there too. The variable-length kernel is one that computes every segment by plain attention.

What it does not see:

- kernels, memory, speed and numbers of a real device, more than one device, streams, compiled code;
- other processes and other threads: a DataLoader loads its batches in this process here, whatever it was told;
- an operation that CUDA lacks, and a number format that only one side supports;
- tensors that C++ makes inside an operation (``pad_sequence``) count as the CPU's until something is copied into them,
  so copies between devices are always let through; a single number on the CPU may meet any tensor, as in torch;
- an explicit ``device="cpu"`` of ``zeros_like`` and its kin, and ``copy.deepcopy`` of a tensor that is no parameter.
"""

import functools
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from accelerate.state import AcceleratorState, GradientState, PartialState
from torch import Tensor
from torch.nn.attention import varlen
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader

DEVICE, CPU = torch.device("cuda", 0), torch.device("cpu")
COPIES = ("copy_", "_foreach_copy_", "set_")
INDEXED = ("index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index_put")
"""Operations that take indices from the CPU for a tensor on the device, not the other way round."""

PRODUCTS = ("linear", "mm", "addmm", "bmm", "baddbmm", "matmul", "convolution", "einsum")
"""Operations that a model consists of, wherever it runs."""

_device_of = Tensor.device.__get__
_to, _numpy, _new_tensor = Tensor.to, Tensor.numpy, Tensor.new_tensor


@dataclass
class StandIn:
    """What was asked of the device: calls of the variable-length kernel, of autocast, and tensors that were pinned.

    ``products_on_cpu``: line of the project -> matrix products of modules called there that were left to the CPU.
    """

    varlen_calls: int = 0
    autocasts: int = 0
    pinned: int = 0
    products_on_cpu: Counter[str] = field(default_factory=Counter)


def on_device(tensor: Tensor) -> bool:
    """Whether ``tensor`` lies on the device that is stood in for."""
    if tensor.layout is not torch.strided or _device_of(tensor) != CPU:
        return False
    return getattr(tensor.untyped_storage(), "_on_stand_in", False)


def mark(tensor: Tensor, there: bool) -> Tensor:
    """Say where ``tensor`` lies, and with it all views of its storage; returned as it is."""
    if tensor.layout is torch.strided and _device_of(tensor) == CPU:
        tensor.untyped_storage()._on_stand_in = there
    return tensor


def is_cuda(device: Any) -> bool:
    """Whether a device as torch takes it (a name, a number, a ``torch.device``) is a CUDA device."""
    return device is not None and torch.device(device).type == "cuda"


class _Account(TorchDispatchMode):
    """Checks the devices of every operation and marks what it makes."""

    def __init__(self, seen: StandIn):
        super().__init__()
        self.seen = seen

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # nothing is compiled here, and the wrapper doubles the cost of an operation
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        asked = is_cuda(kwargs.get("device"))
        if asked:
            kwargs["device"] = CPU
        name = func.overloadpacket.__name__
        inputs = list(_tensors((args, [value for key, value in kwargs.items() if key != "out"])))
        there = [on_device(tensor) for tensor in inputs]
        if name not in COPIES:
            _check_devices(name, inputs, there)
        _check_generator(name, kwargs.get("generator"), asked or any(there))
        if name in PRODUCTS and not any(there) and (line := _module_call()):
            self.seen.products_on_cpu[line] += 1
        result = func(*args, **kwargs)
        if name in COPIES:
            return result
        known = {_storage(tensor) for tensor in inputs}
        lies = there[0] if name in INDEXED else asked or any(there)
        for made in _tensors((result,)):
            if _storage(made) not in known:
                mark(made, lies)
        return result


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _module_call() -> str | None:
    """The line of this project that called the module that an operation is part of; None: it is part of no module."""
    frame, inside = sys._getframe(2), False
    while frame:
        inside = inside or frame.f_code.co_name == "_call_impl"
        if inside and "site-packages" not in frame.f_code.co_filename:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def _storage(tensor: Tensor) -> int | None:
    return tensor.untyped_storage()._cdata if tensor.layout is torch.strided else None


def _check_devices(name: str, tensors: list[Tensor], there: list[bool]) -> None:
    if name in INDEXED and there and there[0]:
        return
    # a single number on the CPU may meet tensors of any device
    if len({lies for tensor, lies in zip(tensors, there, strict=True) if lies or tensor.dim()}) > 1:
        shapes = (f"{tuple(t.shape)} on {DEVICE if lies else CPU}" for t, lies in zip(tensors, there, strict=True))
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, {DEVICE} and cpu! "
            f"({name}: {', '.join(shapes)})"
        )


def _check_generator(name: str, generator: torch.Generator | None, there: bool) -> None:
    if generator is not None and (generator._cdata in _generators) != there:
        raise RuntimeError(f"{name}: expected a generator of {DEVICE if there else CPU}, got one of the other device")


class _Generator(torch.Generator):
    """A generator of the device."""

    device = DEVICE


def generator(device: Any = "cpu") -> torch.Generator:
    """In the place of ``torch.Generator``."""
    if not is_cuda(device):
        return _PLAIN_GENERATOR(device)
    made = _Generator()
    _generators[made._cdata] = made
    return made


_PLAIN_GENERATOR = torch.Generator
_generators: dict[int, torch.Generator] = {}
"""Those of the device, by address: dispatch hands an operation another Python object for the same generator."""


def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """In the place of ``Tensor.to``, in all of its forms."""
    args, copy = list(args), kwargs.pop("copy", False)
    like = args.pop(0) if args and isinstance(args[0], Tensor) else kwargs.pop("other", None)
    if like is not None:
        kwargs |= {"device": like.device, "dtype": like.dtype}
    device, dtype, _, memory_format = torch._C._nn._parse_to(*args, **kwargs)
    if _device_of(self) != CPU or (device is not None and device.type not in ("cpu", "cuda")):
        return _to(self, device, dtype)
    there = on_device(self) if device is None else device.type == "cuda"
    options = {} if memory_format is None else {"memory_format": memory_format}
    moved = _to(self, dtype or self.dtype, copy=copy, **options)
    if there != on_device(moved):
        moved = mark(moved.clone() if moved.data_ptr() == self.data_ptr() else moved, there)
    return moved


def numpy(self: Tensor, **options: Any) -> Any:
    """In the place of ``Tensor.numpy``."""
    if on_device(self):
        raise TypeError(f"can't convert {DEVICE} device type tensor to numpy. Use Tensor.cpu() first.")
    return _numpy(self, **options)


def made(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """In the place of ``torch.tensor`` and its kin, which make their tensors beneath all dispatch."""

    @functools.wraps(function)
    def call(data: Any, *args: Any, device: Any = None, **kwargs: Any) -> Tensor:
        if not is_cuda(device):
            return function(data, *args, device=device, **kwargs)
        return mark(function(data, *args, device="cpu", **kwargs).clone(), True)

    return call


def joined(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """In the place of ``torch.cat`` and ``torch.stack``: autocast of CUDA leaves tensors of the CPU alone."""

    @functools.wraps(function)
    def call(tensors: Any, *args: Any, **kwargs: Any) -> Tensor:
        with torch.autocast("cpu", enabled=False) if not any(map(on_device, tensors)) else nullcontext():
            return function(tensors, *args, **kwargs)

    return call


def varlen_attn(
    query: Tensor, key: Tensor, value: Tensor, cu_seq_q: Tensor, cu_seq_k: Tensor | None, max_q: int, max_k: int, *,
    return_aux: Any = None, scale: float | None = None, window_size: tuple[int, int] = (-1, -1),
    enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """In the place of the variable-length kernel: the exact attention of every segment, one after the other.

    Raises RuntimeError for tensors that the kernel would refuse.
    """
    cu_seq_k = cu_seq_q if cu_seq_k is None else cu_seq_k
    if query.dtype not in (torch.float16, torch.bfloat16) or not (query.dtype == key.dtype == value.dtype):
        raise RuntimeError(f"varlen_attn: expected half precision, got {query.dtype}, {key.dtype}, {value.dtype}")
    if not all(map(on_device, (query, key, value, cu_seq_q, cu_seq_k))) or cu_seq_q.dtype != torch.int32:
        raise RuntimeError("varlen_attn: expected all tensors on the device, boundaries as int32")
    if query.shape[1] != key.shape[1] and not enable_gqa:
        raise RuntimeError(f"varlen_attn: {query.shape[1]} heads of queries, {key.shape[1]} of keys")
    lengths = [bounds.diff().tolist() for bounds in (cu_seq_q, cu_seq_k)]
    if (max(lengths[0]), max(lengths[1])) != (max_q, max_k):
        raise RuntimeError(f"varlen_attn: the longest segments have {max(lengths[0])}, {max(lengths[1])} tokens")
    pieces = []
    for q, k, v in zip(query.split(lengths[0]), key.split(lengths[1]), value.split(lengths[1]), strict=True):
        own, seen = q.shape[0], k.shape[0]
        mask = None
        if window_size != (-1, -1):
            mask = torch.ones(own, seen, dtype=torch.bool, device=q.device).tril(seen - own)
        batch = [part.transpose(0, 1)[None] for part in (q, k, v)]
        out = F.scaled_dot_product_attention(*batch, attn_mask=mask, scale=scale, enable_gqa=enable_gqa)
        pieces.append(out[0].transpose(0, 1))
    return torch.cat(pieces)


def _answers() -> dict[str, Callable]:
    """What ``torch.cuda`` says of the device."""
    return {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "_lazy_init": lambda: None,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "device": lambda device: nullcontext(),
        "synchronize": lambda device=None: None,
        "empty_cache": lambda: None,
        "is_bf16_supported": lambda including_emulation=True: True,
        "get_device_name": lambda device=None: "stand-in",
        "get_device_capability": lambda device=None: (9, 0),
        "mem_get_info": lambda device=None: (100 << 30, 100 << 30),
        "memory_allocated": lambda device=None: 0,
        "max_memory_allocated": lambda device=None: 0,
        "reset_peak_memory_stats": lambda device=None: None,
        "manual_seed": lambda seed: None,
        "manual_seed_all": lambda seed: None,
        "get_rng_state": lambda device="cuda": torch.empty(0, dtype=torch.uint8),
        "get_rng_state_all": lambda: [],
        "set_rng_state": lambda state, device="cuda": None,
        "set_rng_state_all": lambda states: None,
    }


@contextmanager
def stand_in_gpu() -> Iterator[StandIn]:
    """One CUDA device as far as this thread can see, until the context ends."""
    seen = StandIn()
    named = {name: getattr(torch, name) for name in ("is_autocast_enabled", "get_autocast_dtype")}
    start_autocast, start_loader = torch.autocast.__init__, DataLoader.__init__

    def autocast(self: Any, device_type: str, dtype: torch.dtype | None = None, enabled: bool = True, *rest, **more):
        seen.autocasts += device_type == "cuda" and enabled
        start_autocast(self, "cpu" if device_type == "cuda" else device_type, dtype, enabled, *rest, **more)

    def loader(self: Any, *args: Any, **options: Any):
        pinned = options.pop("pin_memory", False)
        for name in ("num_workers", "prefetch_factor", "multiprocessing_context", "persistent_workers"):
            options.pop(name, None)
        start_loader(self, *args, **options)
        seen.pinned += bool(pinned)

    def pin_memory(self: Tensor, device: Any = None) -> Tensor:
        if on_device(self):
            raise RuntimeError(f"cannot pin a tensor on {DEVICE}: only dense CPU tensors can be pinned")
        seen.pinned += 1
        return self

    def kernel(*args: Any, **kwargs: Any) -> Tensor:
        seen.varlen_calls += 1
        return varlen_attn(*args, **kwargs)

    tensor = {
        "device": property(lambda self: DEVICE if on_device(self) else _device_of(self)),
        "is_cuda": property(on_device),
        "is_cpu": property(lambda self: _device_of(self) == CPU and not on_device(self)),
        "get_device": lambda self: 0 if on_device(self) else -1,
        "to": to,
        "cuda": lambda self, device=None, non_blocking=False, memory_format=None: to(self, DEVICE),
        "cpu": lambda self, memory_format=None: to(self, CPU),
        "numpy": numpy,
        "new_tensor": lambda self, data, **options: mark(_new_tensor(self, data, **options), on_device(self)),
        "pin_memory": pin_memory,
    }
    changed = [(torch.cuda, _answers()), (Tensor, tensor), (torch.autocast, {"__init__": autocast})]
    changed += [
        (torch, {name: made(getattr(torch, name)) for name in ("tensor", "as_tensor", "asarray")}),
        (torch, {name: joined(getattr(torch, name)) for name in ("cat", "stack")}),
        (torch, {name: _of_cpu(function) for name, function in named.items()} | {"Generator": generator}),
        (varlen, {"varlen_attn": functools.wraps(varlen_attn)(kernel)}),
        (DataLoader, {"__init__": loader}),
    ]
    _forget_devices()
    with ExitStack() as stack:
        stack.callback(_forget_devices)
        stack.callback(_generators.clear)
        for owner, values in changed:
            for name, value in values.items():
                stack.enter_context(mock.patch.object(owner, name, value))
        stack.enter_context(_Account(seen))
        yield seen


def _of_cpu(function: Callable) -> Callable:
    return lambda device_type="cpu": function("cpu" if device_type == "cuda" else device_type)


def _forget_devices() -> None:
    """Accelerate keeps the device of a process for its whole life."""
    for state in (AcceleratorState, PartialState, GradientState):
        state._reset_state()
