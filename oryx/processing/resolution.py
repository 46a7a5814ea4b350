"""At what size a picture enters the model: its own, a fixed area with its shape kept, or a fixed square.

The released scripts round each side down to the stride on its own (``oryx.grids.SizeRule``). A study that compares
sizes at equal tokens cannot use that rule at small sizes, where rounding down costs a fixed-area arm up to a third of
its tokens; :class:`Resolution` therefore chooses the grid nearest to the wanted area and shape.
"""

from dataclasses import dataclass
from math import sqrt

from PIL import Image

from oryx.errors import SettingsError
from oryx.grids import Size

KINDS = ("native", "area", "squash", "pad")
GREY = (127, 127, 127)
"""Colour of padding; the reference pads with 127 too (reference file ``mm_utils.py``)."""


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
        if self.kind not in KINDS:
            raise SettingsError(f"resolution kind {self.kind!r}: expected one of {', '.join(KINDS)}")
        if (self.kind == "native") != (self.side is None):
            raise SettingsError(
                f"resolution {self.kind!r}: side must be {'absent' if self.kind == 'native' else 'given'}"
            )
        if self.side is not None and self.side < 1:
            raise SettingsError(f"resolution side: expected a positive number of pixels, got {self.side}")

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
        """The picture (RGB) at its target size; bicubic with Pillow's antialiasing, as the reference resizes."""
        height, width = self.target((picture.height, picture.width), stride)
        if self.kind != "pad":
            same = picture.size == (width, height)
            return picture if same else picture.resize((width, height), Image.Resampling.BICUBIC)
        scale = min(width / picture.width, height / picture.height)
        inner = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        canvas = Image.new("RGB", (width, height), GREY)
        canvas.paste(
            picture.resize(inner, Image.Resampling.BICUBIC), ((width - inner[0]) // 2, (height - inner[1]) // 2)
        )
        return canvas
