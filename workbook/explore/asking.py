"""One question at one setting: what the model saw, what it cost, what it answered."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import pandas as pd
import torch

from oryx.errors import InputError
from oryx.eval.generate import read_prompts
from oryx.eval.prompts import ChatPrompt
from oryx.grids import Grid, compressed_grid, patch_grid, token_count
from oryx.processing.images import open_image
from oryx.processing.sizes import Partition, Resolution
from oryx.train.inputs import picture_inputs
from workbook.data.items import Item


@dataclass(frozen=True)
class Asked:
    """``views``: (H, W, 3) uint8 as encoded; ``grids``: their patches; ``kept``: their tokens after compression.

    ``tokens``: everything the projector emits. ``milliseconds``: from opening the file to the last token.
    ``megabytes``: what is held for this visual while it is asked about: patches, encoder features, and keys and values
    of its tokens in every layer of the language model; weights and passing activations are not in it.
    """

    views: tuple[np.ndarray, ...]
    grids: tuple[Grid, ...]
    kept: tuple[Grid, ...]
    side: int
    tokens: int
    milliseconds: float
    megabytes: float
    answer: str
    probability: float

    @property
    def numbers(self) -> dict[str, str]:
        """For a table beside the picture."""
        height, width = self.views[0].shape[:2]
        many = f"{len(self.views)} x " if len(self.views) > 1 else ""
        return {
            "size": f"{many}{width} x {height} px",
            "patches": f"{many}{self.grids[0][1]} x {self.grids[0][0]}",
            "compression": f"{self.side**2}x",
            "visual tokens": f"{self.tokens:,}",
            "time": f"{self.milliseconds:,.0f} ms",
            "memory": f"{self.megabytes:,.2f} MB",
            "answer": self.answer or "(nothing)",
            "probability": f"{self.probability:.2f}",
        }


def ask(
    model: Any,
    visual: Any,
    question: str,
    resolution: str | int | Resolution = "native",
    compression: int | str = "auto",
    max_new_tokens: int = 24,
) -> Asked:
    """Ask ``model`` and keep what it saw; errors as for :func:`oryx.processing.asking.ask`."""
    options = {"resolution": resolution, "compression": compression}
    answer = model.ask(visual, question, **options, max_new_tokens=max_new_tokens)
    side = None if compression == "auto" else isqrt(compression)
    prepared = model.processor.prepare(visual, resolution, side)
    views = tuple(one for visual in prepared for one in visual.maps)
    sides = [visual.side for visual in prepared for _ in visual.maps]
    grids = tuple(patch_grid(one.shape[:2], model.processor.patch) for one in views)
    return Asked(
        views=views,
        grids=grids,
        kept=tuple(compressed_grid(grid, side) for grid, side in zip(grids, sides, strict=True)),
        side=sides[0],
        tokens=answer.visual_tokens,
        milliseconds=1000 * answer.seconds,
        megabytes=held_megabytes(model, grids, answer.visual_tokens),
        answer=answer.text,
        probability=answer.probability,
    )


def held_megabytes(model: Any, grids: Sequence[Grid], tokens: int) -> float:
    """See :class:`Asked`; from the shapes and the model's own number format."""
    text, vision = model.config.get_text_config(), model.config.vision_config
    size = next(model.parameters()).element_size()
    heads = getattr(text, "num_key_value_heads", text.num_attention_heads)
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    patches = token_count(grids) * (3 * vision.patch_size**2 * 4 + vision.hidden_size * size)
    return (patches + tokens * text.num_hidden_layers * 2 * heads * width * size) / 1e6


def ask_tiled(model: Any, picture: Any, question: str, side: int, max_new_tokens: int = 24) -> Asked:
    """The same by dynamic partition: a thumbnail and tiles of ``side`` pixels, as LLaVA-NeXT does it.

    Raises InputError for a side that is not made of whole patches.
    """
    began, patch = time.perf_counter(), model.processor.patch
    if side % patch:
        raise InputError(f"tiles: expected a side that is a multiple of {patch} pixels, got {side}")
    picture, form = open_image(picture, model.processor.options.max_pixels), Partition(side)
    item = Item("tiled", "", "", picture, question, "", "", 0.0, 0.0)
    inputs, prompts = picture_inputs([item], form, patch, model), ChatPrompt(model.processor)
    batch = inputs.batch([0], answers=False)
    ids = torch.tensor([model.processor.prompt_ids(question)])
    prompted = read_prompts(model, batch | {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    (answer,) = prompted.greedy(prompts.stops, max_new_tokens)
    ends = [place for place, token in enumerate(answer) if token in prompts.stops]
    (likelihood,) = prompted.likelihoods([answer[: ends[0] + 1] if ends else answer])
    views = tuple(np.asarray(square) for square in form.squares(picture))
    grids = tuple(patch_grid(view.shape[:2], patch) for view in views)
    tokens = inputs.visual_tokens(0)
    return Asked(
        views=views,
        grids=grids,
        kept=inputs.views(0),
        side=1,
        tokens=tokens,
        milliseconds=1000 * (time.perf_counter() - began),
        megabytes=held_megabytes(model, grids, tokens),
        answer=prompts.text(answer),
        probability=float(np.exp(likelihood)),
    )


def ways(model: Any, picture: Any, question: str) -> dict[str, Asked]:
    """One picture at its own size, at a small fixed area with its shape kept, squeezed to a square, and in tiles."""
    unit = 6 * model.processor.patch if model.processor.patch == 8 else 24 * model.processor.patch
    return {
        "native": ask(model, picture, question, "native", 1),
        "fixed area": ask(model, picture, question, unit, 1),
        "fixed square": ask(model, picture, question, Resolution("squash", unit), 1),
        "tiled": ask_tiled(model, picture, question, unit),
    }


def ways_table(asked: dict[str, Asked], truth: str | None = None) -> pd.DataFrame:
    """A line per way; ``right``: whether the answer is ``truth``, if anybody knows it."""
    table = pd.DataFrame({name: one.numbers for name, one in asked.items()}).T.rename_axis("way")
    if truth is not None:
        table["right"] = ["yes" if one.answer == truth else "no" for one in asked.values()]
    return table


def compression_table(model: Any, visual: Any, question: str, ratios: Sequence[int] = (1, 4, 16)) -> pd.DataFrame:
    """One visual at every ratio."""
    asked = {f"{ratio}x": ask(model, visual, question, "native", ratio).numbers for ratio in ratios}
    return pd.DataFrame(asked).T.rename_axis("ratio")
