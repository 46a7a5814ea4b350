"""Preprocessing: sizes, resized pixels, normalised pixels, frame sampling; per variant of the reference's variables."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from oryx.errors import OryxError
from oryx.grids import bounded_indices, image_sizes, uniform_indices
from oryx.processing.images import frame_view, image_views, to_pixels
from oryx.processing.options import PreprocessOptions, from_reference_variables

from .harness import GoldenCase, GoldenFile


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
    if "indices" in case.fields:
        assert uniform_indices(case.fields["total"], case.fields["k"]) == case.fields["indices"]
        kept = bounded_indices(case.fields["total"], case.fields["k"])
        expected = (
            case.fields["indices"] if case.fields["total"] > case.fields["k"] else list(range(case.fields["total"]))
        )
        assert kept == expected
    elif "in_wh" in case.fields:
        check_sizes(case)
    else:
        check_pixels(case)


def check_sizes(case: GoldenCase) -> None:
    size = tuple(reversed(case.fields["in_wh"]))
    error = case.fields.get("error") or case.reference_error
    if error:
        with pytest.raises(OryxError) as caught:
            sizes_of(case, size)
        assert str(caught.value)
        return
    for name, (height, width) in sizes_of(case, size).items():
        assert [width, height] == case.fields[name], name


def sizes_of(case: GoldenCase, size: tuple[int, int]) -> dict[str, tuple[int, int]]:
    chosen = options(case)
    if case.fields["function"] == "image":
        low, high = image_sizes(size, chosen.low, chosen.high)
        return {"low_wh": low, "high_wh": high}
    picture = Image.new("RGB", (size[1], size[0]))
    frame = frame_view(picture, chosen, case.fields["function"] == "video_long")
    return {"frame_wh": (frame.height, frame.width)}


def check_pixels(case: GoldenCase) -> None:
    long, checked = case.fields["function"] == "video_long", 0
    if case.reference_error:  # ours may refuse it as well, or give a usable picture
        check_refused_or_usable(case, long)
        return
    if case.has("frames_u8"):
        frames = [frame_view(picture(one), options(case), long) for one in case.tensor("frames_u8")]
        views = {"": torch.stack([to_pixels(frame) for frame in frames])[:, None]}
        case.check(views[""], case.tensor("pixels"), "pixels", **case.file.tolerance("pixels"))
        return
    source = picture(case.tensor("input_u8"))
    if case.fields["function"] == "image":
        low, high = image_views(source, options(case))
        made = {"low": low, "high": high}
    else:
        made = {"frame": frame_view(source, options(case), long)}
    for name, view in made.items():
        if case.has(f"{name}_u8"):
            assert np.array_equal(np.asarray(view), case.tensor(f"{name}_u8").numpy()), f"{name}: other pixels"
            checked += 1
        if case.has(f"{name}_pixels"):
            assert torch.equal(to_pixels(view)[None], case.tensor(f"{name}_pixels")), f"{name}: normalised otherwise"
            checked += 1
    assert checked, f"{case.id}: nothing to check"


def check_refused_or_usable(case: GoldenCase, long: bool) -> None:
    source = picture(case.tensor("input_u8")) if case.has("input_u8") else Image.new("RGB", case.fields["input_wh"])
    try:
        image = case.fields["function"] == "image"
        views = image_views(source, options(case)) if image else [frame_view(source, options(case), long)]
    except OryxError as error:
        assert str(error)
        return
    for view in views:
        assert torch.isfinite(to_pixels(view)).all() and min(view.size) > 0


def picture(levels: torch.Tensor) -> Image.Image:
    return Image.fromarray(levels.numpy())
