"""How the shared parts of a scale are made: shapes, phases and steps. Data only; ``shared`` carries it out.

The recipe is the authors' in small: a SigLIP on fixed squares, then OryxViT from its weights with a small language
model as interface and cross-entropy on text (maintainers' answer in the public repository), here on native and square
inputs.
"""

import math
from dataclasses import dataclass, field, replace

from oryx.errors import SettingsError
from workbook.data.pictures import PictureSizes

CAPTION_LENGTH = 16
"""Bytes of a caption; a longer title is cut."""


@dataclass(frozen=True)
class Phase:
    """A part of a stage: until ``until`` (a fraction of its steps) draw tasks from ``mixture`` in ``sizes``.

    ``square`` is the share of pictures that are squeezed to a square; the others keep their shape, a third of them with
    their area scaled by up to 2 either way.
    """

    until: float
    mixture: dict[str, float]
    sizes: PictureSizes = field(default_factory=PictureSizes)
    square: float = 0.4
    batch: int = 32


@dataclass(frozen=True)
class Recipe:
    """Shapes and training of one scale's SigLIP, OryxViT and reader (the language model behind OryxViT)."""

    scale: str
    side: int = 48
    patch: int = 8
    vision_width: int = 128
    vision_layers: int = 4
    vision_heads: int = 4
    vision_hidden: int = 478
    position_grid: int = 24
    text_width: int = 128
    text_layers: int = 3
    text_heads: int = 4
    text_hidden: int = 384
    compressor_dim: int = 64
    siglip_steps: int = 700
    siglip_batch: int = 96
    siglip_rate: float = 1e-3
    reader_steps: int = 4500
    reader_rate: float = 1e-3
    phases: tuple[Phase, ...] = ()


SMALL_PICTURES = PictureSizes(area_range=(0.25, 0.8), max_aspect=4)
MIDDLE_PICTURES = PictureSizes(area_range=(0.25, 1.5), max_aspect=8)

READING = {"number": 0.15, "word": 0.2, "list": 0.2, "page": 0.2, "icon": 0.1, "clipart": 0.1, "photo": 0.05}

PHASES = (
    Phase(0.07, {"digit": 1.0}, SMALL_PICTURES, square=0.0, batch=64),
    Phase(0.24, {"digit": 0.2, "number": 0.8}, SMALL_PICTURES, square=0.2, batch=64),
    Phase(0.36, {"number": 0.4, "word": 0.6}, SMALL_PICTURES, square=0.2, batch=48),
    Phase(0.56, {"number": 0.2, "word": 0.2, "list": 0.25, "page": 0.25, "icon": 0.1}, MIDDLE_PICTURES),
    Phase(1.0, READING),
)
"""A curriculum: models of this size that met every task at once had not left chance after 30,000 pictures."""

MATCHED_PICTURES = PictureSizes(area_range=(0.25, 2.25))
"""Pictures that cost as many tokens at their own size, on average, as squeezed into a square of S²
(``tests/unit/studies/test_encoder_arms.py``)."""

ENCODER_PHASES = (
    Phase(0.2, {"digit": 0.3, "number": 0.7}, SMALL_PICTURES, batch=48),
    Phase(
        1.0,
        {"number": 0.25, "word": 0.2, "page": 0.2, "chart": 0.15, "icon": 0.1, "clipart": 0.05, "photo": 0.05},
        MATCHED_PICTURES,
    ),
)
"""What the encoders of the encoder study are continued on; ``square`` plays no part there."""

SMOKE_PHASES = (Phase(0.5, {"digit": 1.0}, SMALL_PICTURES, batch=4), Phase(1.0, READING, batch=4))

RECIPES = {
    "smoke": Recipe("smoke", siglip_steps=2, siglip_batch=8, reader_steps=4, phases=SMOKE_PHASES),
    "nano": Recipe("nano", phases=PHASES),
    "small": Recipe(
        "small",
        vision_width=384,
        vision_layers=12,
        vision_heads=6,
        vision_hidden=1434,
        text_width=384,
        text_layers=8,
        text_heads=6,
        text_hidden=1152,
        compressor_dim=256,
        siglip_steps=4000,
        siglip_batch=256,
        siglip_rate=5e-4,
        reader_steps=20000,
        reader_rate=5e-4,
        phases=PHASES,
    ),
}


def recipe(scale: str, **changes) -> Recipe:
    """The recipe of a scale, with fields replaced; raises SettingsError for a scale that has none."""
    if scale not in RECIPES:
        raise SettingsError(f"scale {scale!r}: shared parts are trained at {', '.join(RECIPES)}")
    return replace(RECIPES[scale], **changes)


def encoder_recipe(scale: str, side: int = 48, patch: int = 8) -> Recipe:
    """The recipe of the encoder study's encoders: the scale's shapes, ENCODER_PHASES, own steps; errors as above.

    ``side`` of SigLIP's square and ``patch`` in pixels: with public weights, those of OryxViT. Scale ``paper`` has the
    shapes of ``small`` for its language model; its encoders have those of the weights that they start from.
    """
    steps = {"smoke": 3, "nano": 1200, "small": 12000, "paper": 50000}
    r = recipe("small" if scale == "paper" else scale)
    grid = max(r.position_grid, 4 * side // patch)
    phases = ENCODER_PHASES if scale != "smoke" else (replace(SMOKE_PHASES[-1], sizes=MATCHED_PICTURES),)
    phases = tuple(replace(phase, sizes=_scaled(phase.sizes, side, patch)) for phase in phases)
    return replace(r, scale=scale, side=side, patch=patch, position_grid=grid, reader_steps=steps[scale], phases=phases)


def _scaled(sizes: PictureSizes, side: int, patch: int) -> PictureSizes:
    most = max(sizes.max_tokens, math.ceil(sizes.area_range[1] * (side / patch) ** 2))
    return replace(sizes, side=side, patch=patch, min_side=max(sizes.min_side, patch), max_tokens=most)
