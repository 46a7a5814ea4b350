"""How the one model for everything is trained: material, shares of the tasks, steps and learning rates. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from oryx.errors import SettingsError
from oryx.train.loop import TrainPlan
from workbook.data.story_bank import BankSizes


@dataclass(frozen=True)
class Material:
    """How much there is to learn from."""

    pictures: int = 5000
    tasks: Mapping[str, float] = field(
        default_factory=lambda: {
            "number": 0.15, "word": 0.18, "list": 0.18, "page": 0.17, "icon": 0.12, "clipart": 0.1, "photo": 0.1
        }
    )  # fmt: skip
    films: BankSizes = field(default_factory=lambda: BankSizes(900, 50, 100, 120))
    scenes: int = 600
    haystacks: int = 4
    shots: int = 400
    pages: int = 1000
    shots_named: int = 400


@dataclass(frozen=True)
class JointRecipe:
    """What is trained on and how much.

    ``horizon``: the learning rate follows the cosine of a run of so many steps, but for the last ``cooldown`` steps, in
    which it falls in a straight line; so a run may end at any step without having to know it at the start.
    ``shares``: of steps, by task. ``first``: share of the horizon at the beginning in which videos and clips are shown
    uncompressed only, mostly as single-frame questions (models of this size that meet 16x at once stay at chance).
    ``picture_sides`` and ``frame_sides``: how often each region side k is drawn later. ``tokens``: tokens of a step,
    about. ``blind``: share of steps with nothing to see. ``longest``: frames of the longest clip.
    """

    material: Material = field(default_factory=Material)
    steps: int = 3600
    horizon: int = 6500
    cooldown: int = 800
    rate: float = 1e-3
    tokens: int = 1800
    shares: tuple[tuple[str, float], ...] = (("pictures", 0.3), ("films", 0.44), ("scenes", 0.1), ("clips", 0.16))
    first: float = 0.2
    picture_sides: tuple[float, float, float] = (0.7, 0.2, 0.1)
    frame_sides: tuple[float, float, float] = (0.2, 0.4, 0.4)
    blind: float = 0.03
    longest: int = 96

    def __post_init__(self):
        if self.steps < 1 or abs(sum(share for _, share in self.shares) - 1) > 1e-6:
            raise SettingsError(f"joint recipe: expected steps and shares that add up to 1, got {self}")

    @property
    def plan(self) -> "CoolingPlan":
        """Steps and learning rates."""
        return CoolingPlan(self.steps, self.rate, log_every=50, horizon=self.horizon, cooldown=self.cooldown)


@dataclass(frozen=True)
class CoolingPlan(TrainPlan):
    """The cosine of ``horizon`` steps, cut short: in the last ``cooldown`` steps the rate falls in a straight line."""

    horizon: int = 1
    cooldown: int = 1

    def rate_at(self, step: int) -> float:
        """The cosine's rate at ``step``."""
        return TrainPlan(self.horizon, self.learning_rate, self.warmup, self.final_fraction).rate(step)

    def rate(self, step: int) -> float:
        """Learning rate of step ``step`` (from 0)."""
        begins = self.steps - self.cooldown
        if step < begins:
            return self.rate_at(step)
        left = (self.steps - step) / max(1, self.cooldown)
        return self.rate_at(max(0, begins)) * (self.final_fraction + (1 - self.final_fraction) * left)


_SMOKE = Material(
    24, films=replace(Material().films, signs=3, cards=2, paths=2, photos=2), scenes=4, haystacks=1, shots=16, pages=4,
    shots_named=4,
)  # fmt: skip
RECIPES = {
    "smoke": JointRecipe(_SMOKE, steps=6, horizon=6, cooldown=2, tokens=300, longest=8),
    "nano": JointRecipe(),
}


def recipe(scale: str, **changes: Any) -> JointRecipe:
    """The recipe of a scale, with fields replaced; raises SettingsError for a scale that has none."""
    if scale not in RECIPES:
        raise SettingsError(f"scale {scale!r}: the one model is trained at {', '.join(RECIPES)}")
    return replace(RECIPES[scale], **changes)
