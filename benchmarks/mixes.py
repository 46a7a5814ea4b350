"""The mixes of picture sizes that the encoders are measured on.

A mix is drawn once from a written seed: two pictures sit at the smallest and the largest token count, the others are
log-uniform between them with aspect ratios log-uniform from 1:r to r:1. Every encoder sees pictures as patches, so a
picture is its grid (rows, columns). Python's ``random.Random.random`` is used because its stream is the same in every
version.
"""

import math
import random
from dataclasses import dataclass

from oryx.grids import Grid, token_count


@dataclass(frozen=True)
class Mix:
    """One benchmark case: the pictures and the encoder's shape.

    Attributes:
        name: a letter.
        description: the pictures in a few words.
        grids: (rows, columns) of every picture, in patches.
        width, heads, layers, mlp: shape of the encoder.
        speed_target: how many times faster than padding the packed encoder is asked to be, forward and
            forward+backward.
        memory_target: the largest asked share of padding's peak memory.
    """

    name: str
    description: str
    grids: tuple[Grid, ...]
    width: int
    heads: int
    layers: int
    mlp: int
    speed_target: float
    memory_target: float

    @property
    def tokens(self) -> int:
        """Real tokens of the batch."""
        return token_count(self.grids)

    @property
    def longest(self) -> int:
        """Tokens of the largest picture: what every picture is padded to."""
        return max(rows * columns for rows, columns in self.grids)

    @property
    def padding(self) -> float:
        """Tokens of the padded batch for one real token."""
        return len(self.grids) * self.longest / self.tokens

    @property
    def table_side(self) -> int:
        """Side of the position table: no longer than the shortest side of any picture.

        Siglip2 resamples its table with an antialiasing filter, OryxViT without. The two agree where a table is
        enlarged and differ where it is reduced, so a table this small makes both compute one function.
        """
        return min(min(grid) for grid in self.grids)


def draw_grids(count: int, smallest: Grid, largest: Grid, aspect: float, seed: int) -> tuple[Grid, ...]:
    """``count`` grids from ``smallest`` to ``largest`` (both included), as the module describes."""
    generator = random.Random(seed)
    low, high = (rows * columns for rows, columns in (smallest, largest))
    grids = [smallest, largest]
    while len(grids) < count:
        tokens = low * (high / low) ** generator.random()
        ratio = aspect ** (2 * generator.random() - 1)
        rows = max(1, round(math.sqrt(tokens * ratio)))
        columns = max(1, round(tokens / rows))
        if low <= rows * columns <= high:
            grids.append((rows, columns))
    order = sorted(range(count), key=lambda _: generator.random())
    return tuple(grids[i] for i in order)


# The seeds were picked so that the padding ratios are those at which packing was first measured for this project.
MIXES = {
    mix.name: mix
    for mix in (
        Mix(
            "A",
            "32 pictures of 60 to 864 tokens",
            draw_grids(32, (6, 10), (24, 36), aspect=3, seed=108),
            width=256,
            heads=4,
            layers=4,
            mlp=1024,
            speed_target=2.5,
            memory_target=0.4,
        ),
        Mix(
            "B",
            "4 pictures of 256 to 1024 tokens, the paper's width",
            draw_grids(4, (16, 16), (32, 32), aspect=2, seed=44),
            width=1152,
            heads=16,
            layers=2,
            mlp=4304,
            speed_target=0.9 * 1.58,
            memory_target=1.15 / 1.58,
        ),
        Mix(
            "C",
            "64 equal pictures of 196 tokens",
            ((14, 14),) * 64,
            width=256,
            heads=4,
            layers=2,
            mlp=1024,
            speed_target=0.9,
            memory_target=1.1,
        ),
        Mix(
            "D",
            "8 pictures of 36 to 576 tokens, the paper's width",
            draw_grids(8, (6, 6), (24, 24), aspect=2, seed=157),
            width=1152,
            heads=16,
            layers=2,
            mlp=4304,
            speed_target=0.9 * 3.69,
            memory_target=1.15 / 3.69,
        ),
        Mix(
            "E",
            "128 tiny pictures of 4 to 64 tokens",
            draw_grids(128, (2, 2), (8, 8), aspect=1.2, seed=949),
            width=256,
            heads=4,
            layers=2,
            mlp=1024,
            speed_target=0.9 * 2.42,
            memory_target=1.15 / 2.42,
        ),
    )
}
