"""Vision tower: packed lists, dense batches and resampled position tables."""

from collections.abc import Iterator
from functools import lru_cache

import torch

from oryx.errors import OryxError
from oryx.grids import cumulative_lengths, patch_grid, token_count
from oryx.model.reference import tower_from_reference
from oryx.model.vit import OryxViT

from ..pixels import pack_images, resampled_table
from .harness import GoldenCase, GoldenFile, assert_close, assert_equal, assert_same, seeded

SECTIONS = ("cases",)


def accepts(document: dict) -> bool:
    return "patch_size" in document.get("config", {}) and "pos_embed_grid" in document["config"]


def cases(file: GoldenFile) -> Iterator[tuple[str, dict]]:
    for fields in file.document["cases"]:
        yield fields["name"], fields


@lru_cache(maxsize=4)
def tower(file: GoldenFile, prefix: str) -> OryxViT:
    config = file.document["config"]
    return tower_from_reference(
        file.weights(prefix), num_attention_heads=config["heads"], layer_norm_eps=config["layer_norm_eps"]
    ).eval()


def own_weights(case: GoldenCase) -> str:
    """A case may bring a model of its own, stored under ``{case}_weights/``."""
    prefix = f"{case.name}_weights/"
    return prefix if any(name.startswith(prefix) for name in case.file.tensors) else "weights/"


@torch.no_grad()
def run(case: GoldenCase):
    model = tower(case.file, own_weights(case))
    if case.reference_error:
        check_defined_where_reference_fails(case, model)
        return
    tolerance = case.file.tolerance()
    checked = 0
    for rows, columns in case.fields.get("grids_hw", []):
        expected = case.tensor(f"{rows}x{columns}")[0]
        assert_close(model.positions([(rows, columns)]), expected, f"positions {rows}x{columns}", **tolerance)
        assert_close(resampled_table(model, (rows, columns)), expected, f"table {rows}x{columns}", **tolerance)
        checked += 1
    if "images" in case.fields:
        check_packed_list(case, model, tolerance)
        checked += 1
    if case.has("pixels") and case.has("features"):
        check_dense(case, model, tolerance)
        checked += 1
    assert checked, f"{case.id}: nothing to check in fields {sorted(case.fields)}"


def check_packed_list(case: GoldenCase, model: OryxViT, tolerance: dict):
    count = len(case.fields["images"])
    images = [case.tensor(f"{i}/pixels")[0] for i in range(count)]
    patches, grids = pack_images(images, model.config.patch_size)
    assert_same(grids, [tuple(image["grid_hw"]) for image in case.fields["images"]], "grids")
    packed = model(patches, grids, output_hidden_states=True)
    for i, (ours, embedded) in enumerate(
        zip(packed.maps(), packed.hidden_states[0].split([h * w for h, w in grids]), strict=True)
    ):
        assert_close(ours[None], case.tensor(f"{i}/features"), f"features {i}", **tolerance)
        if case.has(f"{i}/embedded"):
            assert_close(embedded[None], case.tensor(f"{i}/embedded"), f"embedded {i}", **tolerance)
        alone = model(*pack_images([images[i]], model.config.patch_size)).tokens
        assert torch.allclose(alone, ours, **tolerance), f"features {i}: packed and alone differ"
    if case.has("cu_seqlens"):
        assert_equal(torch.tensor(cumulative_lengths(h * w for h, w in grids)), case.tensor("cu_seqlens"), "cu_seqlens")
    for block, ours in enumerate(packed.hidden_states[1:]):
        if case.has(f"block{block}"):
            assert_close(ours[None], case.tensor(f"block{block}"), f"block {block}", **tolerance)


def check_dense(case: GoldenCase, model: OryxViT, tolerance: dict):
    patches, grids = pack_images(list(case.tensor("pixels")), model.config.patch_size)
    if "grid_hw" in case.fields:
        assert_same(set(grids), {tuple(case.fields["grid_hw"])}, "grids")
    ours = torch.stack(model(patches, grids).maps())
    assert_close(ours, case.tensor("features"), "features", **tolerance)


def stated_pictures(case: GoldenCase) -> list[torch.Tensor]:
    """All pictures (3, H, W) of a case, random ones of the stated shape where it stores none."""
    shapes = [case.fields[name] for name in ("input_shape", "input_hw") if name in case.fields]
    shapes += [image["input_hw"] for image in case.fields.get("images", []) if "input_hw" in image]
    stored = [value for name, value in case.file.tensors.items() if is_pixels(name, case.name)]
    channels = case.file.tensors[own_weights(case) + "patch_embed.proj.weight"].shape[1]
    found = stored or [seeded(*shape) if len(shape) > 2 else seeded(channels, *shape) for shape in shapes]
    return [picture for pixels in found for picture in (pixels[None] if pixels.ndim == 3 else pixels.flatten(0, -4))]


def is_pixels(name: str, case: str) -> bool:
    parts = name.removeprefix(case + "/").split("/")
    return name.startswith(case + "/") and (parts == ["pixels"] or (len(parts) == 2 and parts[1] == "pixels"))


def check_defined_where_reference_fails(case: GoldenCase, model: OryxViT):
    """Our own clear error; or for a size the reference refuses on its dense path, what its packed path gives."""
    pictures, patch = stated_pictures(case), model.config.patch_size
    try:
        packed, grids = pack_images(pictures, patch)
        ours = model(packed, grids).tokens
    except OryxError as error:
        assert str(error), "an error without a message"
        return
    expected_grids = [patch_grid(tuple(picture.shape[-2:]), patch) for picture in pictures]
    assert grids == expected_grids and ours.shape == (token_count(expected_grids), model.config.hidden_size)
    padded = []
    for picture, (rows, columns) in zip(pictures, grids, strict=True):
        padded.append(torch.zeros(picture.shape[0], rows * patch, columns * patch))
        padded[-1][:, : picture.shape[1], : picture.shape[2]] = picture
    assert_close(ours, model(*pack_images(padded, patch)).tokens, "zero-padded input", **case.file.tolerance())
