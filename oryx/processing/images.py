"""Opening pictures of any kind, and the views of them that the model sees, at their sizes."""

import io
import warnings
from os import PathLike, path
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from oryx.errors import InputError, SettingsError
from oryx.grids import Size, SizeRule, enlarged_size
from oryx.processing.options import PreprocessOptions

CANVAS = (127, 127, 127)
"""Padding colour of the reference (reference file ``mm_utils.py``)."""


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
    else:
        name, file = _checked_path(source)
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


def _checked_path(source: Any) -> tuple[str, Path]:
    if not isinstance(source, (str, PathLike)):
        raise InputError(f"expected a path, bytes, a PIL picture or an array, got {type(source).__name__}")
    name = str(source)
    if path.isdir(source):  # os.path: pathlib raises OSError for names that no file can have
        raise InputError(f"{name}: expected a picture file, got a folder")
    if not path.isfile(source):
        raise InputError(f"{name}: expected a picture file, there is none")
    if path.getsize(source) == 0:
        raise InputError(f"{name}: expected a picture, got an empty file")
    return name, Path(source)


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

    Raises InputError if the result would have more than ``max_pixels`` pixels (very long and thin pictures).
    """
    size = (picture.height, picture.width)
    height, width = rule.target(size)
    if not rule.pads(size):
        return _resampled(picture, (height, width), max_pixels)
    canvas = Image.new("RGB", (width, height), CANVAS)
    canvas.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
    return canvas


def _resampled(picture: Image.Image, size: Size, max_pixels: int) -> Image.Image:
    height, width = size
    if height * width > max_pixels:
        raise InputError(
            f"a picture of {picture.width} x {picture.height} pixels is too long and thin: at the smallest height and "
            f"width that the model takes it has {width} x {height} pixels; expected at most {max_pixels} in all"
        )
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def image_views(picture: Image.Image, options: PreprocessOptions) -> tuple[Image.Image | None, Image.Image]:
    """The low (or None) and the high view of an RGB picture; the low one is made from the high one (reference)."""
    size = enlarged_size((picture.height, picture.width))
    if size != (picture.height, picture.width):
        picture = _resampled(picture, size, options.max_pixels)
    high = resize(picture, options.high, options.max_pixels)
    return (None if options.low is None else resize(high, options.low, options.max_pixels)), high


def frame_view(picture: Image.Image, options: PreprocessOptions, long: bool = False) -> Image.Image:
    """One frame at its size; ``long``: by the rule of 16x compressed videos, with twice the stride.

    Raises SettingsError if the options have no rule for video.
    """
    rule = options.video_long if long else options.video
    if rule is None:
        raise SettingsError("video: expected a size rule (options.video and options.video_long), none is configured")
    return resize(picture, rule, options.max_pixels)
