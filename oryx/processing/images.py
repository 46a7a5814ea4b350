"""From pictures of any kind to the packed patches that the model reads: opened, brought to their size, cut."""

import io
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from transformers import BatchFeature
from transformers.image_processing_base import ImageProcessingMixin
from transformers.image_utils import load_image

from oryx.errors import InputError, SettingsError
from oryx.files import check_file
from oryx.grids import Grid, Size, SizeRule, check_area, compressed_grid, enlarged_size, patch_grid, view_sizes
from oryx.layout import SIDES, Layout, visual_token_count
from oryx.processing.options import PreprocessOptions
from oryx.processing.sizes import Partition, Resolution, centred

# The product with 1/255 in float64, rounded to float32, the rest in float32 (reference file train.py and transformers
# 4.39's CLIP processor). There are 256 levels, so a table is exact.
LEVELS = ((np.arange(256) * (1 / 255)).astype(np.float32) - np.float32(0.5)) / np.float32(0.5)
"""What each level becomes, in [-1, 1], bit for bit as the CLIP processor with mean = deviation = 0.5 has it."""


def open_image(source: Any, max_pixels: int = PreprocessOptions.max_pixels) -> Image.Image:
    """An RGB picture from a path, an open binary file, encoded bytes, a PIL picture or an array of uint8, (H, W) or
    (H, W, 3 or 4).

    EXIF rotation is applied; transparency is shown on white; 16-bit grey is scaled to 8 bits; CMYK and palettes are
    converted; of an animation the first picture is taken. (The public single-image script converts after resizing,
    which differs; training converts first, as here. It drops the transparency and shows the colours below.)

    Raises InputError naming the file: missing, a folder, empty, truncated, no picture, or more than ``max_pixels``
    pixels (checked from the header, before any pixel is decoded).
    """
    if isinstance(source, Image.Image):
        return _decoded(source, getattr(source, "filename", "") or "picture", max_pixels)
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if hasattr(source, "read"):
        name, source = str(getattr(source, "name", "open file")), source.read()
        if not isinstance(source, bytes):
            raise InputError(f"{name}: expected a file opened for reading bytes, got {type(source).__name__} from it")
        file = io.BytesIO(source)
    elif isinstance(source, (bytes, bytearray, memoryview)):
        name, file = f"{len(source)} bytes", io.BytesIO(source)
    elif isinstance(source, (str, PathLike)):
        name, file = str(source), check_file(source, "picture")
    else:
        raise InputError(f"expected a path, bytes, a PIL picture or an array, got {type(source).__name__}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # max_pixels decides
            picture = Image.open(file)
    except UnidentifiedImageError:
        what = "expected a picture (PNG, JPEG, WebP, ...), got something else" if source else "got an empty file"
        raise InputError(f"{name}: {what}") from None
    except Image.DecompressionBombError as error:
        raise InputError(f"{name}: too large for Pillow (PIL.Image.MAX_IMAGE_PIXELS): {error}") from None
    except Exception as error:
        raise InputError(f"{name}: the picture is damaged or truncated ({error})") from None
    with picture:
        return _decoded(picture, name, max_pixels)


def _from_array(array: np.ndarray, max_pixels: int) -> Image.Image:
    fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not fits or 0 in array.shape:
        raise InputError(
            f"array: expected uint8 of shape (H, W), (H, W, 3) or (H, W, 4), got {array.dtype} {array.shape}"
        )
    return _decoded(Image.fromarray(array), "array", max_pixels)


def _decoded(picture: Image.Image, name: str, max_pixels: int) -> Image.Image:
    width, height = picture.size
    if 0 in picture.size:
        raise InputError(f"{name}: expected at least 1 x 1 pixels, got {width} x {height}")
    if width * height > max_pixels:
        raise InputError(f"{name}: {width} x {height} pixels; expected at most {max_pixels} pixels in all")
    try:
        picture.load()
        return _to_rgb(_upright(picture), name)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # decoders raise almost anything on damaged data
        raise InputError(f"{name}: the picture is damaged or truncated ({error})") from None


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # unreadable EXIF data say nothing about the pixels
        return picture


def _to_rgb(picture: Image.Image, name: str) -> Image.Image:
    if picture.mode.startswith("I"):
        levels = np.asarray(picture, dtype=np.int64)
        low, high = levels.min(), levels.max()
        if low < 0 or high > 65535:
            raise InputError(f"{name}: expected levels of 8 or 16 bits, got {low} to {high}")
        # "I" is 32 bits wide and holds either depth; 65535 / 257 = 255
        scale = 257 if picture.mode != "I" or high > 255 else 1
        return Image.fromarray((levels // scale).astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        raise InputError(f"{name}: expected 8- or 16-bit pixels, got floating-point ones")
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        page = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        return Image.alpha_composite(page, picture).convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


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
        decoder: who decodes its frames; None: not from a video file.
    """

    layout: Layout
    side: int
    sizes: Sequence[Size]
    draw: Callable[[], Iterable[Image.Image]]
    decoder: str | None = None

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
        if isinstance(source, str) and source.startswith(("http://", "https://", "data:")):
            source = load_image(source)
        own, picture = self.options, open_image(source, self.options.max_pixels)
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
