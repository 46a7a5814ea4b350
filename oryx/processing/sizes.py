"""At what size a picture enters the model: its own, a fixed area, a fixed square, or by dynamic partition.

The released scripts round each side down to the stride on its own (``oryx.grids.SizeRule``). A study that compares
sizes at equal tokens cannot use that rule at small sizes, where rounding down costs a fixed-area arm up to a third of
its tokens; :class:`Resolution` therefore chooses the grid nearest to the wanted area and shape.
"""

from dataclasses import dataclass
from math import sqrt

from PIL import Image

from oryx.errors import SettingsError, check_known
from oryx.grids import Grid, Size, check_area, check_size, check_whole
from oryx.processing.options import PreprocessOptions

KINDS = ("native", "area", "squash", "pad")
GREY = (127, 127, 127)
"""Colour of padding; the reference pads with 127 too (reference file ``mm_utils.py``)."""


def centred(picture: Image.Image, size: Size, colour: tuple[int, int, int] = GREY) -> Image.Image:
    """The picture (RGB) in the middle of a canvas of ``size`` (height, width)."""
    height, width = size
    canvas = Image.new("RGB", (width, height), colour)
    canvas.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
    return canvas


@dataclass(frozen=True)
class Resolution:
    """``kind`` is one of

    * ``native``: the picture's own size, each side rounded to the stride (no resampling if it already fits);
    * ``area``: shape kept as nearly as the stride allows, area as near to ``side``² as it allows, enlarging small
    pictures;
    * ``squash``: resized to ``side`` x ``side``, shape lost;
    * ``pad``: shape kept, scaled to fit into ``side`` x ``side``, the rest grey.

    Raises SettingsError for an unknown kind or a missing or needless ``side``.
    """

    kind: str = "native"
    side: int | None = None

    def __post_init__(self):
        check_known([self.kind], KINDS, "resolution kind")
        if (self.kind == "native") != (self.side is None):
            raise SettingsError(f"resolution {self.kind!r}: side must be {'given' if self.side is None else 'absent'}")
        if self.side is not None and (type(self.side) is not int or not 0 < self.side < 1 << 24):
            raise SettingsError(f"resolution side: expected a positive number of pixels of 24 bits, got {self.side!r}")

    def target(self, size: Size, stride: int) -> Size:
        """The (height, width) of the model's input for a picture of ``size``; multiples of ``stride``, at least one."""
        height, width = size
        if self.kind == "native":
            return tuple(max(1, round(s / stride)) * stride for s in size)
        if self.kind in ("squash", "pad"):
            square = max(1, round(self.side / stride)) * stride
            return square, square
        cells = (self.side / stride) ** 2
        short, long_ = sorted(size)
        few = max(1, round(sqrt(cells * short / long_)))
        many = max(1, round(cells / few))
        rows, columns = (few, many) if height <= width else (many, few)
        return rows * stride, columns * stride

    def apply(self, picture: Image.Image, stride: int) -> Image.Image:
        """The picture (RGB) at its target size; bicubic with Pillow's antialiasing, as the reference resizes.

        Raises InputError, before any pixel is made, if that has more pixels than a picture may have.
        """
        size = picture.height, picture.width
        height, width = check_area(self.target(size, stride), size, PreprocessOptions.max_pixels)
        if self.kind != "pad":
            same = picture.size == (width, height)
            return picture if same else picture.resize((width, height), Image.Resampling.BICUBIC)
        scale = min(width / picture.width, height / picture.height)
        inner = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        return centred(picture.resize(inner, Image.Resampling.BICUBIC), (height, width))


LLAVA_NEXT_TILES: tuple[Grid, ...] = ((1, 2), (2, 1), (2, 2), (3, 1), (1, 3))
"""The (rows, columns) of LLaVA-NeXT's canvases (``image_grid_pinpoints`` of its released configurations)."""


@dataclass(frozen=True)
class Partition:
    """Dynamic partition after LLaVA-NeXT (AnyRes): a picture as squares of one size, and the whole squeezed into one.

    For encoders that read one square size only. The picture is scaled, its shape kept, into the best of a few canvases
    made of whole tiles and padded; each tile is encoded by itself; the tiles' features are put together again, the
    padding's are cut off, and those of the thumbnail are set before them.

    Attributes:
        side: of a tile in pixels.
        tiles: the canvases, each (rows, columns) of tiles.
    """

    side: int
    tiles: tuple[Grid, ...] = LLAVA_NEXT_TILES

    def __post_init__(self):
        check_whole("partition side", self.side)

    def canvas(self, size: Size) -> Grid:
        """The (rows, columns) of tiles for a picture of ``size``: least loss of pixels first, then least waste."""
        from transformers.image_processing_utils import select_best_resolution  # seconds of imports

        canvases = [(rows * self.side, columns * self.side) for rows, columns in self.tiles]
        height, width = select_best_resolution(check_size(size), canvases)
        return height // self.side, width // self.side

    def inner(self, size: Size) -> Size:
        """The (height, width) of a picture of ``size`` on its canvas, shape kept, at least one pixel."""
        rows, columns = self.canvas(size)
        scale = min(rows * self.side / size[0], columns * self.side / size[1])
        return tuple(max(1, round(s * scale)) for s in size)

    def cells(self, size: Size, patch: int) -> tuple[int, int, int, int]:
        """(top, left, rows, columns) in patches of what is kept of the canvas: every patch the picture touches.

        Raises SettingsError if a tile is not made of whole patches.
        """
        if self.side % patch:
            raise SettingsError(f"partition side: expected a multiple of the patch side {patch}, got {self.side}")
        found = []
        for tiles, inner in zip(self.canvas(size), self.inner(size), strict=True):
            start = (tiles * self.side - inner) // 2
            first, last = start // patch, -(-(start + inner) // patch)
            found.append((first, last - first))
        (top, rows), (left, columns) = found
        return top, left, rows, columns

    def sizes(self, size: Size) -> list[Size]:
        """(height, width) of the :meth:`squares` of a picture of ``size``."""
        rows, columns = self.canvas(size)
        return [(self.side, self.side)] * (1 + rows * columns)

    def squares(self, picture: Image.Image) -> list[Image.Image]:
        """The thumbnail, then the tiles, rows first, each ``side`` x ``side``."""
        size = (picture.height, picture.width)
        (rows, columns), (height, width) = self.canvas(size), self.inner(size)
        inner = picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        canvas = centred(inner, (rows * self.side, columns * self.side))
        corners = [(c * self.side, r * self.side) for r in range(rows) for c in range(columns)]
        tiles = [canvas.crop((x, y, x + self.side, y + self.side)) for x, y in corners]
        return [picture.convert("RGB").resize((self.side, self.side), Image.Resampling.BICUBIC), *tiles]


def picture_forms(side: int) -> dict[str, Resolution | Partition]:
    """The forms in which a picture can reach an encoder that knows squares of ``side`` pixels.

    ``partition_matched`` has tiles of half the side: about as many tokens as native. ``budget`` is equal area: shape
    kept, every picture scaled to one area. That is nearly the rule of SigLIP 2 NaFlex (arXiv 2502.14786; transformers'
    ``get_image_size_for_max_num_patches``), which rounds both sides up within its budget of tokens and so spends a few
    percent less (``tests/unit/processing/test_equal_area.py`` counts them).
    """
    return {
        "fixed": Resolution("squash", side),
        "native": Resolution("native"),
        "partition": Partition(side),
        "partition_matched": Partition(side // 2),
        "budget": Resolution("area", side),
    }
