"""One training loop for every stage and scale: AdamW, linear warm-up, cosine decay, exact resume.

The batch of step t is a function of t alone, however many processes and workers there are, so a run that was killed and
resumed takes the very steps of an undisturbed one. Several processes (``accelerate launch``) share every batch through
DistributedDataParallel, or by FSDP2 or DeepSpeed where accelerate is configured so, and end with the weights of one
process but for the rounding of sums. The loss of most trainings is cross-entropy on answers, one question or several
about each visual.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import DistributedType
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from oryx.errors import InputError, SettingsError
from oryx.layout import IGNORED_LABEL
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train import device
from oryx.train.checkpoints import load_checkpoint, save_checkpoint
from oryx.train.device import Compute, process
from oryx.train.launch import accelerator_for, layer_names

Watch = Callable[[dict], None]
Loss = Callable[[nn.Module, dict], Tensor]
"""(model, batch of this process) -> scalar loss; the mean over processes is the loss of the whole batch."""


def silent(*_: object) -> None:
    """Nothing is shown."""


@dataclass(eq=False)
class StepBatches(Dataset):
    """Item t is the collated batch of step t, this process's share of it.

    Of n processes number r takes the samples r, r + n, r + 2n and so on. A ``draw`` that sorts samples by length thus
    gives every process about as many tokens, and neighbours of one length share attention calls.

    Args:
        draw: step -> all samples of the step's batch; must depend on nothing but the step.
        collate: samples -> model inputs, a dict of tensors on the CPU.
        steps: how many steps there are.
        targets: sample -> how many supervised targets it brings, one by default. Their number in the whole batch over
            the number of processes travels along as ``num_items_in_batch``: a loss that divides its sum by that number
            has the mean of the whole batch as its mean over processes, and so have its gradients.
        pieces: the share is cut into so many batches whose gradients are summed before the step (gradient
            accumulation); an item is then the list of them. With a loss as described the sum is that of the whole.
        workers: DataLoader workers that draw and collate ahead; ``draw`` and ``collate`` are pickled for them, so 0 is
            right where features in memory are all that is drawn from.
    """

    draw: Callable[[int], Sequence[Any]]
    collate: Callable[[Sequence[Any]], dict]
    steps: int
    targets: Callable[[Any], int] | None = None
    workers: int = 0
    pieces: int = 1

    def __post_init__(self):
        state = process()
        self.rank, self.processes = state.process_index, state.num_processes

    def __getitem__(self, step: int) -> dict | list[dict]:
        """The batch of ``step``; raises SettingsError for fewer samples than processes, or than pieces of them all."""
        samples = self.draw(step)
        if len(samples) < self.processes * self.pieces:
            each = f"for each of {self.processes} processes" + f" and {self.pieces} pieces" * (self.pieces > 1)
            raise SettingsError(f"batch of step {step}: expected at least one sample {each}, got {len(samples)}")
        total = len(samples) if self.targets is None else sum(map(self.targets, samples))
        share, items = samples[self.rank :: self.processes], torch.tensor(total / self.processes)
        cut = [share[piece :: self.pieces] for piece in range(self.pieces)]
        made = [{**self.collate(own), "num_items_in_batch": items} for own in cut]
        return made if self.pieces > 1 else made[0]


def loader(batches: StepBatches, first: int, compute: Compute) -> Iterator[dict]:
    """The batches of the steps from ``first`` on, drawn ahead by the dataset's workers, in pinned memory for a GPU."""
    return iter(
        DataLoader(
            batches,
            batch_size=None,
            sampler=range(first, batches.steps),
            num_workers=batches.workers,
            pin_memory=compute.device.type == "cuda",
            generator=torch.Generator(),  # the loader's own draws must not move the training's random numbers
            multiprocessing_context="spawn" if batches.workers else None,
        )
    )


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
    trackers: tuple[str, ...] = ()

    def rate(self, step: int) -> float:
        """Learning rate of step ``step`` (from 0): linear warm-up, then a cosine to ``final_fraction``."""
        warm = min(1.0, (step + 1) / max(1, min(self.warmup, self.steps // 2)))
        cosine = 0.5 * (1 + math.cos(math.pi * step / max(1, self.steps)))
        return self.learning_rate * warm * (self.final_fraction + (1 - self.final_fraction) * cosine)


class Objective(nn.Module):
    """Model and loss as one module, so that DistributedDataParallel sees every use of a parameter."""

    def __init__(self, model: nn.Module, loss: Loss, compute: Compute):
        super().__init__()
        self.model, self.loss, self.autocast = model, loss, compute.autocast()
        self._no_split_modules = layer_names(model)

    def forward(self, batch: dict) -> Tensor:
        """The loss of a batch that lies on the device."""
        with self.autocast:
            return self.loss(self.model, batch)


def train(
    model: nn.Module,
    batches: StepBatches,
    loss: Loss,
    plan: TrainPlan,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] = silent,
    compute: Compute | None = None,
    watch: Watch = silent,
) -> list[dict]:
    """Train ``model`` in place and return its curve, one {step, loss, rate} per ``log_every`` steps (mean loss).

    The model is moved to the device, and so is every batch; nothing else has to be. With ``checkpoint`` the state is
    saved there at the first point of the curve that comes ``checkpoint_seconds`` after the last checkpoint, and an
    interrupted run resumes from it. Parameters that do not require a gradient are left alone.

    ``watch`` gets every point of the curve with ``tokens_per_second``, of all processes since the point before (0 where
    batches do not count their ``tokens``), and ``seconds_left`` at that speed; so do the plan's ``trackers``.
    """
    compute = compute or device.compute()
    accelerator = accelerator_for(plan, compute, checkpoint and checkpoint.parent)
    if accelerator.distributed_type != DistributedType.FSDP:  # which places layer after layer as it cuts them
        compute.place(model)
    parameters = [p for p in model.parameters() if p.requires_grad]
    # fused: one pass over all parameters, where a small model would need hundreds of small calls a step
    optimizer = torch.optim.AdamW(
        parameters, lr=plan.learning_rate, betas=plan.betas, weight_decay=plan.weight_decay, fused=True
    )
    objective, optimizer = accelerator.prepare(Objective(model, loss, compute), optimizer)
    engine = objective if accelerator.distributed_type == DistributedType.DEEPSPEED else None
    start, curve = 0, []
    if checkpoint is not None and checkpoint.exists():
        start, curve = load_checkpoint(checkpoint, model, optimizer, engine)
    model.train()
    saved, began, window, tokens = time.monotonic(), time.monotonic(), [], 0
    for step, batch in zip(range(start, plan.steps), loader(batches, start, compute), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate(step)
        of_step = torch.zeros((), device=compute.device)
        *earlier, last = batch if isinstance(batch, list) else [batch]
        for piece in (*earlier, last):
            tokens += piece.pop("tokens", 0)
            accelerator.sync_gradients = piece is last
            # processes put their gradients together once a step
            with nullcontext() if piece is last else accelerator.no_sync(objective):
                loss_of_piece = objective(send_to_device(piece, compute.device, non_blocking=True))
                accelerator.backward(loss_of_piece)
            of_step += loss_of_piece.detach()
        accelerator.clip_grad_norm_(objective.parameters(), plan.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        window.append(of_step)
        done = step + 1
        if done % plan.log_every == 0 or done == plan.steps:
            now = time.monotonic()
            here = torch.stack([torch.stack(window).mean(), *of_step.new_tensor([now - saved, now - began, tokens])])
            # all processes save a checkpoint or none does, so that they need one clock
            mean, seconds, spent, read = accelerator.reduce(here, "mean").tolist()
            curve.append({"step": done, "loss": mean, "rate": plan.rate(step)})
            speed = {"tokens_per_second": read * accelerator.num_processes / spent}
            speed["seconds_left"] = spent / len(window) * (plan.steps - done)
            watch(curve[-1] | speed)
            accelerator.log(curve[-1] | speed, step=done)
            window, tokens, began = [], 0, now
            progress(done, plan.steps)
            if checkpoint is not None and (seconds > plan.checkpoint_seconds or done == plan.steps):
                save_checkpoint(checkpoint, model, optimizer, done, curve, engine)
                saved = time.monotonic()
    for tracker in accelerator.trackers:
        tracker.finish()
    model.eval()
    return curve


def answer_loss(model: OryxForConditionalGeneration, batch: dict) -> Tensor:
    """Cross-entropy on the answers of a batch, as :class:`StepBatches` scales it.

    A batch of :func:`oryx.train.inputs.text_batch` asks one question a sample; one of
    :func:`oryx.train.inputs.questions_batch` reads each visual once for all questions about it.
    """
    return questions_loss(model, **batch) if "text_ids" in batch else model(**batch, loss_only=True).loss


def questions_mask(question: Tensor, visual: int) -> Tensor:
    """Who sees whom, (B, 1, V + S, V + S) bool, for V visual tokens followed by questions (B, S) numbered from 0.

    A question sees the visual and itself, and none of the others.
    """
    batch, text = question.shape
    own = question[:, :, None] == question[:, None, :]
    seen = torch.cat([own.new_ones(batch, text, visual), own], 2)
    mask = torch.cat([seen.new_ones(batch, visual, visual + text), seen], 1)
    causal = torch.ones(visual + text, visual + text, dtype=torch.bool, device=question.device).tril()
    return (mask & causal)[:, None]


def questions_loss(
    model: OryxForConditionalGeneration,
    text_ids: Tensor,
    text_labels: Tensor,
    text_question: Tensor,
    text_place: Tensor,
    num_items_in_batch: Tensor | None = None,
    **visual: Tensor,
) -> Tensor:
    """The sum of cross-entropies over all answer tokens, over ``num_items_in_batch`` (default: their number).

    The loss equals that of separate samples, one per question. ``visual``: the visual inputs of
    :meth:`OryxForConditionalGeneration.encode_visuals`, one visual a sample, all of one length in tokens. Raises
    InputError for visuals of different lengths, or another number of them than of samples.
    """
    encoded = model.encode_visuals(**visual)
    if len(encoded) != len(text_ids) or len({len(one) for one in encoded}) != 1:
        raise InputError(f"expected {len(text_ids)} visuals of one length, got lengths {[len(one) for one in encoded]}")
    shown = torch.stack(encoded)
    length, device = shown.shape[1], shown.device
    text = model.get_input_embeddings()(text_ids)
    logits = model(
        inputs_embeds=torch.cat([shown.to(text.dtype), text], 1),
        attention_mask=questions_mask(text_question, length),
        position_ids=torch.cat([torch.arange(length, device=device).expand(len(shown), -1), text_place + length], 1),
        use_cache=False,
        logits_to_keep=text_ids.shape[1],
    ).logits
    targets = text_labels[:, 1:].flatten()
    total = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), targets, ignore_index=IGNORED_LABEL, reduction="sum")
    return total / ((targets >= 0).sum() if num_items_in_batch is None else num_items_in_batch)
