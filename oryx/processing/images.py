"""From pictures of any kind to the packed patches that the model reads: opened, brought to their size, cut."""

import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any, BinaryIO
from urllib.request import urlopen

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from transformers import BatchFeature
from transformers.image_processing_base import ImageProcessingMixin

from oryx.errors import InputError, SettingsError, shortened
from oryx.files import check_file
from oryx.grids import Grid, Size, SizeRule, check_area, compressed_grid, enlarged_size, patch_grid, view_sizes
from oryx.layout import SIDES, Layout, visual_token_count
from oryx.processing.decoders import VideoInfo
from oryx.processing.options import PreprocessOptions
from oryx.processing.sizes import Partition, Resolution, centred

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "MPO", "PPM", "AVIF", "JPEG2000", "ICO", "HEIF")
"""What is opened, by Pillow's names, where it can; Pillow hands some others to programs outside (EPS)."""
PNG = b"\x89PNG\r\n\x1a\n"
TEXTS, ORIENTED = (b"tEXt", b"zTXt", b"iTXt"), (b"XML:com.adobe.xmp\0", b"Raw profile type ")
"""Chunks of texts in a PNG, and how those begin that may say which side is up."""
CHANNELS = (1, 3, 4)

# The product with 1/255 in float64, rounded to float32, the rest in float32 (reference file train.py and transformers
# 4.39's CLIP processor). There are 256 levels, so a table is exact.
LEVELS = ((np.arange(256) * (1 / 255)).astype(np.float32) - np.float32(0.5)) / np.float32(0.5)
"""What each level becomes, in [-1, 1], bit for bit as the CLIP processor with mean = deviation = 0.5 has it."""


def open_image(source: Any, max_pixels: int = PreprocessOptions.max_pixels) -> Image.Image:
    """An RGB picture from a path, an open binary file, encoded bytes, a PIL picture, or an array or a tensor of uint8,
    or of floats from 0 to 1: (H, W), (H, W, 1, 3 or 4), or with its channels first.

    EXIF rotation is applied; transparency is shown on white; 16-bit grey is scaled to 8 bits; CMYK and palettes are
    converted; of an animation the first picture is taken. (The public single-image script converts after resizing,
    which differs; training converts first, as here. It drops the transparency and shows the colours below.)

    Raises InputError naming the file: missing, a folder, empty, damaged, truncated, none of :data:`FORMATS`, or more
    than ``max_pixels`` pixels (checked from the header, before any pixel is decoded).
    """
    if isinstance(source, Image.Image):
        name = getattr(source, "filename", "") or "picture"
        with _refusing(name):
            return _decoded(source, name, max_pixels)
    if isinstance(source, Tensor):
        source = (source.float() if source.is_floating_point() else source).detach().cpu().numpy()
    if hasattr(source, "__array__"):
        return _from_array(np.asarray(source), max_pixels)
    if hasattr(source, "read"):
        seekable = hasattr(source, "seekable") and source.seekable()
        file = source if seekable else io.BytesIO(source.read())
        return _opened(file, str(getattr(source, "name", "open file")), max_pixels)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _opened(io.BytesIO(source), f"{len(source)} bytes", max_pixels)
    if isinstance(source, (str, PathLike)):
        with open(check_file(source, "picture"), "rb") as file:
            return _opened(file, str(source), max_pixels)
    raise InputError(f"expected a path, bytes, a PIL picture or an array, got {type(source).__name__}")


def _opened(file: BinaryIO, name: str, max_pixels: int) -> Image.Image:
    Image.init()  # else Pillow knows of the commonest formats alone
    with _refusing(name):
        file.seek(0)  # as Pillow does, whatever was read before
        if not isinstance(start := file.read(8), bytes):
            raise InputError(f"{name}: expected a file opened for reading bytes, got {type(start).__name__} from it")
        if not start:
            raise InputError(f"{name}: got an empty file")
        file = io.BytesIO(start + _checked_chunks(file)) if start == PNG else file
        with Image.open(file, formats=[one for one in FORMATS if one in Image.OPEN]) as picture:
            return _decoded(picture, name, max_pixels)


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Around the reading of a picture: its errors as an InputError that names it."""
    try:
        yield
    except UnidentifiedImageError:
        what = f"expected a picture ({', '.join(FORMATS)}), got something else"
        raise InputError(f"{name}: {what}; HEIC needs pillow_heif, registered with Pillow") from None
    except Image.DecompressionBombError as error:
        raise InputError(f"{name}: too large for Pillow (PIL.Image.MAX_IMAGE_PIXELS): {error}") from None
    except (InputError, MemoryError):
        raise
    except Exception as error:  # decoders raise almost anything on damaged data
        raise InputError(f"{name}: the picture is damaged, truncated or closed ({error})") from None


def _fetched(address: str) -> bytes:
    try:
        with urlopen(address, timeout=60) as answer:
            return answer.read()
    except (OSError, ValueError) as error:
        raise InputError(f"{shortened(address)}: no picture can be fetched there ({shortened(error)})") from None


def _checked_chunks(file: BinaryIO) -> bytes:
    """The chunks of a PNG behind its signature, without the texts that Pillow would read, of any length.

    Raises ValueError for a wrong checksum, as behind a cut.
    """
    kept = []
    while len(head := file.read(8)) == 8:
        body, checksum = file.read(int.from_bytes(head[:4], "big")), file.read(4)
        if zlib.crc32(body, zlib.crc32(head[4:])).to_bytes(4, "big") != checksum:
            raise ValueError(f"wrong checksum of chunk {head[4:]!r}")
        if head[4:] not in TEXTS or body.startswith(ORIENTED):
            kept += [head, body, checksum]
    return b"".join(kept)


def _from_array(array: np.ndarray, max_pixels: int) -> Image.Image:
    levels = array
    if levels.ndim == 3 and levels.shape[2] not in CHANNELS and levels.shape[0] in CHANNELS:
        levels = levels.transpose(1, 2, 0)
    if levels.dtype.kind == "f" and levels.size and levels.min() >= 0 and levels.max() <= 1:
        levels = np.round(levels * 255).astype(np.uint8)
    fits = levels.ndim == 2 or (levels.ndim == 3 and levels.shape[2] in CHANNELS)
    if levels.dtype != np.uint8 or not fits or not levels.size:
        span = f" from {array.min():g} to {array.max():g}" if array.dtype.kind in "fiu" and array.size else ""
        raise InputError(
            "array: expected uint8, or floats from 0 to 1, of shape (H, W), (H, W, 1, 3 or 4) or (1, 3 or 4, H, W), "
            f"got {array.dtype} {array.shape}{span}"
        )
    return _decoded(Image.fromarray(levels[..., 0] if levels.shape[2:] == (1,) else levels), "array", max_pixels)


def _decoded(picture: Image.Image, name: str, max_pixels: int) -> Image.Image:
    width, height = picture.size
    if 0 in picture.size:
        raise InputError(f"{name}: expected at least 1 x 1 pixels, got {width} x {height}")
    if width * height > max_pixels:
        raise InputError(f"{name}: {width} x {height} pixels; expected at most {max_pixels} pixels in all")
    picture = _loaded(picture)
    with suppress(Exception):  # unreadable EXIF data say nothing about the pixels
        picture = ImageOps.exif_transpose(picture)
    return _to_rgb(picture, name)


def _loaded(picture: Image.Image) -> Image.Image:
    """The picture with its pixels; a JPEG may lack its end mark, if nothing else."""
    try:
        picture.load()
        return picture
    except OSError:
        if picture.format not in ("JPEG", "MPO"):
            raise
        picture.fp.seek(0)
        data = picture.fp.read().rstrip(b"\xff")  # of half a mark
        # nothing else is missing where what follows changes no pixel
        ended, other = (Image.open(io.BytesIO(data + more + b"\xff\xd9")) for more in (b"", b"\x55" * 64))
        if ended.tobytes() != other.tobytes() or ("progressive" in picture.info and not _all_scans(data, picture)):
            raise
        return ended


def _all_scans(data: bytes, picture: Image.Image) -> bool:
    """Whether a progressive JPEG has scans for every coefficient to its last bit; one cut between two scans has not."""
    sent = set()
    for scan in data.split(b"\xff\xda")[1:]:
        end = 3 + 2 * scan[2]  # of its list of components, each with its tables
        first, last, bits = scan[end : end + 3]
        sent |= {(part, number) for part in scan[3:end:2] for number in range(first, last + 1) if not bits & 15}
    return len(sent) == 64 * len(picture.getbands())


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
        if isinstance(source, str) and source.startswith(("http://", "https://", "data:")):
            source = _fetched(source)
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
