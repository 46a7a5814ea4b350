"""Dynamic partition after LLaVA-NeXT (AnyRes): a picture as squares of one size, and all of it squeezed into another.

For encoders that read one square size only. The picture is scaled, its shape kept, into the best of a few canvases made
of whole tiles and padded; each tile is encoded by itself; the tiles' features are put together again, the padding's are
cut off, and those of the thumbnail are set before them.
"""

from dataclasses import dataclass

from PIL import Image

from oryx.errors import SettingsError
from oryx.grids import Grid, Size, check_size
from oryx.processing.resolution import GREY, Resolution

LLAVA_NEXT_TILES: tuple[Grid, ...] = ((1, 2), (2, 1), (2, 2), (3, 1), (1, 3))
"""The (rows, columns) of LLaVA-NeXT's canvases (``image_grid_pinpoints`` of its released configurations)."""


@dataclass(frozen=True)
class Partition:
    """Tiles of ``side`` x ``side`` pixels on one of the canvases ``tiles``, each (rows, columns)."""

    side: int
    tiles: tuple[Grid, ...] = LLAVA_NEXT_TILES

    def canvas(self, size: Size) -> Grid:
        """The (rows, columns) of tiles for a picture of ``size``: least loss of pixels first, then least waste.

        The choice of transformers' ``select_best_resolution``, which a test holds it to; that function costs three
        seconds of imports.
        """
        height, width = check_size(size)

        def merit(tiles: Grid) -> tuple[int, int]:
            rows, columns = (count * self.side for count in tiles)
            scale = min(columns / width, rows / height)
            kept = min(int(width * scale) * int(height * scale), width * height)
            return kept, kept - rows * columns

        return max(self.tiles, key=merit)

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

    def squares(self, picture: Image.Image) -> list[Image.Image]:
        """The thumbnail, then the tiles, rows first, each ``side`` x ``side``."""
        size = (picture.height, picture.width)
        (rows, columns), (height, width) = self.canvas(size), self.inner(size)
        canvas = Image.new("RGB", (columns * self.side, rows * self.side), GREY)
        place = ((canvas.width - width) // 2, (canvas.height - height) // 2)
        canvas.paste(picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC), place)
        corners = [(c * self.side, r * self.side) for r in range(rows) for c in range(columns)]
        tiles = [canvas.crop((x, y, x + self.side, y + self.side)) for x, y in corners]
        return [picture.convert("RGB").resize((self.side, self.side), Image.Resampling.BICUBIC), *tiles]


def picture_forms(side: int) -> dict[str, Resolution | Partition]:
    """The forms in which a picture can reach an encoder that knows squares of ``side`` pixels.

    ``partition_matched`` has tiles of half the side: about as many tokens as native. ``budget`` is the rule of SigLIP 2
    NaFlex: shape kept, every picture scaled to one number of tokens (:mod:`oryx.processing.naflex`).
    """
    return {
        "fixed": Resolution("squash", side),
        "native": Resolution("native"),
        "partition": Partition(side),
        "partition_matched": Partition(side // 2),
        "budget": Resolution("area", side),
    }
