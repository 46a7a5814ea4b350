"""What the parts share: the device, the clock, the memory, and the list of checks."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from accelerate.state import AcceleratorState, GradientState, PartialState
from torch import Tensor

GIGA = 1e9


@dataclass
class Bench:
    """A device, and what was found on it.

    Attributes:
        device: "cuda", or "cpu" for a trial of the script itself.
        tiny: toy shapes; speeds and shares are then reported, never judged.
        peak_flops: bfloat16 operations a second of a plain matrix product, measured by the part ``facts``.
        checks: one line each: part, name, ok (True, False, or None for what is only reported or was skipped), found.
    """

    device: str
    tiny: bool = False
    peak_flops: float | None = None
    part: str = ""
    checks: list[dict] = field(default_factory=list)

    def check(self, name: str, ok: bool | None, found: str, **numbers: object) -> None:
        """Print and keep one line; ``numbers`` go into the JSON beside it."""
        ok = None if ok is None else bool(ok)
        self.checks.append({"part": self.part, "check": name, "ok": ok, "found": found, **numbers})
        print(f"{'----' if ok is None else 'PASS' if ok else 'FAIL'}  {name}: {found}", flush=True)

    def speed(self, name: str, ok: bool, found: str, **numbers: object) -> None:
        """A check of speed or of memory, which tiny shapes and a CPU say nothing about."""
        self.check(name, None if self.tiny or self.device == "cpu" else ok, found, **numbers)

    def wait(self) -> None:
        """Return when the device has done what it was given."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], object], repeats: int = 5, warm: int = 2) -> float:
        """Median wall seconds of ``work()``."""
        taken = []
        for number in range(warm + repeats):
            self.wait()
            began = time.perf_counter()
            work()
            self.wait()
            if number >= warm:
                taken.append(time.perf_counter() - began)
        return statistics.median(taken)

    @contextmanager
    def peak_memory(self) -> Iterator[Callable[[], float]]:
        """Inside it: a function that says the most gigabytes that the device has held since, 0 on a CPU."""
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        yield lambda: torch.cuda.max_memory_allocated() / GIGA if self.device == "cuda" else 0.0

    def share(self, flops_a_second: float) -> float:
        """A rate as a share of the measured matrix peak; NaN where ``facts`` did not run."""
        return flops_a_second / self.peak_flops if self.peak_flops else float("nan")


def drift(found: Tensor, truth: Tensor) -> float:
    """Root mean square of the difference as a share of the truth's."""
    found, truth = found.detach().double(), truth.detach().double()
    return ((found - truth).square().mean() / truth.square().mean()).sqrt().item()


def forget_devices() -> None:
    """Accelerate keeps device and precision of a process for its whole life; the next training chooses anew."""
    for state in (AcceleratorState, PartialState, GradientState):
        state._reset_state()
