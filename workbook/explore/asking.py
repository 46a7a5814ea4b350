"""One question at one setting: what the model saw, what it attends to, what it cost, what it answered."""

import time
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import pandas as pd
import torch

from oryx.eval.generate import ChatPrompt, read_prompts
from oryx.grids import Grid, patch_grid, token_count
from oryx.model.inspect import compressor_attention, encoder_attention
from oryx.processing.images import open_image, to_patches
from oryx.processing.processor import Answer
from oryx.processing.sizes import Partition, Resolution
from oryx.train.device import Compute
from oryx.train.inputs import PictureInputs
from workbook.data.items import Item

MOST_TOKENS = 24
"""Tokens of an answer."""


@dataclass(frozen=True)
class Asked:
    """``views``: (H, W, 3) uint8 as encoded; ``side``: k of the regions of k x k patches that became one token each."""

    model: Any
    views: tuple[np.ndarray, ...]
    side: int
    answer: Answer

    @property
    def grids(self) -> list[Grid]:
        """The patches of each view."""
        return [patch_grid(view.shape[:2], self.model.processor.patch) for view in self.views]

    @property
    def megabytes(self) -> float:
        """What is held for this visual while it is asked about: patches, encoder features, and keys and values of its
        tokens in every layer of the language model; weights and passing activations are not in it."""
        text, vision = self.model.config.get_text_config(), self.model.config.vision_config
        heads, size = text.num_attention_heads, next(self.model.parameters()).element_size()
        kept = 2 * getattr(text, "num_key_value_heads", heads) * (text.hidden_size // heads) * text.num_hidden_layers
        patches = token_count(self.grids) * (3 * vision.patch_size**2 * 4 + vision.hidden_size * size)
        return (patches + self.answer.visual_tokens * kept * size) / 1e6

    @property
    def numbers(self) -> dict[str, str]:
        """For a table beside the picture; time is from opening the file to the last token."""
        (height, width), (rows, columns) = self.views[0].shape[:2], self.grids[0]
        many = f"{len(self.views)} x " if len(self.views) > 1 else ""
        return {
            "size": f"{many}{width} x {height} px",
            "patches": f"{many}{columns} x {rows}",
            "compression": f"{self.side**2}x",
            "visual tokens": f"{self.answer.visual_tokens:,}",
            "time": f"{1000 * self.answer.seconds:,.0f} ms",
            "memory": f"{self.megabytes:,.2f} MB",
            "answer": self.answer.text or "(nothing)",
            "probability": f"{self.answer.probability:.2f}",
        }


def ask(
    model: Any, visual: Any, question: str, resolution: str | int | Resolution = "native", compression: int = 1
) -> Asked:
    """Ask ``model`` and keep what it saw; errors as for its own ``ask``."""
    options = {"resolution": resolution, "compression": compression}
    answer = model.ask(visual, question, **options, max_new_tokens=MOST_TOKENS)
    prepared = model.processor.prepare(visual, resolution, isqrt(compression))
    return Asked(model, tuple(view for one in prepared for view in one.maps), isqrt(compression), answer)


def ask_tiled(model: Any, picture: Any, question: str, side: int) -> Asked:
    """The same by dynamic partition: a thumbnail and tiles of ``side`` pixels, as LLaVA-NeXT does it."""
    began = time.perf_counter()
    picture, form = open_image(picture, model.processor.options.max_pixels), Partition(side)
    item = Item("tiled", "", "", picture, question, "", "", 0.0, 0.0)
    compute, prompts = Compute(model.device, "fp32"), ChatPrompt(model.processor)  # as the other ways of asking
    inputs = PictureInputs([item], form, model.processor.patch, model, compute=compute)
    ids = torch.tensor([model.processor.prompt_ids(question)])
    batch = inputs.batch([0], answers=False) | {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    prompted = read_prompts(model, batch)
    (answer,) = prompted.greedy(prompts.stops, MOST_TOKENS)
    (likelihood,) = prompted.likelihoods([answer])
    tokens, seconds = inputs.visual_tokens(0), time.perf_counter() - began
    views = tuple(np.asarray(square) for square in form.squares(picture))
    sizes = tuple(view.shape[:2] for view in views)
    return Asked(model, views, 1, Answer(prompts.text(answer), float(np.exp(likelihood)), tokens, seconds, 1, sizes))


def ways(model: Any, picture: Any, question: str) -> dict[str, Asked]:
    """One picture at its own size, at a small fixed area with its shape kept, squeezed to a square, and in tiles."""
    unit = (6 if model.processor.patch == 8 else 24) * model.processor.patch
    return {
        "native": ask(model, picture, question),
        "fixed area": ask(model, picture, question, unit),
        "fixed square": ask(model, picture, question, Resolution("squash", unit)),
        "tiled": ask_tiled(model, picture, question, unit),
    }


def table(asked: dict[str, Asked], truth: str | None = None) -> pd.DataFrame:
    """A line per way of asking; ``right``: whether the answer is ``truth``, if anybody knows it."""
    found = pd.DataFrame({name: one.numbers for name, one in asked.items()}).T
    if truth is not None:
        found["right"] = [one.answer.text == truth for one in asked.values()]
    return found


@torch.inference_mode()
def attention(model: Any, view: np.ndarray) -> dict[str, np.ndarray]:
    """Four maps (h, w) over the patches of a picture as encoded, (H, W, 3) uint8, by name.

    What the patch in the middle attends to in the encoder's first and last layer, mean over heads, adding up to 1; and
    each token's weight in its region over the uniform one (1: as much as pooling gives) at 4x and 16x.
    """
    weight, tower = next(model.vision_tower.parameters()), model.vision_tower
    patches, grid = to_patches(view, model.processor.patch)
    patches, middle = patches.to(weight.device, weight.dtype), grid[0] // 2 * grid[1] + grid[1] // 2
    first, *_, last = (weights for (weights,) in encoder_attention(tower, patches, [grid]))
    found = {f"encoder, {name} layer": layer.mean(0)[middle] for name, layer in (("first", first), ("last", last))}
    tokens = tower(patches, [grid]).tokens
    for side in (2, 4):
        found[f"compressor, {side**2}x"] = compressor_attention(model.compressor, tokens[None], grid, side)
    return {name: weights.view(grid).float().cpu().numpy() for name, weights in found.items()}
