"""Steps of ``sft`` at the 7B shape with random weights by the ordinary loop: how much of the device computes the model.

Weights, gradients and AdamW's moments are float32, matrix products bfloat16, activations are computed again in the
backward pass. The operations are those of the model alone: one forward pass of the frozen tower, three of everything
else; what is computed again does not count.
"""

from statistics import median
from typing import Any

import torch

from benchmarks.acceptance.bench import Bench, forget_devices
from benchmarks.acceptance.released import random_model
from benchmarks.native_encoding import PEAK_FLOPS
from oryx.grids import Grid, image_token_count, token_count
from oryx.layout import IGNORED_LABEL, Layout
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.shapes import Shape
from oryx.train.device import compute
from oryx.train.loop import StepBatches, TrainPlan, answer_loss, train
from oryx.train.stages import STAGES

LEAST = 0.35
GRIDS: tuple[Grid, ...] = ((32, 32),) * 6 + ((48, 40),) * 2 + ((24, 32),) * 2 + ((16, 24),) * 2
TINY_GRIDS: tuple[Grid, ...] = ((2, 3), (4, 4))
TEXT, ANSWER, STEPS = 96, 32, 8
"""Text of a sample with its answer, the answer's tokens, steps of which the first two are not counted."""

BYTES = 17
"""Of a trained weight: itself, its gradient and two moments in float32, and a little for what is cast."""

SPARE = 12e9
"""Bytes for activations and the frozen tower."""


def shortened(bench: Bench, model: OryxForConditionalGeneration) -> OryxForConditionalGeneration:
    """``model`` in float32, with as many layers of its language model as the device can train."""
    layers = model.language_model.model.layers
    if bench.device == "cuda":
        whole = sum(p.numel() for p in model.language_model.parameters())
        one = sum(p.numel() for p in layers[0].parameters())
        room = torch.cuda.mem_get_info()[0] + torch.cuda.memory_allocated() - SPARE
        fitting = int((room / BYTES - (whole - len(layers) * one)) / one)
        model.language_model.model.layers = layers[: max(1, min(len(layers), fitting))]
        model.config.text_config.num_hidden_layers = len(model.language_model.model.layers)
    return model.float()


def operations(model: OryxForConditionalGeneration, grids: tuple[Grid, ...]) -> tuple[float, float]:
    """Of one step in linear layers, two a weight and token, and in attention, four a channel and pair of tokens.

    Where attention is causal half of the pairs count. The patch embedding and the compressor's attention are left out.
    """
    shape, patches = Shape.of(model.config.to_dict(), "model"), token_count(grids)
    linear = {part: sum(n * a * b for n, a, b in layers) for part, (layers, _) in shape.parts().items()}
    tower, text, lengths = shape.tower, shape.text, [length(grid) for grid in grids]
    pairs = 4 * tower["num_hidden_layers"] * tower["hidden_size"] * sum((h * w) ** 2 for h, w in grids)
    causal = 2 * text["num_hidden_layers"] * text["num_attention_heads"] * text["head_dim"] * sum(n**2 for n in lengths)
    head = 2 * text["vocab_size"] * text["hidden_size"] * ANSWER * len(grids)
    trained = 2 * (linear["language model"] * sum(lengths) + linear["projector"] * patches) + head
    return 2 * linear["tower"] * patches + 3 * trained, pairs + 3 * causal


def length(grid: Grid) -> int:
    """Tokens of a sample as the language model reads it."""
    return image_token_count(None, grid) + TEXT - 1


def noise(pixels: int, grids: tuple[Grid, ...]) -> dict[str, Any]:
    """A batch of noise: a picture of each grid, a question, an answer."""
    ids = torch.randint(12, 200, (len(grids), TEXT), generator=torch.Generator().manual_seed(0))
    ids[:, 1] = -200
    labels = ids.clone()
    labels[:, : TEXT - ANSWER] = IGNORED_LABEL
    return {
        "input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels,
        "pixel_patches": torch.randn(token_count(grids), pixels), "image_grids": torch.tensor(grids),
        "visual_spec": torch.tensor([[Layout.ONE_VIEW, 1, 1]] * len(grids)), "tokens": sum(map(length, grids)),
    }  # fmt: skip


def run(bench: Bench) -> None:
    """Model operations a second of a step, as a share of the data sheet's peak and of the measured one."""
    forget_devices()
    grids, steps, points = (TINY_GRIDS, 4, []) if bench.tiny else (GRIDS, STEPS, [])
    with bench.peak_memory() as peak:
        model = shortened(bench, random_model(bench))
        STAGES["sft"].prepare(model)
        model.gradient_checkpointing_enable()
        batch = noise(3 * model.config.vision_config.patch_size**2, grids)
        batches = StepBatches(lambda step: grids, lambda samples: batch, steps, lambda grid: ANSWER)
        plan = TrainPlan(steps, 2e-5, log_every=1)
        train(model, batches, answer_loss, plan, compute=compute("bf16"), watch=points.append)
        held = peak()
    tokens = sum(map(length, grids))
    speed = median(point["tokens_per_second"] for point in points[2:])
    rate = sum(operations(model, grids)) * speed / tokens
    losses = [point["loss"] for point in points]
    layers = model.config.text_config.num_hidden_layers
    bench.check(
        "7B shape: steps of sft", bool(torch.tensor(losses).isfinite().all()),
        f"{layers} layers of the language model, {tokens:,} tokens a step, {speed:,.0f} tokens/s, {held:.1f} GB",
        losses=losses,
    )  # fmt: skip
    share = rate / PEAK_FLOPS
    bench.speed(
        "7B shape: model FLOPs utilisation of sft", share >= LEAST,
        f"{rate / 1e12:.3g} TFLOP/s, {share:.1%} of {PEAK_FLOPS / 1e12:.0f} (>= {LEAST:.0%}), "
        f"{bench.share(rate):.1%} of the measured matrix peak",
        share=share, tokens_per_second=speed, layers=layers,
    )  # fmt: skip
