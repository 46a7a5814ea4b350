"""A picture from whatever is given: a path, an address, an open file, bytes, another library's picture or array."""

import io
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from os import PathLike
from typing import Any, BinaryIO
from urllib.request import urlopen

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from oryx.errors import InputError, shortened
from oryx.files import check_file
from oryx.processing.options import PreprocessOptions

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "MPO", "PPM", "AVIF", "JPEG2000", "ICO", "HEIF")
"""What is opened, by Pillow's names, where it can; Pillow hands some others to programs outside (EPS)."""
PNG = b"\x89PNG\r\n\x1a\n"
PASSED_OVER, ORIENTED = (b"tEXt", b"zTXt", b"iTXt", b"iCCP"), (b"XML:com.adobe.xmp\0", b"Raw profile type ")
"""Chunks of texts and of a profile in a PNG, and how those texts begin that may say which side is up."""
CHANNELS = (1, 3, 4)
END, FILLERS = b"\xff\xd9", (*(bytes([one]) * 64 for one in (0x00, 0x0F, 0x33, 0x55, 0x9D)), b"\xff\x00" * 64)
"""The end mark of a JPEG, and what may follow its data without changing a pixel if they are whole."""
ADDRESSES = ("http://", "https://", "data:")
MOST_FETCHED, FETCHING = 256_000_000, 120.0
"""Bytes of a picture that is fetched, and seconds that this may take in all."""


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
        return _of_pillow(source, max_pixels)
    if isinstance(source, Tensor) or hasattr(source, "__array__"):
        return _from_array(_as_array(source), max_pixels)
    if hasattr(source, "read"):
        name = str(getattr(source, "name", "open file"))
        with _refusing(name):
            seekable = hasattr(source, "seekable") and source.seekable()
            file = source if seekable else io.BytesIO(source.read())
        return _opened(file, name, max_pixels)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _opened(io.BytesIO(source), f"{len(source)} bytes", max_pixels)
    if isinstance(source, (str, PathLike)):
        with open(check_file(source, "picture"), "rb") as file:
            return _opened(file, str(source), max_pixels)
    raise InputError(f"expected a path, bytes, a PIL picture or an array, got {type(source).__name__}")


def is_address(source: Any) -> bool:
    """Whether a picture is to be fetched: one of :data:`ADDRESSES`."""
    return isinstance(source, str) and source.lstrip().lower().startswith(ADDRESSES)


def fetched(address: str) -> bytes:
    """The bytes at an address of the web or in one of data.

    Raises InputError naming it: nothing there, more than MOST_FETCHED bytes, or no end of them after FETCHING seconds.
    """
    data, until = bytearray(), time.monotonic() + FETCHING
    try:
        with urlopen(address.strip(), timeout=FETCHING / 2) as answer:
            while piece := answer.read1(1 << 20):
                data += piece
                if len(data) > MOST_FETCHED or time.monotonic() > until:
                    raise ValueError(f"more than {MOST_FETCHED} bytes, or {FETCHING:g} s")
            if getattr(answer, "length", 0):
                raise ValueError(f"{answer.length} bytes are missing")
    except (OSError, ValueError, HTTPException) as error:
        raise InputError(f"{shortened(address)}: no picture can be fetched there ({shortened(error)})") from None
    return bytes(data)


def _of_pillow(source: Image.Image, max_pixels: int) -> Image.Image:
    name = getattr(source, "filename", "") or "picture"
    with _refusing(name):
        if getattr(source, "tile", None) and source.format not in FORMATS:  # loading it might start another program
            raise InputError(f"{name}: expected a picture ({', '.join(FORMATS)}), got {source.format}")
        if getattr(source, "tile", None) and source.format == "PNG" and not source.tell():
            place = source.fp.tell()
            try:
                return _opened(source.fp, name, max_pixels)
            finally:
                source.fp.seek(place)
        return _decoded(source, name, max_pixels)


def _as_array(source: Any) -> np.ndarray:
    try:
        if isinstance(source, Tensor):
            source = (source.float() if source.is_floating_point() else source).detach().cpu().resolve_conj().numpy()
        return np.asarray(source)
    except Exception as error:  # tensors without numbers of their own, and whatever another library's array raises
        raise InputError(f"{type(source).__name__}: no array can be made of it ({shortened(error)})") from None


def _opened(file: BinaryIO, name: str, max_pixels: int) -> Image.Image:
    Image.init()  # else Pillow knows of the commonest formats alone
    with _refusing(name):
        file.seek(0)  # as Pillow does, whatever was read before
        if not isinstance(start := file.read(8), bytes):
            raise InputError(f"{name}: expected a file opened for reading bytes, got {type(start).__name__} from it")
        if not start:
            raise InputError(f"{name}: got an empty file")
        chunks = list(_checked_chunks(file)) if start == PNG else []
        formats = [one for one in FORMATS if one in Image.OPEN]
        if chunks:
            # Pillow refuses a picture for the length of its texts; those that say which side is up are short
            with suppress(ValueError), Image.open(_without(chunks, ORIENTED), formats=formats) as picture:
                return _decoded(picture, name, max_pixels)
        with Image.open(_without(chunks) if chunks else file, formats=formats) as picture:
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


def _checked_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Name and body of each chunk of a PNG behind its signature, to its end.

    Raises ValueError for a wrong checksum, as behind a cut.
    """
    name = b""
    while name != b"IEND" and len(head := file.read(8)) == 8:
        name, body, checksum = head[4:], file.read(int.from_bytes(head[:4], "big")), file.read(4)
        if zlib.crc32(body, zlib.crc32(name)).to_bytes(4, "big") != checksum:
            raise ValueError(f"wrong checksum of chunk {name!r}")
        yield name, body


def _without(chunks: Sequence[tuple[bytes, bytes]], kept: tuple[bytes, ...] = ()) -> BinaryIO:
    """A PNG of these chunks but for PASSED_OVER that do not begin with one of ``kept``."""
    parts = [PNG]
    for name, body in chunks:
        if name not in PASSED_OVER or body.startswith(kept):
            parts += [len(body).to_bytes(4, "big"), name, body, zlib.crc32(name + body).to_bytes(4, "big")]
    return io.BytesIO(b"".join(parts))


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
        ended = Image.open(io.BytesIO(data + END))
        # nothing else is missing where what follows changes no pixel, be it behind a restart mark
        marks = [b"", *(bytes([0xFF, 0xD0 + number]) for number in range(8))] if b"\xff\xdd" in data else [b""]
        others = (Image.open(io.BytesIO(data + mark + more + END)) for mark in marks for more in FILLERS)
        pixels = ended.tobytes()
        if any(other.tobytes() != pixels for other in others):
            raise
        if "progressive" in picture.info and not _all_scans(data, picture):
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
