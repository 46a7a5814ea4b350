"""One arm of a picture study: a shared encoder and reader, trained on at the arm's resolution.

Every arm starts from the same shared weights (equally warm) and takes the same steps on the same items in the same
order; arms differ in what their pictures look like when they reach the encoder, and in nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.partition import Partition
from oryx.processing.resolution import Resolution
from oryx.train.data import StepBatches
from oryx.train.inputs import picture_inputs
from oryx.train.loop import TrainPlan, train
from oryx.train.losses import answer_loss
from workbook.data.items import generator
from workbook.data.pictures import PictureSizes
from workbook.stages.kept_items import kept_training_items, shelf_of


@dataclass(frozen=True)
class ArmPlan:
    """What an arm is trained on and for how long; ``frozen`` keeps the encoder as shared and caches its features."""

    resolution: Resolution | Partition | None
    mixture: dict[str, float]
    sizes: PictureSizes
    items: int
    batch: int
    plan: TrainPlan
    frozen: bool = True


def train_arm(
    model: OryxForConditionalGeneration,
    arm: ArmPlan,
    seed: int,
    folder: Path,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> list[dict]:
    """Train ``model`` in place on the arm's items; returns the curve. ``folder``: of the job; resumes from its
    checkpoints."""
    model.freeze_vision(arm.frozen)
    items = kept_training_items(shelf_of(folder), seed, arm.items, arm.mixture, arm.sizes)
    inputs = picture_inputs(
        items,
        arm.resolution,
        arm.sizes.patch,
        model if arm.frozen else None,
        lambda done, total: progress("encode", done, total),
    )

    def draw(step: int) -> list[int]:
        chosen = generator("arm", seed, step).choice(len(items), arm.batch, replace=False)
        return sorted(chosen.tolist(), key=inputs.sort_key)

    torch.manual_seed(seed)
    return train(
        model,
        StepBatches(draw, inputs.batch, arm.plan.steps, inputs.targets),
        answer_loss,
        arm.plan,
        folder / "checkpoints" / "arm.pt",
        lambda done, total: progress("train", done, total),
    )
