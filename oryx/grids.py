"""Integer arithmetic of pictures and visual tokens: sizes, rounding, grids, token counts, frame indices.

No torch in here: plots, cost estimates and the studies use it too. Sizes are ``(height, width)`` in pixels, grids
are ``(rows, columns)`` of patches.

Facts marked "reference" are those of the public implementation (``Oryx-mllm/Oryx``, ``oryx/mm_utils.py``); the
order of its floating-point operations is kept, because rounding noise decides some sizes: a 544 x 544 picture gets
a 352 x 352 low view, not 384 x 384.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from numbers import Integral
from typing import Any

import numpy as np

from oryx.errors import InputError, SettingsError

Size = tuple[int, int]
Grid = tuple[int, int]

SMALLEST_SIDE = 32  # a picture with a shorter side is enlarged first (reference)
ENLARGED_SIDE = 64  # the side it is enlarged to (reference)


@dataclass(frozen=True)
class SizeRule:
    """How a picture's size becomes a multiple of ``stride``; one rule serves images and video frames (reference).

    Attributes:
        stride: each side of the result is a multiple of this many pixels.
        base: if not 0, the picture is scaled to an area of ``base * base`` whatever its own size.
        max_side, min_side: only with ``base == 0``; bounds on the **area**, ``max_side ** 2`` and ``min_side ** 2``
            (not on the longest or shortest side). ``None`` means no bound.
        pad_to_stride: a picture within the bounds is not resized but padded up to multiples of the stride.
        clamp: a side that would round to 0 becomes one stride. ``False`` raises, as the reference does.
        exact: if given, the result is always this size and the aspect ratio is lost. It is what the reference does
            for the low view when no rule is configured (384 x 384).

    Raises:
        SettingsError: a stride below 1, a negative base, bounds that contradict each other, an empty exact size.
    """

    stride: int
    base: int = 0
    max_side: int | None = 1536
    min_side: int | None = 0
    pad_to_stride: bool = False
    clamp: bool = True
    exact: Size | None = None

    def __post_init__(self):
        if self.stride < 1 or self.base < 0:
            raise SettingsError(f"SizeRule: expected stride >= 1 and base >= 0, got {self.stride} and {self.base}")
        if self.max_side is not None and self.min_side is not None and self.min_side > self.max_side:
            raise SettingsError(f"SizeRule: min_side {self.min_side} is larger than max_side {self.max_side}")
        if self.exact is not None and min(self.exact) < 1:
            raise SettingsError(f"SizeRule: expected a positive exact size, got {self.exact}")

    def scale(self, size: Size) -> float | None:
        """The factor for both sides, or None when the picture already lies within the area bounds."""
        height, width = check_size(size)
        area = width * height
        if self.base:
            return math.sqrt(self.base * self.base / area)
        if self.max_side is not None and area > self.max_side * self.max_side:
            return math.sqrt(self.max_side * self.max_side / area)
        if self.min_side is not None and area < self.min_side * self.min_side:
            return math.sqrt(self.min_side * self.min_side / area)
        return None

    def pads(self, size: Size) -> bool:
        """True if this picture is padded (pasted centred on a grey canvas) instead of resized."""
        return self.pad_to_stride and self.exact is None and self.scale(size) is None

    def target(self, size: Size) -> Size:
        """The size after resizing or padding.

        Raises:
            InputError: a side rounds down to 0 and ``clamp`` is off.
        """
        if self.exact is not None:
            check_size(size)
            return self.exact
        scale = self.scale(size)
        if scale is None and self.pad_to_stride:
            return tuple(-(-side // self.stride) * self.stride for side in size)
        factor = 1.0 if scale is None else scale
        sides = [int(side * factor / self.stride) * self.stride for side in size]
        if min(sides) == 0:
            if not self.clamp:
                raise InputError(
                    f"picture of {size[1]} x {size[0]} pixels (width x height) has a side that rounds down to 0 at "
                    f"stride {self.stride}; expected both sides to be at least one stride after scaling"
                )
            sides = [max(side, self.stride) for side in sides]
        return tuple(sides)


def check_whole(name: str, value: Any, expected: str = "a whole number of at least 1") -> int:
    """``value`` itself, or InputError unless it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise InputError(f"{name}: expected {expected}, got {value!r}")
    return value


def check_size(size: Size) -> Size:
    """``size`` itself, or InputError unless both sides are at least one pixel."""
    if len(size) != 2 or min(size) < 1:
        raise InputError(f"expected a size (height, width) of at least 1 x 1 pixels, got {tuple(size)}")
    return size


def check_area(target: Size, size: Size, most: int) -> Size:
    """``target`` itself, or InputError if it has more than ``most`` pixels; what a picture of ``size`` would become."""
    if target[0] * target[1] > most:
        raise InputError(
            f"a picture of {size[1]} x {size[0]} pixels would have {target[1]} x {target[0]} in the model's input; "
            f"expected at most {most} pixels in all: use a smaller resolution, or a picture less long and thin"
        )
    return target


def enlarged_size(size: Size) -> Size:
    """The size a picture is first enlarged to when a side is under 32 pixels (reference); else its own size.

    Both sides under 32: the smaller becomes 64. Otherwise the side under 32 becomes 64.
    """
    height, width = check_size(size)
    if min(size) >= SMALLEST_SIDE:
        return height, width
    ratio = ENLARGED_SIDE / min(size)
    return int(height * ratio), int(width * ratio)


def view_sizes(size: Size, low: SizeRule | None, high: SizeRule, most: int) -> list[Size]:
    """Sizes of the low view, if there is a rule for one, and of the high one of an image of ``size``.

    The low view is made from the high one (reference). Raises InputError if enlarging takes more than ``most`` pixels.
    """
    large = high.target(check_area(enlarged_size(size), size, most))
    return [large] if low is None else [low.target(large), large]


def patch_grid(size: Size, patch: int) -> Grid:
    """Grid of a picture that is zero-padded at the bottom and right up to whole patches."""
    height, width = check_size(size)
    return -(-height // patch), -(-width // patch)


def token_count(grids: Iterable[Grid]) -> int:
    """Number of patch tokens of several grids together."""
    return sum(rows * columns for rows, columns in grids)


def cumulative_lengths(lengths: Iterable[int]) -> list[int]:
    """Segment boundaries ``[0, n1, n1 + n2, ...]`` of a packed sequence."""
    return list(accumulate(map(int, lengths), initial=0))


def compressed_grid(grid: Grid, side: int) -> Grid:
    """Grid after compressing ``side x side`` regions; regions cut by the border are kept, so this rounds up."""
    if side < 1:
        raise InputError(f"expected a region side of at least 1, got {side}")
    return -(-grid[0] // side), -(-grid[1] // side)


def row_tokens(grid: Grid) -> int:
    """Tokens of one map once every row, the last included, is followed by a newline: ``rows * (columns + 1)``."""
    return grid[0] * (grid[1] + 1)


def image_token_count(low: Grid | None, high: Grid) -> int:
    """Visual tokens of an image: begin, rows(low), separator, rows(high), end; without a low view begin, rows, end."""
    if low is None:
        return row_tokens(high) + 2
    return row_tokens(low) + row_tokens(high) + 3


def video_token_count(frames: int, grid: Grid) -> int:
    """Visual tokens of a video whose compressed frames have ``grid``: begin, (rows, separator) per frame, end."""
    return frames * (row_tokens(grid) + 1) + 2


def uniform_indices(total: int, count: int) -> list[int]:
    """Exactly ``count`` frame indices spread over ``total`` frames; duplicates are kept when total < count.

    ``numpy.linspace(0, total - 1, count, dtype=int)``, the rule of the released inference and evaluation code.
    """
    if total < 1 or count < 1:
        raise InputError(f"expected at least one frame and one index, got total={total}, count={count}")
    return np.linspace(0, total - 1, count, dtype=int).tolist()


def timed_indices(times: Sequence[int], count: int, repeat: bool = False) -> list[int]:
    """The frames on show at ``count`` moments spread uniformly from the first frame's time to the last's.

    ``times``: of all frames, ascending. A frame on show at several moments comes once, unless they ``repeat``.
    """
    found = np.searchsorted(times, np.linspace(times[0], times[-1], count), "right") - 1
    return (found if repeat else np.unique(found)).tolist()


def bounded_indices(total: int, bound: int) -> list[int]:
    """Every frame once if there are at most ``bound``, else ``bound`` of them spread uniformly.

    The rule of the released training code, and of its evaluation code with the PyAV reader.
    """
    return uniform_indices(total, min(total, bound))
