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
from oryx.grids import Grid, compressed_grid, patch_grid, token_count
from oryx.layout import Layout, visual_token_count
from oryx.processing.chat import stop_ids
from oryx.processing.images import open_image
from oryx.processing.partition import Partition
from oryx.processing.resolution import Resolution
from oryx.train.device import compute
from oryx.train.inputs import encoded, joined, to_patches


@dataclass(frozen=True)
class Look:
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


def look(
    model: Any,
    visual: Any,
    question: str,
    resolution: str | int = "native",
    compression: int | str = "auto",
    max_new_tokens: int = 24,
) -> Look:
    """Ask ``model`` and keep what it saw; errors as for :func:`oryx.processing.asking.ask`."""
    options = {"resolution": resolution, "compression": compression}
    answer = model.ask(visual, question, **options, max_new_tokens=max_new_tokens)
    side = None if compression == "auto" else isqrt(compression)
    prepared = model.processor.prepare(visual, resolution, side)
    views = tuple(one for visual in prepared for one in visual.maps)
    grids = tuple(patch_grid(one.shape[:2], model.processor.patch) for one in views)
    sides = [visual.side for visual in prepared for _ in visual.maps]
    return Look(
        views,
        grids,
        tuple(compressed_grid(grid, side) for grid, side in zip(grids, sides, strict=True)),
        sides[0],
        answer.visual_tokens,
        1000 * answer.seconds,
        held_megabytes(model, grids, answer.visual_tokens),
        answer.text,
        answer.probability,
    )


def held_megabytes(model: Any, grids: Sequence[Grid], tokens: int) -> float:
    """See :class:`Look`; from the shapes and the model's own number format."""
    text, vision = model.config.get_text_config(), model.config.vision_config
    size = next(model.parameters()).element_size()
    heads = getattr(text, "num_key_value_heads", text.num_attention_heads)
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    patches = token_count(grids) * (3 * vision.patch_size**2 * 4 + vision.hidden_size * size)
    return (patches + tokens * text.num_hidden_layers * 2 * heads * width * size) / 1e6


@torch.no_grad()
def tiled_look(model: Any, picture: Any, question: str, side: int, max_new_tokens: int = 24) -> Look:
    """The same by dynamic partition: a thumbnail and tiles of ``side`` pixels, as LLaVA-NeXT does it.

    Raises InputError for a side that is not made of whole patches.
    """
    began, patch = time.perf_counter(), model.processor.patch
    if side % patch:
        raise InputError(f"tiles: expected a side that is a multiple of {patch} pixels, got {side}")
    picture, form = open_image(picture, model.processor.options.max_pixels), Partition(side)
    size, squares = (picture.height, picture.width), form.squares(picture)
    thumbnail, *tiles = encoded(model.vision_tower, [to_patches(square, patch) for square in squares], compute())
    kept, cells = form.cells(size, patch), side // patch
    features = torch.cat([thumbnail, joined(tiles, form.canvas(size), cells, kept)]).to(model.device).float()
    grids = ((cells, cells), kept[2:])
    ids = model.processor.prompt_ids(question)
    stops = stop_ids(model.processor.tokenizer, model.processor.prompt)
    out = model.generate(
        input_ids=torch.tensor([ids], device=model.device),
        vision_features=features,
        image_grids=torch.tensor(grids),
        visual_spec=torch.tensor([[Layout.TWO_VIEW, 2, 1]]),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        repetition_penalty=1.0,
        eos_token_id=stops,
        pad_token_id=stops[0],
        return_dict_in_generate=True,
        output_logits=True,
    )
    likelihood = sum(
        float(logits[0].float().log_softmax(-1)[i]) for logits, i in zip(out.logits, out.sequences[0], strict=True)
    )
    tokens = visual_token_count(Layout.TWO_VIEW, grids)
    encoded_grids = [(cells, cells)] * len(squares)
    return Look(
        tuple(np.asarray(square) for square in squares),
        tuple(encoded_grids),
        grids,
        1,
        tokens,
        1000 * (time.perf_counter() - began),
        held_megabytes(model, encoded_grids, tokens),
        model.processor.tokenizer.decode(out.sequences[0], skip_special_tokens=True).strip(),
        float(np.exp(likelihood)),
    )


def ways(model: Any, picture: Any, question: str) -> dict[str, Look]:
    """One picture at its own size, at a small fixed area with its shape kept, squeezed to a square, and in tiles."""
    unit = 6 * model.processor.patch if model.processor.patch == 8 else 24 * model.processor.patch
    return {
        "native": look(model, picture, question, "native", 1),
        "fixed area": look(model, picture, question, unit, 1),
        "fixed square": look(model, picture, question, Resolution("squash", unit), 1),
        "tiled": tiled_look(model, picture, question, unit),
    }


def ways_table(looks: dict[str, Look], truth: str | None = None) -> pd.DataFrame:
    """A line per way; ``right``: whether the answer is ``truth``, if anybody knows it."""
    lines = [{"way": name, **one.numbers} for name, one in looks.items()]
    if truth is not None:
        for line, one in zip(lines, looks.values(), strict=True):
            line["right"] = "yes" if one.answer == truth else "no"
    return pd.DataFrame(lines).set_index("way")


def compression_table(model: Any, visual: Any, question: str, ratios: Sequence[int] = (1, 4, 16)) -> pd.DataFrame:
    """One visual at every ratio."""
    return pd.DataFrame(
        [{"ratio": f"{ratio}x", **look(model, visual, question, "native", ratio).numbers} for ratio in ratios]
    ).set_index("ratio")
