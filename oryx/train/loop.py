"""One training loop for every stage and scale: AdamW, linear warm-up, cosine decay, exact resume.

The batch of step t is a function of t alone, so a run that was killed and resumed takes the very steps of an
undisturbed one. On one CPU process accelerate adds nothing but the device; on GPUs it brings mixed precision and
several processes.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from oryx.train.checkpoints import load_checkpoint, save_checkpoint
from oryx.train.gradients import average_gradients, exchange_for


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


def train(
    model: nn.Module,
    loss_of: Callable[[nn.Module, int], torch.Tensor],
    plan: TrainPlan,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    accelerator: Accelerator | None = None,
) -> list[dict]:
    """Train ``model`` in place and return its curve, one {step, loss, rate} per ``log_every`` steps (mean loss).

    ``loss_of(model, step)`` builds the batch of that step and returns its scalar loss. With ``checkpoint`` the state is
    saved there at least every ``checkpoint_seconds`` and a run goes on from it; parameters that do not require a
    gradient are left alone.
    """
    accelerator = accelerator or Accelerator(cpu=not torch.cuda.is_available())
    parameters = [p for p in model.parameters() if p.requires_grad]
    # fused: one pass over all parameters, where a small model would need hundreds of small calls a step
    optimizer = torch.optim.AdamW(
        parameters, lr=plan.learning_rate, betas=plan.betas, weight_decay=plan.weight_decay, fused=True
    )
    model = accelerator.prepare_model(model, evaluation_mode=True)  # no wrapper: gradients are averaged below
    optimizer = accelerator.prepare(optimizer)
    start, curve = 0, []
    if checkpoint is not None and checkpoint.exists():
        start, curve = load_checkpoint(checkpoint, accelerator.unwrap_model(model), optimizer)
    exchange = exchange_for(parameters, accelerator) if accelerator.num_processes > 1 else None
    model.train()
    saved, window = time.monotonic(), []
    for step in range(start, plan.steps):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate(step)
        with accelerator.autocast():
            loss = loss_of(model, step)
        accelerator.backward(loss)
        if exchange is not None:
            average_gradients(parameters, accelerator.num_processes, exchange)
        accelerator.clip_grad_norm_(parameters, plan.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        window.append(loss.detach())
        done = step + 1
        if done % plan.log_every == 0 or done == plan.steps:
            loss = accelerator.reduce(torch.stack(window).mean(), "mean")  # each process has the loss of its share
            curve.append({"step": done, "loss": float(loss), "rate": plan.rate(step)})
            window = []
            progress(done, plan.steps)
            if checkpoint is not None and (time.monotonic() - saved > plan.checkpoint_seconds or done == plan.steps):
                if accelerator.is_main_process:
                    save_checkpoint(checkpoint, accelerator.unwrap_model(model), optimizer, done, curve)
                saved = time.monotonic()
    model.eval()
    return curve
