"""Long-context retrieval training: a question about one frame, or about two, of a clip of many frames.

Only language model and projector learn; the frames' compressed tokens are computed once for a whole bank, so a clip of
hundreds of frames costs no encoding. All clips of a step have one length, drawn log-uniformly (our choice: the paper
does not say how it drew lengths).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from oryx.errors import SettingsError
from oryx.eval.features import FrameTokens
from oryx.grids import video_token_count
from oryx.layout import Layout
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train.data import StepBatches
from oryx.train.device import Compute
from oryx.train.loop import TrainPlan, train
from oryx.train.losses import answer_loss
from oryx.train.text import answer_targets, text_batch
from workbook.data.frame_bank import MIXTURE, Clip, FrameBank, draw_clip
from workbook.data.items import generator


@dataclass(frozen=True)
class RetrievalPlan:
    """Clip lengths and how much to train.

    ``tokens``: most video tokens in a step; ``most_clips``: most clips in a step. ``shortest`` and ``longest``: frames
    in a clip.
    """

    shortest: int
    longest: int
    tokens: int
    most_clips: int
    plan: TrainPlan

    def __post_init__(self):
        if not 2 <= self.shortest <= self.longest:
            raise SettingsError(f"clips: expected 2 <= shortest <= longest, got {self.shortest} and {self.longest}")


def step_shape(plan: RetrievalPlan, seed: int, step: int, grid: tuple[int, int]) -> tuple[int, int]:
    """(clips, frames of each) of a step."""
    rng = generator("retrieval length", seed, step)
    low, high = math.log(plan.shortest), math.log(plan.longest + 1)
    length = min(plan.longest, int(math.exp(rng.uniform(low, high))))
    return max(1, min(plan.most_clips, plan.tokens // video_token_count(length, grid))), length


def tokens_trained_on(plan: RetrievalPlan, seed: int, grid: tuple[int, int]) -> int:
    """Video tokens of all steps."""
    shapes = (step_shape(plan, seed, step, grid) for step in range(plan.plan.steps))
    return sum(clips * video_token_count(length, grid) for clips, length in shapes)


def steps_for_tokens(plan: RetrievalPlan, seed: int, grid: tuple[int, int], tokens: int) -> int:
    """How many steps of ``plan`` bring at least ``tokens`` video tokens; its own number of steps is not looked at."""
    step = 0
    while tokens > 0:
        clips, length = step_shape(plan, seed, step, grid)
        tokens -= clips * video_token_count(length, grid)
        step += 1
    return step


def train_retrieval(
    model: OryxForConditionalGeneration,
    bank: FrameBank,
    tokens: FrameTokens,
    plan: RetrievalPlan,
    seed: int,
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    compute: Compute | None = None,
) -> list[dict]:
    """Train projector and language model in place on clips of ``bank``, whose frames' ``tokens`` are given in order.

    Returns the curve; resumes from ``folder``/checkpoints.
    """
    model.vision_tower.requires_grad_(False)
    model.compressor.requires_grad_(False)

    def draw(step: int) -> list[Clip]:
        rng, (clips, length) = generator("retrieval", seed, step), step_shape(plan, seed, step, tokens.grid)
        return [draw_clip(rng, bank, length, MIXTURE) for _ in range(clips)]

    def collate(clips: Sequence[Clip]) -> dict[str, Tensor]:
        shown = tokens.tokens[[number for clip in clips for number in clip.frames]]
        return {
            **text_batch([clip.question for clip in clips], [clip.answer for clip in clips]),
            "compressed_features": shown.flatten(0, 1).float(),
            "image_grids": torch.tensor([tokens.grid] * len(shown)),
            "visual_spec": torch.tensor([[Layout.VIDEO, len(clip.frames), 1] for clip in clips]),
        }

    batches = StepBatches(draw, collate, plan.plan.steps, lambda clip: answer_targets(clip.answer))
    torch.manual_seed(seed)
    return train(model, batches, answer_loss, plan.plan, folder / "checkpoints" / "retrieval.pt", progress, compute)
