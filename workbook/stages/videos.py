"""Training on videos whose frames are encoded once: stories at the ratios of an arm, and retrieval from long clips.

Both are stage ``joint``.

Stories: singles first, then whole films. What a step shows is a function of (seed, step) and the ratios alone, so arms
of the same ratios take the same steps on the same stories.

Retrieval: a question about one frame, or about two, of a clip of many frames. Their compressed tokens are kept: a clip
of hundreds of frames costs no encoding, and the compressor gets no gradient. All clips of a step have one length, drawn
log-uniformly (our choice: the paper does not say how it drew lengths).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, count
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oryx.eval.features import FrameTokens
from oryx.grids import Grid, compressed_grid, uniform_indices, video_token_count
from oryx.layout import Layout
from oryx.model.connectors import build_compressor
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train.inputs import answer_targets, questions_batch, text_batch
from oryx.train.loop import StepBatches, TrainPlan, answer_loss
from oryx.train.stages import STAGES, Training
from workbook.data.items import generator
from workbook.data.needles import MIXTURE, Clip, FrameDataset, draw_clip
from workbook.data.stories import LENGTHS, PATH, VideoDataset, draw_single, draw_story
from workbook.stages.stage import Options

SINGLE_TEXT, STORY_TEXT = 20, 75
"""Tokens that all questions and answers of a single and of a story take, about."""

LONGEST = 1024
"""Visual tokens of the longest film that is trained on; a film that would take more is shown short."""

SIGNS = 0.6
"""Share of singles that are signs: reading takes longest to learn."""

MOST = 96
"""Most singles in a step."""

SHORTEST = 2
"""Frames in the shortest clip of retrieval: a question about a change needs two."""


@dataclass(frozen=True)
class StoryPlan:
    """What is trained on, and how much.

    ``steps``: the first share ``first`` of them are singles alone, later ones with a share of ``singles``, else films.
    ``sides``: region sides k, each equally often, but k = 1 half as often as the others if there are others.
    ``tokens``: tokens of a step, text included, about. ``long_share``: share of long stories among films, where they
    fit LONGEST.
    ``frames``: how many frames of a long story are shown, one of these numbers a step; empty: all.
    """

    steps: int
    sides: tuple[int, ...]
    tokens: int
    rate: float
    first: float = 0.2
    singles: float = 0.35
    long_share: float = 0.2
    frames: tuple[int, ...] = ()


@dataclass(frozen=True)
class Sample:
    """One visual with its questions, from which source (a key of the features, or frames) and at which region side.

    Of the mixture for the one model: ``task``, and ``blind`` if there is nothing to see, so that the control without a
    visual is one that the model has met.
    """

    source: Any
    side: int
    clip: Clip
    task: str = "films"
    blind: bool = False


def frame_inputs(
    clips: Sequence[Clip], tokens: FrameTokens, side: int, name: str = "vision_features"
) -> dict[str, Tensor]:
    """The model's visual inputs for clips; ``tokens``: those of all frames of the dataset."""
    numbers = [number for clip in clips for number in clip.frames]
    return {
        name: tokens.tokens[numbers].flatten(0, 1).float(),
        "image_grids": torch.tensor([tokens.grid] * len(numbers)),
        "visual_spec": torch.tensor([[Layout.VIDEO, len(clip.frames), side] for clip in clips]),
    }


def question_inputs(clips: Sequence[Clip], visual: bool = True) -> dict[str, Tensor]:
    """The text of clips with labels, one sample a question."""
    questions, answers = zip(*(turn for clip in clips for turn in clip.turns), strict=True)
    return text_batch(questions, answers, visual)


def clip_targets(clip: Clip) -> int:
    """Supervised tokens of all answers."""
    return sum(answer_targets(answer) for _, answer in clip.turns)


def draw_step(
    plan: StoryPlan,
    seed: int,
    step: int,
    dataset: VideoDataset,
    sources: Mapping[int, Sequence[int]],
    grid_of: Callable[[int, int], Grid],
) -> list[Sample]:
    """The samples of a step, all of one source and region side.

    ``sources``: region side -> the sources it may be shown at, evenly drawn; ``grid_of(source, side)``: a frame's
    tokens before compression, which decide how many stories a step holds.
    """
    rng = generator("stories", seed, step)
    weights = np.array([0.5 if side == 1 else 1.0 for side in plan.sides])
    side = int(rng.choice(plan.sides, p=weights / weights.sum()))
    single = step < plan.first * plan.steps or rng.random() < plan.singles
    source = sources[side][int(rng.integers(len(sources[side])))]
    grid = compressed_grid(grid_of(source, side), side)
    if single:
        kind = "sign" if rng.random() < SIGNS else "object"
        cost = video_token_count(1 if kind == "sign" else PATH, grid) + SINGLE_TEXT
        count = min(MOST, max(2, plan.tokens // cost))
        return [Sample(source, side, draw_single(rng, dataset, kind)) for _ in range(count)]
    frames = shown = LENGTHS["short"]
    fitting = [n for n in plan.frames or (LENGTHS["long"],) if video_token_count(n, grid) <= LONGEST]
    if rng.random() < plan.long_share and fitting:
        frames, shown = LENGTHS["long"], fitting[int(rng.integers(len(fitting)))]
    count = max(2, plan.tokens // (video_token_count(shown, grid) + STORY_TEXT))
    stories = [draw_story(rng, dataset, frames) for _ in range(count)]
    chosen = uniform_indices(frames, shown)
    return [Sample(source, side, replace(s, frames=tuple(s.frames[i] for i in chosen))) for s in stories]


def train_stories(
    model: OryxForConditionalGeneration,
    dataset: VideoDataset,
    features: Mapping[int, FrameTokens],
    sources: Mapping[int, Sequence[int]],
    plan: StoryPlan,
    options: Options,
    name: str = "arm",
    compresses: bool = True,
) -> list[dict]:
    """Train connector, projector and language model in place; returns the curve, and resumes from ``checkpoints``.

    Args:
        features: uncompressed tokens of the dataset's frames, by source (side of the pictures in pixels).
        sources: region side -> the sources it may be shown at.
        name: of the checkpoint.
        compresses: False: the arm's sources are small already, and its connector is always asked for side 1.
    """

    def grid_of(source: int, side: int) -> Grid:
        grid = features[source].grid
        return grid if compresses else (grid[0] * side, grid[1] * side)  # the grids, so the steps, of compressed arms

    def collate(samples: Sequence[Sample]) -> dict[str, Tensor]:
        first, clips = samples[0], [sample.clip for sample in samples]
        visual = frame_inputs(clips, features[first.source], first.side if compresses else 1)
        return {**questions_batch([clip.turns for clip in clips]), **visual}

    draw = partial(draw_step, plan, options.seed, dataset=dataset, sources=sources, grid_of=grid_of)
    batches = StepBatches(draw, collate, plan.steps, lambda sample: clip_targets(sample.clip))
    torch.manual_seed(options.seed)
    schedule = TrainPlan(plan.steps, plan.rate, warmup=50)
    training = Training(f"checkpoints/{name}", model, batches, answer_loss, schedule, stage=STAGES["joint"])
    return training.carry_out(*options.how)


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


@dataclass(frozen=True)
class RetrievalPlan:
    """Clip lengths and how much to train.

    ``longest``: most frames in a clip, of at least SHORTEST. ``tokens``: most video tokens in a step; ``most_clips``:
    most clips in a step. ``twice``: every clip is half as long and shown twice.
    """

    longest: int
    tokens: int
    most_clips: int
    plan: TrainPlan
    twice: bool = False


def step_shape(plan: RetrievalPlan, seed: int, step: int, grid: tuple[int, int]) -> tuple[int, int]:
    """(clips, frames of each) of a step."""
    rng = generator("retrieval length", seed, step)
    low, high = math.log(SHORTEST), math.log(plan.longest + 1)
    length = min(plan.longest, int(math.exp(rng.uniform(low, high))))
    return max(1, min(plan.most_clips, plan.tokens // video_token_count(length, grid))), length


def _step_tokens(plan: RetrievalPlan, seed: int, step: int, grid: tuple[int, int]) -> int:
    clips, length = step_shape(plan, seed, step, grid)
    return clips * video_token_count(length, grid)


def tokens_trained_on(plan: RetrievalPlan, seed: int, grid: tuple[int, int]) -> int:
    """Video tokens of all steps."""
    return sum(_step_tokens(plan, seed, step, grid) for step in range(plan.plan.steps))


def steps_for_tokens(plan: RetrievalPlan, seed: int, grid: tuple[int, int], tokens: int) -> int:
    """How many steps of ``plan`` bring at least ``tokens`` video tokens; its own number of steps is not looked at."""
    brought = accumulate(_step_tokens(plan, seed, step, grid) for step in count())
    return next(steps for steps, found in enumerate(brought, 1) if found >= tokens)


def train_retrieval(
    model: OryxForConditionalGeneration,
    dataset: FrameDataset,
    tokens: FrameTokens,
    plan: RetrievalPlan,
    options: Options,
) -> list[dict]:
    """Train projector and language model in place on clips of ``dataset``, whose frames' ``tokens`` are given in order.

    Returns the curve; resumes from ``checkpoints``.
    """
    seed = options.seed

    def draw(step: int) -> list[Clip]:
        rng, (clips, length) = generator("retrieval", seed, step), step_shape(plan, seed, step, tokens.grid)
        drawn_length = max(SHORTEST, length // 2) if plan.twice else length
        drawn = [draw_clip(rng, dataset, drawn_length, MIXTURE) for _ in range(clips)]
        return [replace(clip, frames=clip.frames * 2) for clip in drawn] if plan.twice else drawn

    def collate(clips: Sequence[Clip]) -> dict[str, Tensor]:
        return {**question_inputs(clips), **frame_inputs(clips, tokens, 1, "compressed_features")}

    batches = StepBatches(draw, collate, plan.plan.steps, clip_targets)
    torch.manual_seed(seed)
    training = Training("checkpoints/retrieval", model, batches, answer_loss, plan.plan, stage=STAGES["joint"])
    return training.carry_out(*options.how)
