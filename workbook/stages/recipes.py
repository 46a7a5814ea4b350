"""How the parts are trained: what a recipe holds. The recipes of the scales are in ``recipes.toml``. No torch.

SigLIP, OryxViT and reader are the authors' recipe in small: a SigLIP on fixed squares, then OryxViT from its weights
with a small language model as interface and cross-entropy on text (maintainers' answer in the public repository), here
on native and square inputs.
"""

import math
import tomllib
from dataclasses import field, replace
from importlib.resources import files
from typing import Any

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from oryx.errors import SettingsError
from workbook.data.needles import SMALL, Lettering
from workbook.data.pictures import PictureSizes
from workbook.data.stories import DatasetSizes

CAPTION_LENGTH = 16
"""Bytes of a caption; a longer title is cut."""

STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=STRICT)
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


@dataclass(frozen=True, config=STRICT)
class Recipe:
    """Shapes and training of one scale's SigLIP, OryxViT and reader (the language model behind OryxViT).

    ``vision`` and ``text``: shapes of encoder and language model under transformers' names.
    """

    scale: str
    side: int
    patch: int
    position_grid: int
    vision: dict[str, int]
    text: dict[str, int]
    compressor_dim: int
    siglip_steps: int
    siglip_batch: int
    siglip_rate: float
    reader_steps: int
    reader_rate: float
    phases: tuple[Phase, ...]


@dataclass(frozen=True, config=STRICT)
class VideoRecipe:
    """Shapes and training of a scale's reader of frames.

    ``steps``: of single digits, of single cards and pictures at 1x, of the same at all sides (drawn with ``shares``),
    of clips at all sides. ``frames``: frames in a step of clips, shared by clips of one length. ``dataset``: arguments
    of :func:`workbook.data.needles.make_dataset`. ``pictures``: share of pictures among single frames and weight among
    clips; ``letters``: how cards are drawn.
    """

    scale: str
    shapes: Recipe
    size: tuple[int, int]
    steps: tuple[int, int, int, int]
    batch: int
    frames: int
    longest: int
    shares: tuple[float, ...]
    rate: float
    dataset: dict[str, int]
    pictures: float = 0.0
    letters: Lettering = SMALL


@dataclass(frozen=True, config=STRICT)
class FormsRecipe:
    """How a language model learns to read pictures in every form.

    ``items`` pictures of each form, of tasks drawn by ``mixture``; ``steps`` of ``batch`` pictures of one form in turn.
    ``seed`` is added to that of the training, so that pictures are none that other parts have met.
    """

    mixture: dict[str, float]
    items: int
    steps: int
    batch: int
    rate: float
    seed: int


@dataclass(frozen=True, config=STRICT)
class JointRecipe:
    """What the one model for everything is trained on and how much.

    ``pictures`` of ``tasks`` (with weights); frames of synthetic videos (``films``); ``scenes``; ``clips`` of frames
    that :func:`workbook.data.needles.make_dataset` makes with these arguments.
    ``horizon``: the learning rate follows the cosine of a run of so many steps, but for the last ``cooldown`` steps, in
    which it falls in a straight line; so a run may end at any step without having to know it at the start.
    ``shares``: of steps, by task. ``first``: share of the horizon at the beginning in which videos and clips are shown
    uncompressed only, mostly as single-frame questions (models of this size that meet 16x at once stay at chance).
    ``picture_sides`` and ``frame_sides``: how often each region side k is drawn later. ``tokens``: tokens of a step,
    about. ``blind``: share of steps with nothing to see. ``longest``: frames of the longest clip.
    """

    pictures: int
    tasks: dict[str, float]
    films: DatasetSizes
    scenes: int
    clips: dict[str, int]
    steps: int
    horizon: int
    cooldown: int
    rate: float
    tokens: int
    shares: tuple[tuple[str, float], ...]
    first: float
    picture_sides: tuple[float, float, float]
    frame_sides: tuple[float, float, float]
    blind: float
    longest: int


_SCALES = tomllib.loads(files("workbook.stages").joinpath("recipes.toml").read_text("utf-8"))


def _table(part: str, scale: str) -> dict[str, Any]:
    """What ``recipes.toml`` says of a part at a scale; raises SettingsError for a scale that it is not trained at."""
    if scale not in _SCALES[part]:
        raise SettingsError(f"scale {scale!r}: {part} is trained at {', '.join(_SCALES[part])}")
    return _changed(_SCALES[part]["nano"], _SCALES[part][scale])


def _changed(table: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``table`` with these changes; a table in it is changed likewise, field by field."""
    within = {name: table.get(name, {}) | value for name, value in changes.items() if isinstance(value, dict)}
    return table | changes | within


def recipe(scale: str, **changes: Any) -> Recipe:
    """The recipe of a scale's shared parts, with fields changed; raises SettingsError for a scale that has none."""
    return Recipe(scale=scale, **_changed(_table("shared", scale), changes))


def video_recipe(scale: str, **changes: Any) -> VideoRecipe:
    """The recipe of a scale's reader of frames, with fields changed; errors as :func:`recipe`."""
    table = _changed(_table("video_reader", scale), changes)
    return VideoRecipe(scale=scale, **table | {"shapes": recipe(scale, **table["shapes"])})


def forms_recipe(scale: str, **changes: Any) -> FormsRecipe:
    """The recipe of the language model that reads every form, with fields changed; errors as :func:`recipe`."""
    return FormsRecipe(**_changed(_table("language_model", scale), changes))


def joint_recipe(scale: str, **changes: Any) -> JointRecipe:
    """The recipe of the one model at a scale, with fields changed; errors as :func:`recipe`, also for wrong shares."""
    r = JointRecipe(**_changed(_table("one_model", scale), changes))
    if r.steps < 1 or abs(sum(share for _, share in r.shares) - 1) > 1e-6:
        raise SettingsError(f"joint recipe: expected steps and shares that add up to 1, got {r}")
    return r


def encoder_recipe(scale: str, side: int = 48, patch: int = 8) -> Recipe:
    """The recipe of the encoder study's encoders: the scale's shapes, phases and steps of their own; errors as above.

    ``side`` of SigLIP's square and ``patch`` in pixels: with public weights, those of OryxViT. Scale ``paper`` has the
    shapes of ``medium`` for its language model; its encoders have those of the weights that they start from.
    """
    shapes = recipe("medium" if scale in ("small", "paper") else scale, **_table("encoders", scale))
    r = replace(shapes, scale=scale)
    phases = tuple(replace(phase, sizes=_scaled(phase.sizes, side, patch)) for phase in r.phases)
    return replace(r, side=side, patch=patch, position_grid=max(r.position_grid, 4 * side // patch), phases=phases)


def _scaled(sizes: PictureSizes, side: int, patch: int) -> PictureSizes:
    most = max(sizes.max_tokens, math.ceil(sizes.area_range[1] * (side / patch) ** 2))
    return replace(sizes, side=side, patch=patch, min_side=max(sizes.min_side, patch), max_tokens=most)
