"""One question at one setting: what the model saw, what it attends to, what it cost, what it answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import pandas as pd
import torch

from oryx.grids import Grid, patch_grid, token_count
from oryx.model.inspect import compressor_attention, encoder_attention
from oryx.processing.images import to_patches
from oryx.processing.processor import Answer
from oryx.processing.sizes import Partition, Resolution

MOST_TOKENS = 24
"""Tokens of an answer."""


@dataclass(frozen=True)
class Asked:
    """``views``: (H, W, 3) uint8 as encoded; ``side``: k of the regions of k x k patches that became one token each;
    ``truth``: the true answer, empty where nobody knows it."""

    model: Any
    views: tuple[np.ndarray, ...]
    side: int
    answer: Answer
    truth: str = ""

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
    def marked(self) -> str:
        """The answer in quotes, with a mark for right or wrong and then the true one, where that is known."""
        said, truth = f"“{self.answer.text}”", self.truth
        return said if not truth else f"{said} ✓" if self.answer.text == truth else f"{said} ✗, true: “{truth}”"

    @property
    def numbers(self) -> dict[str, str]:
        """For a table beside the picture; time is from opening the file to the last token."""
        (height, width), (rows, columns) = self.views[0].shape[:2], self.grids[0]
        many = f"{len(self.views)} x " if len(self.views) > 1 else ""
        return {
            "size": f"{many}{width} x {height} px",
            "patches": f"{many}{columns} x {rows}",
            "visual tokens": f"{self.answer.visual_tokens:,}",
            "time": f"{1000 * self.answer.seconds:,.0f} ms",
            "memory": f"{self.megabytes:,.2f} MB",
            "answer": self.marked,
            "probability": f"{self.answer.probability:.2f}",
        }


def ask(model: Any, visual: Any, question: str, resolution: Any = "native", compression: int = 1, truth="") -> Asked:
    """Ask ``model`` and keep what it saw; arguments and errors as for its own ``ask``."""
    how = {"resolution": resolution, "compression": compression, "max_new_tokens": MOST_TOKENS}
    answer, side = model.ask(visual, question, **how), isqrt(compression)
    views = (view for one in model.processor.prepare(visual, resolution, side) for view in one.maps)
    return Asked(model, tuple(views), side, answer, truth)


def ways(model: Any, picture: Any, question: str, truth: str = "") -> dict[str, Asked]:
    """One picture at its own size, at a small fixed area with its shape kept, squeezed to a square, and in tiles."""
    unit = (6 if model.processor.patch == 8 else 24) * model.processor.patch
    return {
        "native": ask(model, picture, question, truth=truth),
        "fixed area": ask(model, picture, question, unit, truth=truth),
        "fixed square": ask(model, picture, question, Resolution("squash", unit), truth=truth),
        "tiled": ask(model, picture, question, Partition(unit), truth=truth),
    }


def table(asked: Mapping[str, Asked]) -> pd.DataFrame:
    """The numbers of each way of asking, a line each."""
    return pd.DataFrame({name: one.numbers for name, one in asked.items()}).T.infer_objects()


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
