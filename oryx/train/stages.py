"""The stages of the paper's chain, and one way to carry a training out.

SigLIP becomes OryxViT through a light language model (``pretrain``), the connector is aligned (``align``), the model
learns from images (``sft``), then from images, videos and views together (``joint``). Which parts learn in the last is
what the released training code does (reference file ``train.py``: the tower is frozen); which do in the others the
article and the maintainers' answers say, but for their rates, which are not found.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oryx.errors import SettingsError
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.sizes import Partition, Resolution
from oryx.train.checkpoints import save_model, save_weights
from oryx.train.device import Compute, process
from oryx.train.inputs import Progress
from oryx.train.loop import Loss, StepBatches, TrainPlan, Watch, answer_loss, silent, train
from oryx.train.record_batches import RecordBatches
from oryx.train.records import Record

PARTS = ("vision_tower", "compressor", "projector", "language_model")
POINTS = 100
"""Of the curve, in a long training."""


@dataclass(frozen=True)
class Stage:
    """One stage: which of :data:`PARTS` learn in it, and its peak learning rate unless another is asked for."""

    name: str
    trains: tuple[str, ...]
    rate: float

    def prepare(self, model: OryxForConditionalGeneration) -> None:
        """Give gradients to the parts of ``model`` that learn and take them from the others."""
        for part in PARTS:
            for parameter in getattr(model, part).parameters():
                parameter.requires_grad_(part in self.trains and parameter.is_floating_point())
        model.config.freeze_vision, model.config.questions = "vision_tower" not in self.trains, None


STAGES = {
    stage.name: stage
    for stage in (
        Stage("pretrain", PARTS, 1e-4),
        Stage("align", ("projector",), 1e-3),
        Stage("sft", PARTS[1:], 2e-5),
        Stage("joint", PARTS[1:], 2e-5),
    )
}
"""2e-5 is the rate of the released script of the joint stage. The others are ours: the article's are not found."""


@dataclass(frozen=True)
class Training:
    """One training: a model, its batches, loss and plan, and which parts of it are kept.

    ``name``: of the checkpoint and the curve. ``saved``: file -> part, written as safetensors in ``dtype``
    (``torch.int8``: matrices in 8 bits). ``stage``: what learns; None: as the model is.
    """

    name: str
    model: nn.Module
    batches: StepBatches
    loss: Loss
    plan: TrainPlan
    saved: Mapping[str, nn.Module] = field(default_factory=dict)
    dtype: torch.dtype = torch.float16
    stage: Stage | None = None

    def carry_out(
        self, folder: Path, progress: Progress = silent, compute: Compute | None = None, watch: Watch = silent
    ) -> list[dict]:
        """Train in place and write the parts into the folder; goes on from its checkpoint there. Returns the curve.

        ``progress`` and ``watch``: see :func:`oryx.train.loop.train`. Several processes (accelerate) share every batch;
        the first of them writes, and none goes on before it has.
        """
        if self.stage is not None:
            self.stage.prepare(self.model)
        checkpoint = folder / f"{self.name}.pt"
        curve = train(self.model, self.batches, self.loss, self.plan, checkpoint, progress, compute, watch)
        for file, part in self.saved.items():
            save_weights(folder / f"{file}.safetensors", part, self.dtype)
        process().wait_for_everyone()
        return curve


@dataclass(frozen=True)
class StagePlan:
    """How a stage is trained on records; defaults are those of the released script of the joint stage where it has one.

    Attributes:
        steps, epochs: one of them, how long.
        batch: records of a step, of all processes together; ``accumulate``: pieces of each process's share.
        rate: peak of the learning rate, None: the stage's; ``warmup``: share of the steps in which it rises.
        seed: of the order of records.
        limit: most tokens of one record; None: the model's own.
        video: as for :class:`oryx.processing.visuals.Video`.
        sides: kind of record (image, images, video, views) -> side of the compressor's regions, or several by lot;
            others by the model's own rule.
        checkpoint_seconds: between two checkpoints.
        gradient_checkpointing: activations are computed again in the backward pass: less memory, more time.
        workers: DataLoader workers; None: the machine's.
        trackers: names as accelerate has them.
    """

    steps: int | None = None
    epochs: float | None = None
    batch: int = 16
    accumulate: int = 1
    rate: float | None = None
    warmup: float = 0.03
    weight_decay: float = 0.0
    seed: int = 0
    limit: int | None = None
    video: Mapping[str, Any] = field(default_factory=dict)
    sides: Mapping[str, int | Sequence[int]] | None = None
    checkpoint_seconds: float = 1800.0
    gradient_checkpointing: bool = False
    workers: int | None = None
    trackers: tuple[str, ...] = ()

    def schedule(self, stage: Stage, records: int) -> TrainPlan:
        """The steps and rates for so many records; raises SettingsError unless one of steps and epochs is given."""
        if (self.steps is None) == (self.epochs is None):
            raise SettingsError(f"expected steps or epochs, got steps {self.steps} and epochs {self.epochs}")
        steps = self.steps or max(1, math.ceil(self.epochs * records / self.batch))
        rate = stage.rate if self.rate is None else self.rate
        shape = {"warmup": max(1, round(self.warmup * steps)), "final_fraction": 0.0, "betas": (0.9, 0.999)}
        often = {"checkpoint_seconds": self.checkpoint_seconds, "log_every": max(1, steps // POINTS)}
        return TrainPlan(steps, rate, weight_decay=self.weight_decay, trackers=self.trackers, **shape, **often)


def batches_of(
    model: OryxForConditionalGeneration,
    records: Sequence[Record],
    plan: StagePlan,
    view: Resolution | Partition | None = None,
) -> RecordBatches:
    """The batches of a stage's records; arguments as of :func:`train_on_records`."""
    limit, lengths = plan.limit or model.config.tokenizer_model_max_length, getattr(records, "lengths", ())
    how = (dict(plan.video), view or "native", plan.sides or {}, lengths)
    return RecordBatches(records, model.processor, plan.batch, plan.seed, limit, *how)


def train_on_records(
    stage: Stage,
    model: OryxForConditionalGeneration,
    records: Sequence[Record],
    plan: StagePlan,
    folder: str | Path,
    machine: Compute,
    progress: Progress = silent,
    view: Resolution | Partition | None = None,
    watch: Watch = silent,
) -> list[dict]:
    """Train a stage on records and write ``folder/model`` for :func:`oryx.load`; a run that was stopped goes on.

    Args:
        model: whole, with its processor; trained in place.
        folder: gets the checkpoint ``STAGE.pt``, then ``model``.
        progress, watch: see :func:`oryx.train.loop.train`.
        view: how pictures reach the encoder; None: by the model's own rules.

    Returns:
        the curve, see :func:`oryx.train.loop.train`.

    Raises InputError, naming the record, for one that cannot be read or is too long; SettingsError for a plan that does
    not fit; RunError where the disk is full, after which the same call goes on from the last checkpoint.
    """
    schedule, made = plan.schedule(stage, len(records)), batches_of(model, records, plan, view)
    workers = machine.workers if plan.workers is None else plan.workers
    batches = StepBatches(made.draw, made.collate, schedule.steps, made.targets, workers, plan.accumulate)
    if plan.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    training = Training(stage.name, model, batches, answer_loss, schedule, stage=stage)
    curve = training.carry_out(Path(folder), progress, machine, watch)
    save_model(Path(folder) / "model", model)
    return curve
