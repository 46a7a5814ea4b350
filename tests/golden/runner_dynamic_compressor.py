"""Dynamic compressor: maps compressed by the side their modality stands for."""

import math
from collections.abc import Iterator
from functools import lru_cache

import torch

from oryx.errors import InputError
from oryx.grids import compressed_grid
from oryx.model.checkpoint_files import fill
from oryx.model.compressor import DynamicCompressor, regions
from oryx.model.config import OryxConfig

from .harness import GoldenCase, GoldenFile, assert_close, assert_same, seeded
from .reference_forms import MODALITIES

SECTIONS = ("cases",)


def accepts(document: dict) -> bool:
    return "ratios" in document.get("config", {})


def cases(file: GoldenFile) -> Iterator[tuple[str, dict]]:
    for fields in file.document["cases"]:
        yield fields["name"], fields


@lru_cache(maxsize=2)
def compressor(file: GoldenFile) -> DynamicCompressor:
    config = file.document["config"]
    vision = {"hidden_size": config["channels"], "num_attention_heads": 1}
    module = DynamicCompressor(OryxConfig(vision_config=vision, compressor_dim=config["projection_dim"]))
    fill(module, file.weights(), str(file.path))
    return module.eval()


@torch.no_grad()
def run(case: GoldenCase):
    module = compressor(case.file)
    grid = case.fields.get("grid_hw")
    grid = None if grid is None else tuple(grid)
    if case.reference_error:
        check_defined_where_reference_fails(case, module, grid)
        return
    _, side = MODALITIES[case.fields["modality"]]
    assert side**2 == case.file.document["config"]["ratios"][case.fields["modality"]]
    features, tolerance = case.tensor("features"), case.file.tolerance()
    ours, new_grid = module(features, grid, side)
    assert_close(ours, case.tensor("compressed"), "compressed", **tolerance)
    if "new_grid_hw" in case.fields:
        assert_same(new_grid, tuple(case.fields["new_grid_hw"]), "new grid")
    if side == 1:
        assert torch.equal(ours, 2 * features), "at side 1 the output must be exactly twice the input"
    values, _ = regions(features, grid or (math.isqrt(features.shape[1]),) * 2, side)
    if case.has("query"):
        assert_close(module.vlm_query_projector(values.mean(2)), case.tensor("query"), "query", **tolerance)
    if case.has("key"):
        assert_close(module.vlm_key_projector(values), case.tensor("key"), "key", **tolerance)


def check_defined_where_reference_fails(case: GoldenCase, module: DynamicCompressor, grid: tuple[int, int] | None):
    """Our own clear error, or the documented result: border regions go over the positions that exist."""
    if case.fields["modality"] not in MODALITIES:  # an unknown name there; here the caller gives the side by number
        return
    (_, side), tokens = (
        MODALITIES[case.fields["modality"]],
        math.prod(grid) if grid else case.fields["tokens_per_frame"],
    )
    shape = (case.fields.get("frames", 1), tokens, case.file.document["config"]["channels"])
    features = case.tensor("features") if case.has("features") else seeded(*shape)
    try:
        ours, new_grid = module(features, grid, side)
    except InputError as error:
        assert str(error), "an error without a message"
        return
    grid = grid or (math.isqrt(tokens),) * 2
    assert new_grid == compressed_grid(grid, side)
    assert_close(ours, region_by_region(module, features, grid, side), "border regions", **case.file.tolerance())


def region_by_region(module: DynamicCompressor, features: torch.Tensor, grid: tuple[int, int], side: int):
    """The documented rule written as a loop."""
    maps = features.reshape(features.shape[0], *grid, -1)
    out = []
    for top in range(0, grid[0], side):
        for left in range(0, grid[1], side):
            values = maps[:, top : top + side, left : left + side].flatten(1, 2)
            pooled = values.mean(1, keepdim=True)
            logits = module.vlm_query_projector(pooled) @ module.vlm_key_projector(values).transpose(1, 2)
            out.append(pooled + (logits / module.dim**0.5).softmax(-1) @ values)
    return torch.cat(out, 1)
