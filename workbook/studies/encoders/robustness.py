"""Two probes of what an encoder does as a picture changes size and shape: how alike features stay, how far it attends.

The pictures are held-out icons, clip art and photographs, each of another title: they can be made out at every size
shown here, which text cannot.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from oryx.grids import Grid, token_count
from oryx.model.inspect import encoder_attention
from oryx.model.vit import OryxViT
from oryx.processing.images import to_patches
from workbook.data.items import draw_object, generator
from workbook.stages.recipes import Recipe
from workbook.studies.encoders.features import mean_of, pooled, share_of

TASKS = ("icon-title", "clipart-title", "photo")
AREAS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Areas in S²; sides are rounded to whole patches and records hold the area that results."""

ASPECTS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
DISTANCE_AREAS = (0.25, 1.0, 4.0)
DISTANCE_SHARE = 8
"""Attention weights are large and differ little between pictures: one picture in so many is enough."""


def object_pictures(r: Recipe, split: str, draws: int) -> list[Image.Image]:
    """Squares of 2S x 2S, from ``draws`` draws: objects of different titles, so there may be fewer."""
    found: dict[str, Image.Image] = {}
    for i in range(draws):
        drawn = draw_object(generator("look", split, "object", i), TASKS[i % 3], (2 * r.side, 2 * r.side), split)
        found.setdefault(drawn.concept, drawn.picture)
    return list(found.values())


def area_grids(cells: int, areas: Sequence[float] = AREAS) -> list[Grid]:
    """Square grids of about ``area`` times ``cells``² patches each."""
    sides = [max(1, round(cells * area**0.5)) for area in areas]
    return [(side, side) for side in sides]


def aspect_grids(cells: int) -> list[Grid]:
    """Grids of about ``cells``² patches, each about ASPECTS times as wide as high; equal ones come once."""
    found = []
    for aspect in ASPECTS:
        shapes = ((rows, round(rows * aspect)) for rows in range(1, cells + 1))
        found.append(min(shapes, key=lambda grid: abs(np.log(grid[0] * grid[1] / cells**2))))
    return list(dict.fromkeys(found))


def resized(picture: Image.Image, grid: Grid, patch: int) -> Image.Image:
    """The picture stretched to ``grid`` (rows, columns) patches."""
    return picture.resize((grid[1] * patch, grid[0] * patch), Image.Resampling.BICUBIC)


def robustness(towers: Mapping[str, OryxViT], r: Recipe, split: str, items: int) -> list[dict]:
    """How much pooled features of a picture at another size or shape resemble those at S x S, the trained size.

    Two probes over areas and two over aspect ratios (stretched at about the same area; every second picture upright):
    ``similarity``, the cosine, and ``match``, the share of pictures whose nearest neighbour at S x S is themselves. The
    mean feature at S x S is taken off first: all pictures share it, and with it every cosine is near 1. It is the same
    mean at all sizes, so a shift of all features counts as a change. ``floor``: the cosine of different pictures.
    High similarity alone is no merit: an encoder that keeps little of a picture is steady easily; hence the match.
    """
    cells, pictures = r.side // r.patch, object_pictures(r, split, items)
    records = []
    for name, tower in towers.items():
        trained = pooled(tower, [resized(p, (cells, cells), r.patch) for p in pictures])
        centre = trained.mean(0)
        trained = torch.nn.functional.normalize(trained - centre, dim=-1)
        for kind, grids in (("area", area_grids(cells)), ("aspect", aspect_grids(cells))):
            for grid in grids:
                shapes = [grid[::-1] if i % 2 else grid for i in range(len(pictures))]
                shown = [resized(p, shape, r.patch) for p, shape in zip(pictures, shapes, strict=True)]
                cosine = torch.nn.functional.normalize(pooled(tower, shown) - centre, dim=-1) @ trained.T
                own, count = cosine.diagonal(), len(cosine)
                floor = float((cosine.sum() - own.sum()) / (count * (count - 1)))
                right = int((cosine.argmax(1) == torch.arange(count)).sum())
                x = token_count([grid]) / cells**2 if kind == "area" else grid[1] / grid[0]
                found = {f"similarity by {kind}": {**mean_of(own.numpy()), "floor": floor}}
                found |= {f"match by {kind}": share_of(right, count)}
                described = {"encoder": name, "x": x, "grid": list(grid)}
                records += [{"probe": probe, **described, **values} for probe, values in found.items()]
    return records


def patch_distances(grid: Grid) -> Tensor:
    """(n, n) straight distances between the centres of all patches of a grid, in patches."""
    rows, columns = (axis.flatten() for axis in np.mgrid[: grid[0], : grid[1]])
    places = torch.from_numpy(np.stack([rows, columns], 1)).float()
    return torch.cdist(places, places)


@torch.inference_mode()
def attention_distance(towers: Mapping[str, OryxViT], r: Recipe, split: str, items: int) -> list[dict]:
    """Mean distance in patches from a query to what it attends to, weighted by attention, over heads and queries.

    Records: ``x`` the layer (from 1), ``grid``, ``uniform`` the distance if all patches were attended to alike.
    """
    pictures = object_pictures(r, split, max(6, items // DISTANCE_SHARE))
    records = []
    for grid in area_grids(r.side // r.patch, DISTANCE_AREAS):
        distances, grids = patch_distances(grid), [grid] * len(pictures)
        patches = torch.cat([to_patches(resized(p, grid, r.patch), r.patch)[0] for p in pictures])
        for name, tower in towers.items():
            there = distances.to(tower.device)
            layers = encoder_attention(tower, patches.to(tower.device), grids)
            for number, weights in enumerate(layers, 1):
                means = [float((w * there).sum(-1).mean()) for w in weights]
                found = {"encoder": name, "x": number, "grid": list(grid), **mean_of(means)}
                records.append({"probe": "attention distance", **found, "uniform": float(distances.mean())})
    return records
