"""One training loop for every stage and scale: AdamW, linear warm-up, cosine decay, exact resume.

The batch of step t is a function of t alone, so a run that was killed and resumed takes the very steps of an
undisturbed one. Several processes (``accelerate launch``) share every batch through DistributedDataParallel and end
with the weights of one process but for the rounding of sums.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch import Tensor, nn

from oryx.train import device
from oryx.train.checkpoints import load_checkpoint, save_checkpoint
from oryx.train.data import StepBatches, loader
from oryx.train.device import Compute, send

Loss = Callable[[nn.Module, dict], Tensor]
"""(model, batch of this process) -> scalar loss; the mean over processes is the loss of the whole batch."""


@dataclass(frozen=True)
class TrainPlan:
    """How long and how fast to train; limits are steps, never seconds."""

    steps: int
    learning_rate: float
    warmup: int = 100
    final_fraction: float = 0.05
    weight_decay: float = 0.02
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    checkpoint_seconds: float = 60.0
    log_every: int = 20

    def rate(self, step: int) -> float:
        """Learning rate of step ``step`` (from 0): linear warm-up, then a cosine to ``final_fraction``."""
        warm = min(1.0, (step + 1) / max(1, min(self.warmup, self.steps // 2)))
        cosine = 0.5 * (1 + math.cos(math.pi * step / max(1, self.steps)))
        return self.learning_rate * warm * (self.final_fraction + (1 - self.final_fraction) * cosine)


class Objective(nn.Module):
    """Model and loss as one module, so that DistributedDataParallel sees every use of a parameter."""

    def __init__(self, model: nn.Module, loss: Loss, compute: Compute):
        super().__init__()
        self.model, self.loss, self.compute = model, loss, compute

    def forward(self, batch: dict) -> Tensor:
        """The loss of a batch that lies on the device."""
        with self.compute.autocast():
            return self.loss(self.model, batch)


def train(
    model: nn.Module,
    batches: StepBatches,
    loss: Loss,
    plan: TrainPlan,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    compute: Compute | None = None,
) -> list[dict]:
    """Train ``model`` in place and return its curve, one {step, loss, rate} per ``log_every`` steps (mean loss).

    The model is moved to the device, and so is every batch; nothing else has to be. With ``checkpoint`` the state is
    saved there at least every ``checkpoint_seconds`` and a run goes on from it. Parameters that do not require a
    gradient are left alone.
    """
    compute = compute or device.compute()
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(cpu=compute.device.type == "cpu", kwargs_handlers=[unused])
    compute.place(model)
    parameters = [p for p in model.parameters() if p.requires_grad]
    # fused: one pass over all parameters, where a small model would need hundreds of small calls a step
    optimizer = torch.optim.AdamW(
        parameters, lr=plan.learning_rate, betas=plan.betas, weight_decay=plan.weight_decay, fused=True
    )
    objective, optimizer = accelerator.prepare(Objective(model, loss, compute), optimizer)
    start, curve = 0, []
    if checkpoint is not None and checkpoint.exists():
        start, curve = load_checkpoint(checkpoint, model, optimizer)
    model.train()
    saved, window = time.monotonic(), []
    for step, batch in zip(range(start, plan.steps), loader(batches, start, compute), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate(step)
        of_step = objective(send(batch, compute.device))
        accelerator.backward(of_step)
        accelerator.clip_grad_norm_(parameters, plan.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        window.append(of_step.detach())
        done = step + 1
        if done % plan.log_every == 0 or done == plan.steps:
            mean = accelerator.reduce(torch.stack(window).mean(), "mean")
            curve.append({"step": done, "loss": float(mean), "rate": plan.rate(step)})
            window = []
            progress(done, plan.steps)
            if checkpoint is not None and (time.monotonic() - saved > plan.checkpoint_seconds or done == plan.steps):
                if accelerator.is_main_process:
                    save_checkpoint(checkpoint, model, optimizer, done, curve)
                saved = time.monotonic()
    model.eval()
    return curve
