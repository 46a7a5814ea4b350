"""What hours of video cost, by a model of operations, bytes and tokens that is held against measured times first.

    python -m benchmarks.costs [--shapes 20M,120M,400M] [--rounds 5] [--docs docs/benchmarks.md]

A question takes the operations of encoding and reading (:func:`oryx.processing.fit.operations`) at the rate of matrix
products, and for every further word of the answer the language model's weights once at the rate of memory. Both rates
of this machine are measured on bare products, not on a model; then three models are timed. On a GPU they are the data
sheet's (``gpus.toml``), operations at the share that :mod:`oryx.processing.fit` assumes: that table is arithmetic.
"""

import argparse
import os
import platform
import statistics
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import in_fresh_process, in_turns, timed
from benchmarks.memory import PROMPT, SHAPES, Case, asking
from benchmarks.results import deliver
from oryx.errors import check_known
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing import fit
from oryx.processing.context import compressed, frames_that_fit
from oryx.processing.shapes import Shape, read_shape

CASE = Case(frames=8, side=2)
WORDS = 4
"""Words of an answer; :func:`benchmarks.memory.asking` makes as many."""
MOST_APART = 0.25
GPUS = tomllib.loads(Path(__file__).with_name("gpus.toml").read_text("utf-8"))
HOURS, PER_SECOND, SIZE, RATIO, NUMBERS, ANSWER = (1, 10), 1, (720, 1280), 16, "bf16", 32
"""Of the videos: hours, frames that are read a second, (height, width), compression; words of an answer a window."""
MODELS = ("7b", "34b")


def question(shape: Shape, shown: fit.Shown, rate: float, memory: float, numbers: str, words: int) -> float:
    """Seconds of one question: ``rate`` operations and ``memory`` bytes a second."""
    again = shape.weights(numbers)["language model"] * (words - 1)
    return sum(fit.operations(shape, shown)) / rate + again / memory


def products() -> dict[str, tuple[int, Callable[[], Any]]]:
    """What gives the machine's rates: ``rate``, matrix products and their operations, and ``memory``, weights that one
    row is multiplied with and their bytes."""
    rows, width, hidden, times = 1024, 1024, 4096, 8
    weights = [torch.randn(hidden, width) for _ in range(16)]  # together larger than any cache
    many, one = torch.randn(rows, width), torch.randn(1, width)

    def multiply(x: torch.Tensor, count: int) -> None:
        for weight in weights[:count]:
            torch.nn.functional.linear(x, weight)

    def weigh() -> None:
        for _ in range(times):
            multiply(one, len(weights))

    size = 4 * width * hidden * len(weights)
    return {
        "rate": (2 * rows * width * hidden * times, partial(multiply, many, times)),
        "memory": (size * times, weigh),
    }


@torch.inference_mode()
def measured(name: str, rounds: int) -> dict[str, Any]:
    """CPU seconds of one question to a model with random weights, and what is said of it; for a fresh process.

    The question takes turns with the products that give the rates: all are medians of user time.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = OryxForConditionalGeneration(SHAPES[name]).eval()
    works = products()
    calls = {"question": asking(model, CASE)} | {name: work for name, (_, work) in works.items()}
    spent = in_turns({name: partial(timed, call) for name, call in calls.items()}, rounds)
    seconds = {name: statistics.median(clocks["user"]) for name, clocks in spent.items()}
    rate, memory = (amount / seconds[name] for name, (amount, _) in works.items())
    shape = Shape.of(model.config.to_dict(), name)
    said, took = question(shape, CASE.shown, rate, memory, "fp32", WORDS), seconds["question"]
    found = {"shape": name, "tokens": CASE.shown.tokens + PROMPT, "rate": rate, "memory": memory}
    return found | {"operations": sum(fit.operations(shape, CASE.shown)), "said": said, "took": took}


def windows(shape: Shape, hours: float, room: float) -> list[fit.Shown]:
    """A video in the pieces that the context and ``room`` bytes hold, each asked about by itself; none: too small."""
    most = frames_that_fit(shape.context, compressed(SIZE, RATIO))
    most = min(most, fit.most_frames(shape, room, SIZE, RATIO, NUMBERS, fit.CHUNK))
    frames = round(hours * 3600 * PER_SECOND) if most else 0
    sizes = [min(most, frames - start) for start in range(0, frames, most or 1)]
    return [fit.video(size, SIZE, RATIO, shape.tower["patch_size"]) for size in sizes]


def costs(shape: Shape, hours: float, gpu: Mapping[str, float]) -> dict[str, float]:
    """Of a question about every piece: questions, tokens, operations, hours, dollars; all 0: the GPU is too small."""
    pieces, rate = windows(shape, hours, gpu["memory"] * fit.GIGA), gpu["tera"] * fit.TERA * fit.SHARE
    spent = sum(question(shape, one, rate, gpu["bytes"] * fit.TERA, NUMBERS, ANSWER) for one in pieces) / 3600
    return {
        "questions": len(pieces),
        "tokens": sum(one.tokens for one in pieces),
        "operations": sum(sum(fit.operations(shape, one)) for one in pieces),
        "hours": spent,
        "dollars": spent * gpu["dollars"],
    }


def table(found: list[dict[str, Any]], gpus: Mapping[str, Mapping[str, float]]) -> str:
    """Both tables as Markdown, with what they were measured with and rest on."""
    lines = [
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, float32, one "
        f"thread, CPU time; {CASE.name}, {WORDS} words. Rates are measured beside each model, on bare products.",
        "",
        "| shape | 10⁹ operations | tokens | 10⁹ operations/s | 10⁹ bytes/s | said, s | took, s | said / took |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in found:
        cells = [one["shape"], f"{one['operations'] / fit.GIGA:,.0f}", f"{one['tokens']:,}"]
        cells += [f"{one['rate'] / fit.GIGA:.0f}", f"{one['memory'] / fit.GIGA:.1f}"]
        cells += [f"{one['said']:.2f}", f"{one['took']:.2f}", f"{one['said'] / one['took']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    apart = max(abs(one["said"] / one["took"] - 1) for one in found)
    lines += ["", f"The largest distance is {apart:.0%}; at most {MOST_APART:.0%} is the aim.", ""]
    lines += [f"| model | video, hours | {' | '.join(gpus)} |", "| --- |" + " --- |" * (1 + len(gpus))]
    for name in MODELS:
        shape = read_shape(name)
        for hours in HOURS:
            cells = [said(costs(shape, hours, gpu)) for gpu in gpus.values()]
            lines.append(f"| {' | '.join([shape.name, str(hours), *cells])} |")
    prices = ", ".join(f"{name} {gpu['dollars']:g}" for name, gpu in gpus.items())
    lines += [
        "",
        f"By arithmetic, not measured: {PER_SECOND} frame a second of {SIZE[1]}x{SIZE[0]} at {RATIO}x, in pieces that "
        f"context and memory hold, one question with an answer of {ANSWER} words about each; weights in {NUMBERS}, "
        f"operations at {fit.SHARE:.0%} of the peak. Decoding on the CPU is not counted. Dollars an hour: {prices}.",
    ]
    return "\n".join(lines)


def said(found: Mapping[str, float]) -> str:
    """A cell of the table."""
    if not found["questions"]:
        return "too small"
    return f"{found['hours'] * 60:,.1f} min, {found['dollars']:.2f} dollars, {found['questions']} questions"


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    """Command line: measure and print."""
    parser = argparse.ArgumentParser(description="What hours of video cost, by operations, bytes and tokens.")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prices", default="", help="dollars an hour, as 'H100=2.5,L4=0.7'")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", type=Path, help="a file whose block between the costs marks is renewed")
    parsed = parser.parse_args(arguments)
    names = parsed.shapes.split(",")
    prices = dict(one.split("=") for one in parsed.prices.split(",") if one)
    check_known(names, SHAPES, "shape")
    check_known(prices, GPUS, "GPU")
    gpus = {name: gpu | {"dollars": float(prices.get(name, gpu["dollars"]))} for name, gpu in GPUS.items()}
    found = [in_fresh_process(measured, name, parsed.rounds) for name in names]
    deliver(found, table(found, gpus), parsed.json, parsed.docs, "costs")
    return found


if __name__ == "__main__":
    main()
