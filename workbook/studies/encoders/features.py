"""Features of pictures of any sizes from an encoder, without a language model, and numbers with their intervals."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from oryx.evidence.stats import contrast
from oryx.model.vit import OryxViT
from oryx.train.device import Compute
from oryx.train.inputs import ENCODE_BATCH, encoded, to_patches


def feature_maps(tower: OryxViT, pictures: Sequence[Image.Image]) -> list[Tensor]:
    """The features (h·w, C) of each picture (RGB, sides multiples of the patch), on the CPU.

    They are made where the tower is, in float32 whatever a run's precision: probes compare small differences.
    """
    on = Compute(tower.device, "fp32")
    cut = [to_patches(picture, tower.config.patch_size) for picture in pictures]
    # equal lengths side by side share one attention call
    order = sorted(range(len(cut)), key=lambda i: len(cut[i][0]))
    found: dict[int, Tensor] = {}
    for start in range(0, len(order), ENCODE_BATCH):
        chosen = order[start : start + ENCODE_BATCH]
        found |= zip(chosen, encoded(tower, [cut[i] for i in chosen], on), strict=True)
    return [found[i] for i in range(len(cut))]


def pooled(tower: OryxViT, pictures: Sequence[Image.Image]) -> Tensor:
    """The mean over the patches of each picture's features, (n, C)."""
    return torch.stack([features.mean(0) for features in feature_maps(tower, pictures)])


def mean_of(values: Sequence[float] | np.ndarray, pictures: Sequence | None = None) -> dict:
    """``value``, ``low``, ``high`` (95 %, t over pictures) and ``n``: the mean of ``values``.

    ``pictures``: to which picture each value belongs, if several belong to one; the formula is that of
    ``oryx.evidence.stats``.
    """
    values = np.asarray(values, dtype=float)
    frame = pd.DataFrame({"score": values, "item": range(len(values)), "arm": "", "task": "", "seed": 0, "error": None})
    frame["cluster"] = frame["item"] if pictures is None else list(pictures)
    found = contrast(frame, [("", [""], 1.0)])
    return {"value": found.value, "low": found.low, "high": found.high, "n": len(values)}
