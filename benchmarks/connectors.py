"""What regional attention costs: against plain pooling, and beside the encoder.

    python -m benchmarks.connectors [--rounds 7] [--json FILE] [--docs docs/benchmarks.md]

Weights are random; shapes are those of the released models (SigLIP-so400m: width 1152, 27 layers; keys of 256). Seconds
are user CPU time of one thread. Targets: the compressor takes at most a tenth of the encoder's time for one frame, and
regional attention at most twice the time of the products that it cannot do without.
"""

import argparse
import gc
import multiprocessing
import os
import platform
import statistics
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.measure import (
    MEBIBYTE,
    give_tensors_own_pages,
    in_turns,
    paired_ratio,
    reset_peak,
    resident,
    timed,
)
from benchmarks.results import deliver, markdown
from oryx.grids import Grid
from oryx.model.compressor import DynamicCompressor, region_means
from oryx.model.config import OryxConfig, OryxVisionConfig
from oryx.model.connectors import AveragePooling
from oryx.model.vit import OryxViT

FRAMES, GRID, SIDES = 16, (24, 24), (2, 4)
"""16 frames of 384 x 384 pixels."""

MOST_SHARE = 0.1
MOST_OF_PRODUCTS = 2.0


class Products(nn.Module):
    """What regional attention cannot do without: a key of every token and the query of every region's mean."""

    def __init__(self, config: OryxConfig):
        super().__init__()
        self.query, self.key = (nn.Linear(config.vision_config.hidden_size, config.compressor_dim) for _ in range(2))

    def forward(self, features: Tensor, grid: Grid, side: int) -> tuple[Tensor, None]:
        """The sum of all that is made, which is nothing to go on with."""
        return self.query(region_means(features, grid, side)).sum() + self.key(features).sum(), None


CONNECTORS = {"pooling": AveragePooling, "products alone": Products, "attention": DynamicCompressor}


def seconds_of(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """User CPU seconds of each call in every round; they take turns, and short ones are repeated within a round."""

    def repeated(call: Callable[[], object], times: int) -> None:
        for _ in range(times):
            call()

    repeats = {}
    for name, call in calls.items():
        call()
        repeats[name] = 1
        while timed(partial(repeated, call, repeats[name]))["user"] < 0.05:
            repeats[name] *= 4
    ways = {name: partial(timed, partial(repeated, call, repeats[name])) for name, call in calls.items()}
    return {name: [taken / repeats[name] for taken in one["user"]] for name, one in in_turns(ways, rounds).items()}


def run(name: str, config: OryxConfig, features: Tensor, grid: Grid, side: int, backward: bool) -> Callable[[], object]:
    """A call of one connector, forward alone or with the gradients of its input and weights."""
    torch.manual_seed(0)
    connector = CONNECTORS[name](config)

    def call():
        with torch.set_grad_enabled(backward):
            out, _ = connector(features.requires_grad_(backward), grid, side)
            if backward:
                out.sum().backward()

    return call


def peak_memory(name: str, config: OryxConfig, frames: int, grid: Grid, side: int, backward: bool) -> float | None:
    """Peak resident MiB above input and weights; for a fresh process."""
    torch.set_num_threads(1)
    if not give_tensors_own_pages():
        return None
    small = torch.randn(1, 16, config.vision_config.hidden_size)
    run(name, config, small, (4, 4), 2, backward)()
    features = torch.randn(frames, grid[0] * grid[1], config.vision_config.hidden_size)
    call = run(name, config, features, grid, side, backward)
    gc.collect()
    before = resident("VmRSS")
    if before is None or not reset_peak():
        return None
    call()
    return (resident("VmHWM") - before) / MEBIBYTE


def against_pooling(config: OryxConfig, frames: int, grid: Grid, rounds: int) -> list[dict]:
    """Seconds and peak memory of every connector, side and pass."""
    features = torch.randn(frames, grid[0] * grid[1], config.vision_config.hidden_size)
    context, found = multiprocessing.get_context("forkserver"), []
    context.set_forkserver_preload(["benchmarks.measure", "oryx.model.connectors"])
    for side in SIDES:
        for backward in (False, True):
            calls = {name: run(name, config, features.clone(), grid, side, backward) for name in CONNECTORS}
            seconds = seconds_of(calls, rounds)
            for name, own in seconds.items():
                with ProcessPoolExecutor(1, mp_context=context) as pool:
                    peak = pool.submit(peak_memory, name, config, frames, grid, side, backward).result()
                line = {"ratio": side**2, "pass": "forward+backward" if backward else "forward", "connector": name}
                line |= {f"/ {peer}": paired_ratio(own, seconds[peer]) for peer in list(CONNECTORS)[:2]}
                found.append({**line, "seconds": own, "peak_mib": peak})
    return found


@torch.inference_mode()
def beside_the_encoder(config: OryxConfig, grid: Grid, rounds: int) -> list[dict]:
    """The compressor's share of the encoder's seconds, one frame."""
    vision = config.vision_config
    encoder = OryxViT(vision).eval()
    patches = torch.randn(grid[0] * grid[1], vision.num_channels * vision.patch_size**2)
    features = torch.randn(1, grid[0] * grid[1], vision.hidden_size)
    calls = {side: run("attention", config, features, grid, side, False) for side in SIDES}
    seconds = seconds_of({"encoder": lambda: encoder(patches, [grid]), **calls}, rounds)
    encoding = seconds["encoder"]
    return [
        {"ratio": side**2, "encoder": encoding, "compressor": seconds[side]}
        | {"share": paired_ratio(seconds[side], encoding)}
        for side in SIDES
    ]


def tables(found: dict) -> str:
    """The results as Markdown, with what they were measured with."""
    grid, size = found["grid"], found["grid"][0] * 16
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    what, compared, shares = f"{found['frames']} frames of {grid[0]} x {grid[1]} tokens", [], []
    for one in found["pooling"]:
        line = {what: f"{one['ratio']}x", "pass": one["pass"], "connector": one["connector"]}
        line |= {"user s": statistics.median(one["seconds"]), "peak MiB": one["peak_mib"]}
        line |= {name: one[name] for name in one if name.startswith("/ ")}
        asked = one["connector"] == "attention"
        line |= {"limit of that": f"<= {MOST_OF_PRODUCTS:.2f}" if asked else None}
        compared.append(line | {"met": one["/ products alone"] <= MOST_OF_PRODUCTS if asked else None})
    for one in found["encoder"]:
        line = {f"one frame of {size} x {size} pixels": f"{one['ratio']}x"}
        line |= {f"{part}, user s": statistics.median(one[part]) for part in ("encoder", "compressor")}
        line |= {"share": f"{one['share']:.2%}", "limit": f"<= {MOST_SHARE:.0%}"}
        shares.append(line | {"met": one["share"] <= MOST_SHARE})
    return "\n\n".join([f"{machine}, one thread, float32.", markdown(compared), markdown(shares)])


def main(arguments: list[str] | None = None, config: OryxConfig | None = None) -> dict:
    """Command line: measure and print. ``config``: another size, for tests."""
    parser = argparse.ArgumentParser(description="Cost of regional attention.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", type=Path, help="a file whose block between the connectors marks is renewed")
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(1)
    config = config or OryxConfig(vision_config=OryxVisionConfig())
    found = {
        "frames": parsed.frames,
        "grid": GRID,
        "pooling": against_pooling(config, parsed.frames, GRID, parsed.rounds),
        "encoder": beside_the_encoder(config, GRID, parsed.rounds),
    }
    text = tables(found)
    deliver(found, text, parsed.json, parsed.docs, "connectors")
    return found


if __name__ == "__main__":
    main()
