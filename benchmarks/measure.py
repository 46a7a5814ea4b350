"""Time of anything in turns; time, memory and agreement of the encoders."""

import ctypes
import gc
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.encoders import Encoder, Packed, Padded, alone, peers
from benchmarks.mixes import Mix

PASSES = ("forward", "forward+backward")
MEBIBYTE = 2**20
OWN_PAGES_FROM = 2**16  # bytes
_M_MMAP_THRESHOLD = -3  # from glibc's malloc.h


def run_pass(encoder: Encoder, kind: str):
    """One forward pass without gradients, or one forward and backward pass that leaves gradients in the weights."""
    if kind == "forward":
        with torch.no_grad():
            encoder.run()
    else:
        encoder.run().backward(encoder.gradient)


@dataclass(frozen=True)
class Agreement:
    """How far the encoders are apart.

    Attributes:
        features: largest absolute difference of a feature of a real token, before Siglip2's final norm.
        scale: root mean square of those features.
        gradients: largest absolute difference of a weight's gradient, as a share of the largest gradient in the
            same tensor. The key biases are left out: softmax cancels them, so theirs is rounding noise around 0.
    """

    features: float
    scale: float
    gradients: float


def agreement(other: Padded | Packed, packed: Packed) -> Agreement:
    """Run both once, forward and backward, and compare. Leaves no gradients behind."""
    features, gradients = [], []
    for encoder in (other, packed):
        out = encoder.run()
        out.backward(encoder.gradient)
        features.append(encoder.real(out.detach()))
        gradients.append({name: grad.clone() for name, grad in encoder.parameter_gradients().items()})
        encoder.model.zero_grad()
    apart = [
        ((gradients[1][name] - grad).abs().max() / grad.abs().max().clamp(min=1e-30)).item()
        for name, grad in gradients[0].items()
        if not name.endswith("k_proj.bias")
    ]
    return Agreement(
        features=(features[0] - features[1]).abs().max().item(),
        scale=features[0].square().mean().sqrt().item(),
        gradients=max(apart),
    )


def timed(call: Callable[[], object], wait: Callable[[], None] = lambda: None) -> dict[str, float]:
    """Seconds that a call takes, by clock. ``wait``: returns when the device has done what it was given.

    Clocks: "user" is the time all threads of this process spent computing, "cpu" adds what the system spent for it
    (mostly handing out fresh memory pages, which varies with the state of the machine's memory), "wall" is the time
    that passed and the only one that other programs on the machine change much.
    """
    start = _clocks()
    call()
    wait()
    end = _clocks()
    return {clock: end[clock] - start[clock] for clock in start}


def in_turns(ways: Mapping[str, Callable[[], dict[str, float]]], rounds: int) -> dict[str, dict[str, list[float]]]:
    """The seconds of every round, ``[way][clock]``; the ways take turns, and neither always comes first.

    A round before them is not counted: it loads what is loaded on first use.
    """
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in list(ways.items())[:: 1 if number % 2 else -1]:
            spent = way()
            if number:
                samples[name].append(spent)
    return {name: {clock: [one[clock] for one in taken] for clock in taken[0]} for name, taken in samples.items()}


def paired_ratio(first: Sequence[float], second: Sequence[float]) -> float:
    """The median over the rounds of ``first`` / ``second``."""
    return statistics.median(one / other for one, other in zip(first, second, strict=True))


def times(
    encoders: Mapping[str, Encoder], repeats: int, wait: Callable[[], None] = lambda: None
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """The seconds of every repeat, ``[pass][encoder][clock]``; ``wait`` and clocks as of :func:`timed`."""

    def once(encoder: Encoder, kind: str) -> dict[str, float]:
        encoder.model.zero_grad()
        gc.collect()
        wait()
        return timed(partial(run_pass, encoder, kind), wait)

    return {
        kind: in_turns({name: partial(once, encoder, kind) for name, encoder in encoders.items()}, repeats)
        for kind in PASSES
    }


def _clocks() -> dict[str, float]:
    usage, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    return {"user": usage.ru_utime, "cpu": usage.ru_utime + usage.ru_stime, "wall": wall}


def resident(field: str) -> int | None:
    """``VmRSS`` (now) or ``VmHWM`` (peak) of this process in bytes, from Linux; None elsewhere."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))
    except (OSError, StopIteration):
        return None


def give_tensors_own_pages() -> bool:
    """Make glibc serve every tensor from pages of its own and return them when it is freed; False without glibc.

    By default glibc keeps freed memory below a threshold that moves with what was freed before, and one and the same
    pass then peaks up to a third higher or lower. With its own pages a tensor counts exactly while it lives.
    """
    gc.collect()
    try:
        libc = ctypes.CDLL(None)
        pinned = libc.mallopt(_M_MMAP_THRESHOLD, OWN_PAGES_FROM)
        libc.malloc_trim(0)
    except AttributeError:
        return False
    return pinned == 1


def reset_peak() -> bool:
    """Set Linux's peak of this process to what it holds now; False where that is not possible."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_memory(name: str, mix: Mix, threads: int) -> dict[str, float] | None:
    """Peak resident MiB above what model and inputs hold, per pass, of the encoder "padded" or "packed".

    For a fresh process: it changes the allocator's settings, and memory that an earlier run left behind would hide a
    part of the peak. A model of 64 channels runs first, so that the code libraries load on first use is not counted.
    None where the system has no peak counter to reset (other than Linux) or another allocator (no glibc).
    """
    torch.set_num_threads(threads)
    if not give_tensors_own_pages():
        return None
    small = alone(name, replace(mix, grids=mix.grids[:2], width=64, heads=1, mlp=64, layers=1))
    for kind in PASSES:
        run_pass(small, kind)
    encoder = alone(name, mix)
    gc.collect()
    before, peaks = resident("VmRSS"), {}
    for kind in PASSES:
        if before is None or not reset_peak():
            return None
        run_pass(encoder, kind)
        peaks[kind] = (resident("VmHWM") - before) / MEBIBYTE
    return peaks


def in_fresh_process(function: Callable, *arguments: Any) -> Any:
    """``function(*arguments)`` in a new process, forked from a server that has imported this code and run nothing.

    One server serves all benchmarks of a process; what it has imported is decided when it starts.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["benchmarks.measure", "benchmarks.long_videos", "benchmarks.acceptance.released", "pandas"]
    )
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def peak_memory_in_fresh_process(name: str, mix: Mix, threads: int) -> dict[str, float] | None:
    """:func:`peak_memory`, see :func:`in_fresh_process`."""
    return in_fresh_process(peak_memory, name, mix, threads)


def measure(mix: Mix, repeats: int, threads: int, memory=peak_memory_in_fresh_process) -> dict:
    """Everything about one mix: ``agreement[encoder]`` with the packed one, ``seconds`` as of :func:`times`, and
    ``memory_mib[encoder][pass]`` (None: unknown)."""
    memory_mib = {name: memory(name, mix, threads) for name in ("padded", "packed")}
    encoders = peers(mix)
    return {
        "agreement": {name: asdict(agreement(encoders[name], encoders["packed"])) for name in ("padded", "loop")},
        "seconds": times(encoders, repeats),
        "memory_mib": memory_mib,
    }
