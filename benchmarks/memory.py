"""The memory of a question, measured, beside what ``oryx/processing/fit.py`` says of it from the shapes alone.

    python -m benchmarks.memory [--shapes 20M,120M,400M] [--json FILE] [--docs FILE]

Measured is the most that torch's allocator had handed out, by its own record of every allocation (torch.profiler): the
temporary memory of kernels counts, as it does in ``torch.cuda.max_memory_allocated``. Beside it stands the peak
resident memory of the process, a fresh one for every line. ``--docs docs/benchmarks.md`` renews the table there.
"""

import argparse
import gc
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch.profiler import ProfilerActivity, profile
from transformers import LlamaConfig, PretrainedConfig, Qwen2Config

from benchmarks.acceptance import released
from benchmarks.acceptance.bench import Bench
from benchmarks.measure import give_tensors_own_pages, in_fresh_process, reset_peak, resident
from benchmarks.results import deliver
from oryx.errors import check_known
from oryx.grids import Grid, patch_grid, token_count
from oryx.layout import Layout
from oryx.model.config import OryxConfig
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.fit import Shown, frames_of, memory, picture
from oryx.processing.processor import OryxProcessor
from oryx.processing.shapes import Shape
from oryx.processing.tokenizers import byte_tokenizer

MEGA = 1e6
PROMPT = 20
GRID: Grid = (16, 16)
"""Frames of 256 x 256 pixels."""


def config(vision: tuple[int, ...], text: PretrainedConfig) -> OryxConfig:
    """``vision``: channels, hidden channels, blocks, heads and side of the position table of the tower."""
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "position_grid")
    return OryxConfig(vision_config=dict(zip(names, vision, strict=True)), text_config=text)


def text(kind: type[PretrainedConfig], *sizes: int) -> PretrainedConfig:
    """``sizes``: width, hidden width, layers, heads, key heads and vocabulary."""
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
    return kind(**dict(zip((*names, "vocab_size"), sizes, strict=True)), eos_token_id=None, bos_token_id=None)


SHAPES = {
    "20M": config((288, 1076, 6, 4, 64), text(Qwen2Config, 384, 2048, 4, 6, 2, 4000)),
    "120M": config((576, 2152, 12, 8, 64), text(LlamaConfig, 768, 2200, 8, 12, 4, 10000)),
    "400M": config((864, 3228, 18, 12, 128), text(Qwen2Config, 1024, 5408, 10, 16, 2, 20000)),
}
"""Models by about their number of weights; width and depth have the released models' proportions."""


@dataclass(frozen=True)
class Case:
    """What is asked about: a picture of ``size`` (height, width), or so many frames of :data:`GRID`.

    ``side``: of the compressed regions. ``chunk``: frames encoded at a time, as the evaluation of long videos does;
    None: all at once, as ``ask`` does.
    """

    size: tuple[int, int] | None = None
    frames: int = 0
    side: int = 1
    chunk: int | None = None

    @property
    def name(self) -> str:
        if self.size:
            return f"a picture of {self.size[1]}x{self.size[0]}"
        return f"{self.frames} frames at {self.side**2}x" + (f", {self.chunk} at a time" if self.chunk else "")

    @property
    def shown(self) -> Shown:
        return picture(self.size) if self.size else frames_of(self.frames, GRID, self.side)


CASES = (Case((480, 640)), Case(frames=16, side=2), Case(frames=12), Case(frames=32, side=4, chunk=8))


def allocated(work: Callable[[], object]) -> int:
    """The most bytes that torch's allocator had handed out for the CPU while ``work()`` ran, above those before it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        work()
    events = [one for one in record.profiler.kineto_results.events() if one.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda one: one.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def asking(model: OryxForConditionalGeneration, case: Case) -> Callable[[], object]:
    """What asks: as ``ask`` hands a question to ``generate``, or as a long video is encoded and read."""
    if case.chunk:
        return partial(released.ask, Bench("cpu"), model, case.frames, case.side, case.chunk)
    grids = [GRID] * case.frames
    if case.size:
        processor = OryxProcessor(byte_tokenizer())
        (prepared,) = processor.prepare(Image.new("RGB", case.size[::-1]))
        grids = [patch_grid(size, processor.patch) for size in prepared.sizes]
    layout = Layout.TWO_VIEW if case.size else Layout.VIDEO

    def ask() -> None:
        model.generate(
            input_ids=torch.tensor([[1] * (PROMPT // 2) + [-200] + [1] * (PROMPT // 2)]),
            attention_mask=torch.ones(1, PROMPT + 1, dtype=torch.long),
            pixel_patches=torch.randn(token_count(grids), 3 * model.config.vision_config.patch_size**2),
            image_grids=torch.tensor(grids),
            visual_spec=torch.tensor([[layout, len(grids), case.side]]),
            max_new_tokens=4, do_sample=False, pad_token_id=0, return_dict_in_generate=True, output_logits=True,
        )  # fmt: skip

    return ask


def measure(name: str, case: Case, dtype: torch.dtype, shapes: dict[str, OryxConfig] = SHAPES) -> dict:
    """One line, in bytes; for a fresh process, see :func:`benchmarks.measure.in_fresh_process`."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    own_pages = give_tensors_own_pages()
    model = OryxForConditionalGeneration(shapes[name]).to(dtype).eval()
    allocated(asking(model, Case(frames=1, chunk=case.chunk)))  # loads what libraries load on first use
    gc.collect()
    before = resident("VmRSS") if own_pages and reset_peak() else None
    beside = allocated(asking(model, case))
    prompt = len(released.QUESTION[0]) - 1 if case.chunk else PROMPT
    numbers = {torch.float32: "fp32", torch.bfloat16: "bf16"}[dtype]
    said = memory(Shape.of(model.config.to_dict(), name), case.shown, numbers, case.chunk, prompt)
    return {
        "shape": name,
        "case": case.name,
        "numbers": numbers,
        "tokens": case.shown.tokens + prompt,
        "weights": sum(p.numel() * p.element_size() for p in model.parameters()),
        "weights_said": said.weights,
        "beside": beside,
        "beside_said": max(said.encoding, said.reading),
        "resident": None if before is None else resident("VmHWM") - before,
        "widest": "tower" if said.encoding > said.reading else "language model",
    }


def table(found: list[dict]) -> str:
    """The results as Markdown, with what they were measured with."""
    lines = [
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, one thread. "
        "MB are 10⁶ bytes.",
        "",
        "| shape | numbers | weights, MB | question | tokens | widest at | beside the weights, MB | said "
        "| said / measured | resident, MB | whole peak, said / measured |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in found:
        shown = "unknown" if one["resident"] is None else f"{one['resident'] / MEGA:,.0f}"
        whole = (one["weights_said"] + one["beside_said"]) / (one["weights"] + one["beside"])
        lines.append(
            f"| {one['shape']} | {one['numbers']} | {one['weights'] / MEGA:,.0f} | {one['case']} | {one['tokens']:,} "
            f"| {one['widest']} | {one['beside'] / MEGA:,.1f} | {one['beside_said'] / MEGA:,.1f} "
            f"| {one['beside_said'] / one['beside']:.3f} | {shown} | {whole:.3f} |"
        )
    apart = max(abs(one["beside_said"] / one["beside"] - 1) for one in found)
    lines += ["", f"The largest distance beside the weights is {apart:.1%}; at most 10 % is the aim."]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> list[dict]:
    """Command line: measure and print."""
    parser = argparse.ArgumentParser(description="The memory of a question, measured and by arithmetic.")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", type=Path, help="a file whose block between the memory marks is renewed")
    parsed = parser.parse_args(arguments)
    names = parsed.shapes.split(",")
    check_known(names, SHAPES, "shape")
    lines = [(name, torch.float32) for name in names] + [(names[0], torch.bfloat16)]
    found = [in_fresh_process(measure, name, case, dtype) for name, dtype in lines for case in CASES]
    deliver(found, table(found), parsed.json, parsed.docs, "memory")
    return found


if __name__ == "__main__":
    main()
