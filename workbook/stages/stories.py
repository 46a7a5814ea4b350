"""Training on stories: glances first, then whole films, at the ratios of an arm; the encoder is frozen.

Features of a bank are computed once for all arms. Connector, projector and language model learn. What a step shows is a
function of (seed, step) and the ratios alone, so arms of the same ratios take the same steps on the same stories.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from oryx.errors import SettingsError
from oryx.eval.features import FrameTokens
from oryx.grids import Grid, compressed_grid, uniform_indices, video_token_count
from oryx.layout import Layout
from oryx.model.connectors import build_compressor
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train.data import StepBatches
from oryx.train.device import Compute
from oryx.train.loop import TrainPlan, train
from oryx.train.losses import answer_loss
from oryx.train.text import answer_targets, questions_batch
from workbook.data.items import generator
from workbook.data.stories import LENGTHS, PATH
from workbook.data.story_bank import StoryBank, TrainingStory, draw_glance, draw_story

GLANCE_TEXT, STORY_TEXT = 20, 75
"""Tokens that all questions and answers of a glance and of a story take, about."""

LONGEST = 1024
"""Visual tokens of the longest film that is trained on; a film that would take more is shown short."""

SIGNS = 0.6
"""Share of glances that are signs: reading takes longest to learn."""


@dataclass(frozen=True)
class StoryPlan:
    """What is trained on, and how much.

    ``steps``: the first share ``first`` of them are glances alone, later ones with a share of ``glances``, else films.
    ``sides``: region sides k, each equally often, but k = 1 half as often as the others if there are others.
    ``tokens``: tokens of a step, text included, about. ``most``: most glances in a step. ``long_share``: share of long
    stories among films, where they fit LONGEST.
    ``frames``: how many frames of a long story are shown, one of these numbers a step; empty: all.
    """

    steps: int
    sides: tuple[int, ...]
    tokens: int
    rate: float
    first: float = 0.2
    glances: float = 0.35
    long_share: float = 0.2
    most: int = 96
    frames: tuple[int, ...] = ()
    warmup: int = 50

    def __post_init__(self):
        if self.steps < 1 or not self.sides:
            raise SettingsError(f"training on stories: expected steps and region sides, got {self}")


@dataclass(frozen=True)
class Step:
    """One batch: stories shown at one input (a key of the features), region side and number of frames."""

    source: int
    side: int
    stories: tuple[TrainingStory, ...]

    def split(self) -> list["Step"]:
        """The samples of the batch: a step of one story each."""
        return [replace(self, stories=(story,)) for story in self.stories]


def joined_step(samples: Sequence[Step]) -> Step:
    """The samples of a batch together again."""
    return replace(samples[0], stories=tuple(story for sample in samples for story in sample.stories))


def step_targets(step: Step) -> int:
    """Supervised tokens of all answers."""
    return sum(answer_targets(answer) for story in step.stories for _, answer in story.turns)


def draw_step(
    plan: StoryPlan,
    seed: int,
    step: int,
    bank: StoryBank,
    sources: Mapping[int, Sequence[int]],
    grid_of: Callable[[int, int], Grid],
) -> Step:
    """The batch of a step.

    ``sources``: region side -> the sources it may be shown at, evenly drawn; ``grid_of(source, side)``: a frame's
    tokens before compression, which decide how many stories a step holds.
    """
    rng = generator("stories", seed, step)
    weights = np.array([0.5 if side == 1 else 1.0 for side in plan.sides])
    side = int(rng.choice(plan.sides, p=weights / weights.sum()))
    glance = step < plan.first * plan.steps or rng.random() < plan.glances
    source = sources[side][int(rng.integers(len(sources[side])))]
    grid = compressed_grid(grid_of(source, side), side)
    if glance:
        kind = "sign" if rng.random() < SIGNS else "object"
        cost = video_token_count(1 if kind == "sign" else PATH, grid) + GLANCE_TEXT
        count = min(plan.most, max(2, plan.tokens // cost))
        return Step(source, side, tuple(draw_glance(rng, bank, kind) for _ in range(count)))
    frames = shown = LENGTHS["short"]
    fitting = [n for n in plan.frames or (LENGTHS["long"],) if video_token_count(n, grid) <= LONGEST]
    if rng.random() < plan.long_share and fitting:
        frames, shown = LENGTHS["long"], fitting[int(rng.integers(len(fitting)))]
    count = max(2, plan.tokens // (video_token_count(shown, grid) + STORY_TEXT))
    stories = (draw_story(rng, bank, frames) for _ in range(count))
    chosen = uniform_indices(frames, shown)
    return Step(source, side, tuple(replace(s, frames=tuple(s.frames[i] for i in chosen)) for s in stories))


def step_inputs(step: Step, features: FrameTokens, side: int) -> dict[str, Tensor]:
    """The model's visual inputs for a step; ``features``: those of the bank at the step's source."""
    numbers = [number for story in step.stories for number in story.frames]
    frames = len(step.stories[0].frames)
    return {
        "vision_features": features.tokens[numbers].flatten(0, 1).float(),
        "image_grids": torch.tensor([features.grid] * len(numbers)),
        "visual_spec": torch.tensor([[Layout.VIDEO, frames, side]] * len(step.stories)),
    }


def train_stories(
    model: OryxForConditionalGeneration,
    bank: StoryBank,
    features: Mapping[int, FrameTokens],
    sources: Mapping[int, Sequence[int]],
    plan: StoryPlan,
    seed: int,
    checkpoint: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    compresses: bool = True,
    compute: Compute | None = None,
) -> list[dict]:
    """Train connector, projector and language model in place; returns the curve, and resumes from ``checkpoint``.

    Args:
        features: uncompressed tokens of the bank's frames, by source (side of the pictures in pixels).
        sources: region side -> the sources it may be shown at.
        compresses: False: the arm's sources are small already, and its connector is always asked for side 1.
    """
    model.freeze_vision()

    def grid_of(source: int, side: int) -> Grid:
        grid = features[source].grid
        return grid if compresses else (grid[0] * side, grid[1] * side)  # the grids, so the steps, of compressed arms

    def draw(number: int) -> list[Step]:
        return draw_step(plan, seed, number, bank, sources, grid_of).split()

    def collate(samples: Sequence[Step]) -> dict[str, Tensor]:
        step = joined_step(samples)
        visual = step_inputs(step, features[step.source], step.side if compresses else 1)
        return {**questions_batch([story.turns for story in step.stories]), **visual}

    batches = StepBatches(draw, collate, plan.steps, step_targets)
    schedule = TrainPlan(plan.steps, plan.rate, warmup=plan.warmup)
    torch.manual_seed(seed)
    return train(model, batches, answer_loss, schedule, checkpoint, progress, compute)


def with_connector(
    model: OryxForConditionalGeneration, name: str, seed: int, factor: int = 2
) -> OryxForConditionalGeneration:
    """Give ``model`` the connector of that name, its weights drawn from ``seed``; changes and returns it.

    ``factor``: what the connector multiplies uncompressed tokens by. The projector has learned with tokens times two;
    its first layer is scaled so that the model computes what it did before on uncompressed tokens, whatever the factor.
    """
    model.config.compressor = name
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.compressor = build_compressor(model.config).to(model.device)
    with torch.no_grad():
        model.projector.proj[0].weight.mul_(2 / factor)
    return model
