"""Features of pictures of any sizes from an encoder, linear maps fitted on them, and numbers with their intervals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from oryx.evidence.stats import contrast
from oryx.model.vit import OryxViT
from oryx.processing.images import to_patches
from oryx.train.device import Compute
from oryx.train.inputs import ENCODE_BATCH, encoded

PENALTIES = tuple(10.0**power for power in range(-5, 3))
"""Tried, as multiples of the mean variance of the inputs."""


def feature_maps(tower: OryxViT, pictures: Sequence[Image.Image]) -> Iterator[Tensor]:
    """The features (h·w, C) of each picture (RGB, sides multiples of the patch), on the CPU, a batch at a time.

    They are made where the tower is, in float32 whatever a run's precision: probes compare small differences.
    """
    on = Compute(tower.device, "fp32")
    for start in range(0, len(pictures), ENCODE_BATCH):
        batch = pictures[start : start + ENCODE_BATCH]
        yield from encoded(tower, [to_patches(picture, tower.config.patch_size) for picture in batch], on)


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


def share_of(right: int, count: int) -> dict:
    """As :func:`mean_of`, with Wilson's interval: ``right`` of ``count`` that choose one of ``count`` each."""
    from scipy.stats import binomtest  # here, not above: slow to import

    low, high = binomtest(right, count).proportion_ci(method="wilson")
    return {"value": right / count, "low": low, "high": high, "n": count, "chance": 1 / count}


@dataclass(frozen=True)
class LinearMap:
    """``y = (x - x_mean) @ weight + y_mean``; ``penalty`` is the chosen one of PENALTIES."""

    x_mean: Tensor
    y_mean: Tensor
    weight: Tensor
    penalty: float

    def __call__(self, x: Tensor) -> Tensor:
        return (x.double() - self.x_mean) @ self.weight + self.y_mean


def fit_ridge(x: Tensor, y: Tensor) -> LinearMap:
    """The ridge regression of ``y`` (n, k) on ``x`` (n, d) whose penalty has the least leave-one-out error.

    The leave-one-out residual of row i is its residual over ``1 - h[i]``, h the diagonal of the hat matrix, so all
    penalties cost one singular value decomposition.
    """
    x_mean, y_mean = x.double().mean(0), y.double().mean(0)
    centred, wanted = x.double() - x_mean, y.double() - y_mean
    u, s, v = torch.linalg.svd(centred, full_matrices=False)
    seen, best = u.T @ wanted, None
    for penalty in PENALTIES:
        kept = s.square() / (s.square() + penalty * s.square().mean())
        left_out = (wanted - u @ (kept[:, None] * seen)) / (1 - (u.square() @ kept + 1 / len(x)))[:, None]
        error = float(left_out.square().mean())
        if best is None or error < best[0]:
            best = (error, penalty, v.T @ ((kept / s.clamp(min=1e-12))[:, None] * seen))
    return LinearMap(x_mean, y_mean, best[2], best[1])
