"""Preprocessing: sizes, resized pixels, normalised pixels, frame sampling; per variant of the reference's variables."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from oryx.errors import OryxError
from oryx.grids import bounded_indices, uniform_indices
from oryx.processing.images import frame_view, image_views
from oryx.processing.options import PreprocessOptions

from ..pixels import to_pixels
from .harness import GoldenCase, GoldenFile, assert_close, assert_equal, assert_same
from .reference_forms import from_reference_variables

SECTIONS = ("cases", "sizes", "frame_sampling")
FRAME_FUNCTIONS = {"video": False, "video_long": True}
"""Whether the frames are those of a 16x compressed video."""


def accepts(document: dict) -> bool:
    return "variants" in document and "normalisation" in document


def cases(file: GoldenFile) -> Iterator[tuple[str, dict]]:
    document = file.document
    for variant, functions in document.get("sizes", {}).items():
        for function, rows in functions.items():
            for i, row in enumerate(rows):
                yield f"sizes/{variant}/{function}/{i}", {"variant": variant, "function": function, **row}
    for i, row in enumerate(document.get("frame_sampling", {}).get("cases", [])):
        yield f"frame_sampling/{i}", row
    for fields in document["cases"]:
        yield fields["name"], fields


def options(case: GoldenCase) -> PreprocessOptions:
    return from_reference_variables(case.file.document["variants"][case.fields["variant"]])


def run(case: GoldenCase) -> None:
    if "k" in case.fields:
        check_sampling(case)
    elif "in_wh" in case.fields:
        check_sizes(case)
    else:
        check_pixels(case)


def check_sampling(case: GoldenCase) -> None:
    total, count = case.fields["total"], case.fields["k"]
    try:
        spread, kept = uniform_indices(total, count), bounded_indices(total, count)
    except OryxError as error:
        if not case.reference_error:
            raise
        assert str(error), "an error without a message"
        return
    assert kept == (spread if total > count else list(range(total)))
    if case.reference_error:
        assert len(spread) == count and all(0 <= i < total for i in spread)
    else:
        assert_same(spread, case.fields["indices"], "indices")


def check_sizes(case: GoldenCase) -> None:
    size = tuple(reversed(case.fields["in_wh"]))
    if case.reference_error:
        with pytest.raises(OryxError) as caught:
            sizes_of(case, size)
        assert str(caught.value)
        return
    for name, (height, width) in sizes_of(case, size).items():
        assert_same([width, height], case.fields[name], name)


def sizes_of(case: GoldenCase, size: tuple[int, int]) -> dict[str, tuple[int, int]]:
    chosen = options(case)
    picture = Image.new("RGB", (size[1], size[0]))
    if case.fields["function"] == "image":
        low, high = image_views(picture, chosen)
        return {"low_wh": (low.height, low.width), "high_wh": (high.height, high.width)}
    frame = frame_view(picture, chosen, FRAME_FUNCTIONS[case.fields["function"]])
    return {"frame_wh": (frame.height, frame.width)}


def check_pixels(case: GoldenCase) -> None:
    checked = 0
    if case.reference_error:  # ours may refuse it as well, or give a usable picture
        check_refused_or_usable(case)
        return
    if case.has("frames_u8"):
        frames = [views_of(case, picture(one))["frame"] for one in case.tensor("frames_u8")]
        pixels = torch.stack([to_pixels(frame) for frame in frames])[:, None]
        assert_close(pixels, case.tensor("pixels"), "pixels", **case.file.tolerance("pixels"))
        return
    for name, view in views_of(case, picture(case.tensor("input_u8"))).items():
        if case.has(f"{name}_u8"):
            assert_equal(torch.from_numpy(np.array(view)), case.tensor(f"{name}_u8"), f"{name}, pixels")
            checked += 1
        if case.has(f"{name}_pixels"):
            assert_equal(to_pixels(view)[None], case.tensor(f"{name}_pixels"), f"{name}, normalised")
            checked += 1
    assert checked, f"{case.id}: nothing to check"


def views_of(case: GoldenCase, source: Image.Image) -> dict[str, Image.Image]:
    if case.fields["function"] == "image":
        low, high = image_views(source, options(case))
        return {"high": high} if low is None else {"low": low, "high": high}
    return {"frame": frame_view(source, options(case), FRAME_FUNCTIONS[case.fields["function"]])}


def check_refused_or_usable(case: GoldenCase) -> None:
    source = picture(case.tensor("input_u8")) if case.has("input_u8") else Image.new("RGB", case.fields["input_wh"])
    try:
        views = views_of(case, source)
    except OryxError as error:
        assert str(error)
        return
    for view in views.values():
        assert torch.isfinite(to_pixels(view)).all() and min(view.size) > 0


def picture(levels: torch.Tensor) -> Image.Image:
    return Image.fromarray(levels.numpy())
