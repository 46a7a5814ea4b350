"""Projector: the four layouts, from compressed maps to the language model's tokens."""

import math
from collections.abc import Iterator
from functools import lru_cache

import torch

from oryx.errors import InputError
from oryx.layout import Layout, visual_token_count
from oryx.model.checkpoint_files import fill
from oryx.model.compressor import Projector
from oryx.model.config import OryxConfig

from .harness import GoldenCase, GoldenFile, assert_close, assert_same, seeded
from .reference_forms import MODALITIES

SECTIONS = ("cases",)


def accepts(document: dict) -> bool:
    return "mm_projector_type" in document.get("config", {})


def cases(file: GoldenFile) -> Iterator[tuple[str, dict]]:
    for fields in file.document["cases"]:
        yield fields["name"], fields


@lru_cache(maxsize=2)
def projector(file: GoldenFile) -> Projector:
    config = file.document["config"]
    vision = {"hidden_size": config["mm_hidden_size"], "num_attention_heads": 1}
    module = Projector(OryxConfig(vision_config=vision, text_config={"hidden_size": config["hidden_size"]}))
    fill(module, file.weights(), str(file.path))
    return module.eval()


def read_maps(case: GoldenCase) -> tuple[Layout, list[tuple[torch.Tensor, tuple[int, int]]]]:
    """The layout that the case calls for, and its (map, grid) pairs; a case without tensors states its shapes."""
    layout, _ = MODALITIES[case.fields["modality"]]
    names = {"frames": "frame_hw"} if layout == Layout.VIDEO else {"low": "low_hw", "high": "high_hw"}
    maps = []
    for name, field in names.items():
        grid = case.fields.get(field)
        if case.has(name):
            tensor = case.tensor(name)
        elif grid is not None:
            width = case.file.document["config"]["mm_hidden_size"]
            tensor = seeded(case.fields.get("frames", 1), math.prod(grid), width)
        else:
            continue
        grid = tuple(grid or [math.isqrt(tensor.shape[1])] * 2)
        maps += [(one, grid) for one in tensor]
    return layout if layout == Layout.VIDEO or len(maps) > 1 else Layout.ONE_VIEW, maps


@torch.no_grad()
def run(case: GoldenCase):
    try:
        layout, maps = read_maps(case)
        tokens, grids = torch.cat([one for one, _ in maps]), [grid for _, grid in maps]
        (ours,) = projector(case.file)(tokens, grids, [(layout, len(maps))])
    except InputError as error:
        assert case.reference_error, f"{case.id}: {error}"
        assert str(error), "an error without a message"
        return
    assert len(ours) == visual_token_count(layout, grids), "not the documented number of tokens"
    assert torch.isfinite(ours).all()
    if "length" in case.fields:
        assert_same(len(ours), case.fields["length"], "length")
    if case.has("tokens"):
        assert_close(ours[None], case.tensor("tokens"), "tokens", **case.file.tolerance())
    else:
        assert case.reference_error, f"{case.id}: nothing to check"
