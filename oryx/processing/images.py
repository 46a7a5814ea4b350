"""From pictures to the packed patches that the model reads: brought to their size, and cut."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import BatchFeature
from transformers.image_processing_base import ImageProcessingMixin

from oryx.errors import InputError, SettingsError
from oryx.grids import Grid, Size, SizeRule, check_area, compressed_grid, enlarged_size, patch_grid, view_sizes
from oryx.layout import SIDES, Layout, visual_token_count
from oryx.processing.decoders import VideoInfo
from oryx.processing.options import PreprocessOptions
from oryx.processing.sizes import Partition, Resolution, centred
from oryx.processing.sources import fetched, is_address, open_image

# The product with 1/255 in float64, rounded to float32, the rest in float32 (reference file train.py and transformers
# 4.39's CLIP processor). There are 256 levels, so a table is exact.
LEVELS = ((np.arange(256) * (1 / 255)).astype(np.float32) - np.float32(0.5)) / np.float32(0.5)
"""What each level becomes, in [-1, 1], bit for bit as the CLIP processor with mean = deviation = 0.5 has it."""


def resize(picture: Image.Image, rule: SizeRule, max_pixels: int = PreprocessOptions.max_pixels) -> Image.Image:
    """The picture by a size rule: bicubic, or pasted centred on a grey canvas where the rule pads.

    Raises InputError if the result would have more than ``max_pixels`` pixels.
    """
    size = (picture.height, picture.width)
    height, width = check_area(rule.target(size), size, max_pixels)
    if rule.pads(size):
        return centred(picture, (height, width))
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def image_views(picture: Image.Image, options: PreprocessOptions) -> tuple[Image.Image | None, Image.Image]:
    """The low (or None) and the high view of an RGB picture; the low one is made from the high one (reference)."""
    size = (picture.height, picture.width)
    if (enlarged := enlarged_size(size)) != size:
        check_area(enlarged, size, options.max_pixels)
        picture = picture.resize(enlarged[::-1], Image.Resampling.BICUBIC)
    high = resize(picture, options.high, options.max_pixels)
    return (None if options.low is None else resize(high, options.low, options.max_pixels)), high


def frame_rule(options: PreprocessOptions, long: bool = False) -> SizeRule:
    """The size rule of frames; ``long``: that of 16x compressed videos, with twice the stride.

    Raises SettingsError if the options have none.
    """
    if rule := options.video_long if long else options.video:
        return rule
    raise SettingsError("video: expected a size rule (options.video and options.video_long), none is configured")


def frame_view(picture: Image.Image, options: PreprocessOptions, long: bool = False) -> Image.Image:
    """One frame at its size by :func:`frame_rule`."""
    return resize(picture, frame_rule(options, long), options.max_pixels)


def normalised(levels: np.ndarray) -> Tensor:
    """Levels of 0 to 255 (uint8, any shape) as float32 in [-1, 1]; see :data:`LEVELS`."""
    return torch.from_numpy(LEVELS.take(levels))


def cut(pixels: np.ndarray, patch: int) -> tuple[np.ndarray, Grid]:
    """Cut one picture (H, W, 3), or several (T, H, W, 3), into patches, rows first, zero-padding bottom and right.

    Zero is mid grey in normalised pixels. The reference pads so on its packed path and refuses such sizes on its dense
    path; here every path pads. Levels can be cut before they are normalised if there is nothing to pad.

    Args:
        patch: patch side in pixels.

    Returns:
        (T * h * w, 3 * patch * patch), each patch in the order of a convolution weight; the grid (h, w) of a picture.

    Raises:
        InputError: another shape, or levels (whole numbers) whose sides are no multiples of the patch.
    """
    if pixels.ndim not in (3, 4) or pixels.shape[-1] != 3 or 0 in pixels.shape:
        raise InputError(f"pixels: expected shape (H, W, 3) or (T, H, W, 3), got {pixels.shape}")
    height, width = pixels.shape[-3:-1]
    rows, columns = patch_grid((height, width), patch)
    below, right = rows * patch - height, columns * patch - width
    if below or right:
        if pixels.dtype.kind != "f":
            raise InputError(f"levels: expected sides that are multiples of {patch}, got {height} x {width}")
        pixels = np.pad(pixels, [(0, 0)] * (pixels.ndim - 3) + [(0, below), (0, right), (0, 0)])
    parts = pixels.reshape(-1, rows, patch, columns, patch, 3).transpose(0, 1, 3, 5, 2, 4)
    return parts.reshape(-1, 3 * patch * patch), (rows, columns)


def to_patches(picture: Image.Image | np.ndarray, patch: int) -> tuple[Tensor, Grid]:
    """Patches (T * h * w, 3 * patch * patch) float32 and grid (h, w) of an RGB picture, or of T frames of one size.

    ``picture``: a PIL picture, or uint8 of shape (H, W, 3) or (T, H, W, 3). Raises InputError for anything else.
    """
    levels = np.asarray(picture)
    if levels.dtype != np.uint8:
        raise InputError(f"picture: expected RGB levels of uint8, got {levels.dtype}")
    patches, grid = cut(LEVELS.take(levels), patch)
    return torch.from_numpy(patches), grid


@dataclass(frozen=True)
class Prepared:
    """One visual whose final sizes are known, so that it can be refused before a pixel of them is made.

    Attributes:
        layout, side: how it is laid out, and the side of the compressor's regions.
        sizes: (height, width) of every view or frame in pixels.
        draw: makes them, once.
        file: what is known of the video file that its frames are from; None: from none.
    """

    layout: Layout
    side: int
    sizes: Sequence[Size]
    draw: Callable[[], Iterable[Image.Image]]
    file: VideoInfo | None = None

    @cached_property
    def maps(self) -> list[np.ndarray]:
        """Each view or frame as (H, W, 3) uint8 RGB: a quarter of what its pixels take as float32."""
        return [np.asarray(view) for view in self.draw()]

    @property
    def frames(self) -> int:
        """Pictures, views or video frames that it stands for; an image with a second view is one picture."""
        return len(self.sizes) if self.layout == Layout.VIDEO else 1

    def visual_tokens(self, patch: int) -> int:
        """What the projector emits for it, newlines and separators included, where patches have this side."""
        grids = [compressed_grid(patch_grid(size, patch), self.side) for size in self.sizes]
        return visual_token_count(self.layout, grids)


def described(prepared: Sequence[Prepared], patch: int) -> dict[str, Any]:
    """What the model is shown in all; ``decoder`` and ``warning`` are None where there is none."""
    film = next((one.file for one in prepared if one.file), None)
    return {
        "visual_tokens": sum(one.visual_tokens(patch) for one in prepared),
        "frames": sum(one.frames for one in prepared),
        "sizes": tuple(size for one in prepared for size in one.sizes),
        "decoder": film and film.decoder,
        "warning": (film and film.warning) or None,
    }


def visual_inputs(prepared: Sequence[Prepared], patch: int) -> dict[str, Tensor]:
    """The model's visual inputs for at least one visual; see :class:`oryx.model.modeling.OryxForConditionalGeneration`.

    ``patch``: the model's patch side in pixels.
    """
    cut = [to_patches(one, patch) for visual in prepared for one in visual.maps]
    return {
        "pixel_patches": torch.cat([patches for patches, _ in cut]),
        "image_grids": torch.tensor([grid for _, grid in cut]),
        "visual_spec": torch.tensor([[one.layout, len(one.sizes), one.side] for one in prepared]),
    }


class VisualProcessor(ImageProcessingMixin):
    """What the image and the video processor share: ``options``, and ``patch``, the model's patch side in pixels."""

    model_input_names = ("pixel_patches", "image_grids", "visual_spec")

    def __init__(self, options: PreprocessOptions | None = None, patch: int = 16):
        super().__init__(options=options or PreprocessOptions(), patch=patch)

    def planned(self, layout: Layout, side: int, sizes: Sequence[Size], size: Size, *drawn: Any) -> Prepared:
        """A visual of ``size``; raises InputError for a map of more than ``options.max_pixels``."""
        for target in sizes:
            check_area(target, size, self.options.max_pixels)
        return Prepared(layout, side, sizes, *drawn)


class OryxImageProcessor(VisualProcessor):
    """Images, each with its second view where the options have a rule for one."""

    def __call__(self, images: Any, return_tensors: str = "pt") -> BatchFeature:
        """The visual inputs of an image or a list of images; as tensors, whatever is asked for."""
        items = images if isinstance(images, (list, tuple)) else [images]
        return BatchFeature(visual_inputs([self.prepare(item) for item in items], self.patch))

    def prepare(self, source: Any, fixed: Resolution | Partition | None = None, side: int | None = None) -> Prepared:
        """One image; see :meth:`oryx.processing.processor.OryxProcessor.prepare`."""
        own = self.options
        picture = open_image(fetched(source) if is_address(source) else source, own.max_pixels)
        size, stride = (picture.height, picture.width), own.high.stride
        if fixed is None:
            views = view_sizes(size, own.low, own.high, own.max_pixels)
            sizes, draw = views, lambda: filter(None, image_views(picture, own))
        elif isinstance(fixed, Partition):
            sizes, draw = fixed.sizes(size), lambda: fixed.squares(picture)
        else:
            sizes, draw = [fixed.target(size, stride)], lambda: [fixed.apply(picture, stride)]
        layout = Layout.TWO_VIEW if len(sizes) == 2 else Layout.ONE_VIEW
        if isinstance(fixed, Partition):
            layout = Layout.VIDEO  # a square after the other, as the views of a scene
        return self.planned(layout, side or SIDES["image"], sizes, size, draw)
