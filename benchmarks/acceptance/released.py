"""The 7B shape with random weights, bfloat16: memory and seconds to the first token of long videos, and arithmetic."""

import time
from dataclasses import dataclass

import torch
from accelerate import init_empty_weights
from torch import nn
from transformers import DynamicCache, Qwen2Config

from benchmarks.acceptance.bench import GIGA, Bench, drift
from oryx.eval.features import FrameTokens
from oryx.grids import compressed_grid, token_count
from oryx.model.compressor import compress_maps
from oryx.model.config import OryxConfig
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.fit import SHARE, TERA, frames_of, memory, seconds
from oryx.processing.shapes import Shape

GRID, CHUNK = (16, 16), 64
"""Frames of 256 x 256 pixels, encoded so many at a time."""

FRAMES, FEW_FRAMES, SIDES = (64, 256, 1024, 1600), (8, 16), (4, 2)
"""Region sides k: 16x and 4x."""

QUESTION = [[10, -200, 11]]
TEXT = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "max_position_embeddings": 131072,
    "rope_theta": 1e6,
}
TINY_TEXT = TEXT | {"hidden_size": 56, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 14}
TINY_TEXT |= {"num_key_value_heads": 2, "vocab_size": 300}
TINY_VISION = {"hidden_size": 144, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def random_model(bench: Bench) -> OryxForConditionalGeneration:
    """The model, its random weights made where they stay: 16 GB of them are too many to send."""
    config = OryxConfig(
        text_config=Qwen2Config(**(TINY_TEXT if bench.tiny else TEXT)),
        vision_config=TINY_VISION | {"position_grid": 16} if bench.tiny else {},
    )
    with init_empty_weights(include_buffers=False):
        model = OryxForConditionalGeneration(config)
    for name, parameter in list(model.named_parameters()):
        owner, _, last = name.rpartition(".")
        made = torch.empty(parameter.shape, dtype=torch.bfloat16, device=bench.device).normal_(0, 0.02)
        scale_of_norm = "norm" in name and last == "weight"
        weights = nn.Parameter(made + 1 if scale_of_norm else made, requires_grad=False)
        setattr(model.get_submodule(owner), last, weights)
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(bench.device))  # rotary frequencies stay in float32
    return model.eval()


@dataclass(frozen=True)
class Cost:
    """Seconds and gigabytes of one question, measured or predicted."""

    encode: float
    read: float
    memory: float


def predicted(bench: Bench, model: OryxForConditionalGeneration, frames: int, side: int) -> Cost:
    """What :mod:`oryx.processing.fit` says of it, with the matrix peak that was measured, all of it used."""
    shape = Shape.of(model.config.to_dict(), "model")
    shown = frames_of(frames, GRID, side)
    tera = (bench.peak_flops or float("nan")) / SHARE / TERA
    held = memory(shape, shown, chunk=CHUNK, prompt=len(QUESTION[0]) - 1)
    return Cost(*seconds(shape, shown, tera=tera), held.peak / GIGA)


def encoded(
    bench: Bench, model: OryxForConditionalGeneration, frames: int, side: int, chunk: int = CHUNK
) -> FrameTokens:
    """Noise as frames, through tower and compressor in chunks, as :class:`oryx.eval.features.FrameEncoder` does it."""
    generator = torch.Generator(bench.device).manual_seed(0)
    vision, grid = model.config.vision_config, compressed_grid(GRID, side)

    def encode(count: int) -> torch.Tensor:
        shape = (count * token_count([GRID]), 3 * vision.patch_size**2)
        patches = torch.randn(shape, device=bench.device, generator=generator)
        features = model.vision_tower(patches, [GRID] * count).tokens
        return compress_maps(model.compressor, features, [GRID] * count, [side] * count)[0].unflatten(0, (count, -1))

    shape = (frames, token_count([grid]), vision.hidden_size)
    tokens = torch.empty(shape, device=bench.device, dtype=model.dtype)
    for first in range(0, frames, chunk):
        tokens[first : first + chunk] = encode(min(chunk, frames - first))
    return FrameTokens(tokens, grid)


@torch.inference_mode()
def ask(bench: Bench, model: OryxForConditionalGeneration, frames: int, side: int, chunk: int = CHUNK) -> dict:
    """Encode noise as frames, read the video with its question, and go on for eight tokens."""
    with bench.peak_memory() as peak:
        bench.wait()
        began = time.perf_counter()
        video = encoded(bench, model, frames, side, chunk)
        bench.wait()
        encoding = time.perf_counter() - began
        embeds = model.expand(torch.tensor(QUESTION, device=bench.device), **video.inputs()).inputs_embeds
        cache = DynamicCache(config=model.language_model.config)
        logits = model(inputs_embeds=embeds, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
        token = logits.argmax(-1)
        bench.wait()
        first_token = time.perf_counter()
        for _ in range(8):
            out = model.language_model(input_ids=token[:, None], past_key_values=cache, use_cache=True)
            token = out.logits[:, -1].argmax(-1)
        bench.wait()
        step = (time.perf_counter() - first_token) / 8
        measured = Cost(encoding, first_token - began - encoding, peak())
    return {"cost": measured, "step": step, "logits": logits, "tokens": embeds.shape[1]}


@torch.no_grad()
def packed_and_padded(bench: Bench, model: OryxForConditionalGeneration) -> None:
    """The loss of a batch of two lengths, without padding and with it."""
    generator = torch.Generator(bench.device).manual_seed(1)
    ids = torch.randint(12, 200, (2, 40), device=bench.device, generator=generator)
    ids[:, 1], mask = -200, torch.ones(2, 40, dtype=torch.long, device=bench.device)
    mask[1, 25:] = 0
    unseen = (ids < 0) | (mask == 0) | (torch.arange(40, device=bench.device) < 20)
    tokens = torch.randn(8, GRID[0] * GRID[1] // 16, model.config.vision_config.hidden_size, generator=generator,
                         device=bench.device, dtype=torch.bfloat16)  # fmt: skip
    one = FrameTokens(tokens[:4], compressed_grid(GRID, 4)).inputs()
    visual = {name: torch.cat([value, value]) for name, value in one.items()}
    batch = {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(unseen, -100), **visual}
    packed, padded = float(model(**batch, loss_only=True).loss), float(model(**batch).loss)
    found = f"{packed:.4f} and {padded:.4f} (2 % apart at most)"
    bench.check("7B shape: loss, packed and padded", abs(packed - padded) < 0.02 * abs(padded), found)


def run(bench: Bench) -> None:
    """Every length and ratio once, after a short video that warms the device up."""
    model = random_model(bench)
    count = sum(p.numel() for p in model.parameters())
    bench.check("7B shape", None, f"{count / GIGA:.2f} billion weights, {2 * count / GIGA:.1f} GB in bfloat16")
    packed_and_padded(bench, model)
    lengths = FEW_FRAMES if bench.tiny else FRAMES
    for side in SIDES:
        again = ask(bench, model, lengths[0], side)["logits"]
        for frames in lengths:
            found = ask(bench, model, frames, side)
            cost, name = found["cost"], f"7B shape, {frames} frames at {side * side}x"
            expected = predicted(bench, model, frames, side)
            finite = bool(torch.isfinite(found["logits"]).all())
            bench.check(
                name, finite,
                f"{found['tokens']:,} tokens; encoded in {cost.encode:.2f} s (by arithmetic {expected.encode:.2f}), "
                f"first token {cost.read:.2f} s later ({expected.read:.2f}), {1e3 * found['step']:.0f} ms each more; "
                f"{cost.memory:.1f} GB ({expected.memory:.1f})",
                tokens=found["tokens"], measured=vars(cost), predicted=vars(expected), step=found["step"],
            )  # fmt: skip
            share = cost.memory / expected.memory
            found_memory = f"{cost.memory:.2f} GB, {share:.3f} of what was predicted (0.9 to 1.1)"
            bench.speed(f"{name}: memory", 0.9 <= share <= 1.1, found_memory)
            if frames == lengths[0]:
                same = drift(found["logits"], again)
                bench.check(f"{name}: the same again", same < 1e-2, f"drift {same:.1e} (< 1e-2)")
