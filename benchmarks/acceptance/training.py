"""One training of shared parts under bfloat16 autocast, killed in its midst and resumed, against an undisturbed one."""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.acceptance.bench import Bench, drift, forget_devices
from oryx.train.device import compute
from oryx.train.loop import StepBatches, TrainPlan, answer_loss, train
from workbook.stages.models import build_reader
from workbook.stages.recipes import Recipe, recipe
from workbook.stages.shared import fit_training_picture, reader_inputs, sample_targets, sorted_reader_batch

CHECKPOINT = "reader.pt"


def short(tiny: bool) -> Recipe:
    """The reader's training at scale medium, or at smoke, cut to a few steps of its own batches."""
    return recipe("smoke" if tiny else "medium", reader_steps=8 if tiny else 40)


def carry_out(tiny: bool, folder: Path, slowly: bool = False) -> tuple[torch.Tensor, torch.Tensor, list[dict]]:
    """Train in ``folder``, going on from its checkpoint; weights before and after, and the curve.

    A checkpoint is written with every line of the curve. ``slowly``: with a pause in every step, so that somebody else
    finds the time to kill this process.
    """
    forget_devices()
    r, chosen = short(tiny), compute("bf16")

    def draw(step: int) -> list:
        time.sleep(0.5 * slowly)
        return sorted_reader_batch(r, 0, fit_training_picture, step)

    torch.manual_seed(0)
    model = build_reader(r)
    before = weights(model)
    batches = StepBatches(draw, reader_inputs, r.reader_steps, sample_targets)
    plan = TrainPlan(r.reader_steps, r.reader_rate, log_every=r.reader_steps // 4, checkpoint_seconds=-1)
    curve = train(model, batches, answer_loss, plan, folder / CHECKPOINT, compute=chosen)
    return before, weights(model), curve


def weights(model: torch.nn.Module) -> torch.Tensor:
    """All weights in one row, on the CPU."""
    return torch.cat([p.detach().float().cpu().flatten() for p in model.parameters()])


def killed(tiny: bool, folder: Path) -> bool:
    """Start the training in a process of its own and kill it after its first checkpoint; whether it came that far."""
    command = [sys.executable, "-m", __spec__.name, "tiny" if tiny else "medium", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None and not (folder / CHECKPOINT).exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def run(bench: Bench) -> None:
    """Weights and losses of both; on one CPU thread they are equal, on a GPU sums may differ in their last bits."""
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / part for part in ("undisturbed", "killed")]
        for folder in folders:
            folder.mkdir()
        began = time.perf_counter()
        before, after, curve = carry_out(bench.tiny, folders[0])
        spent, steps = time.perf_counter() - began, short(bench.tiny).reader_steps
        in_time = killed(bench.tiny, folders[1])
        done = torch.load(folders[1] / CHECKPOINT, weights_only=True, map_location="cpu")["step"]
        _, again, resumed = carry_out(bench.tiny, folders[1])
    losses = [point["loss"] for point in curve]
    bench.check(
        "training in bf16", all(map(torch.isfinite, torch.tensor(losses))),
        f"{steps} steps, loss {losses[0]:.2f} to {losses[-1]:.2f}, {1e3 * spent / steps:.0f} ms a step with its start",
        losses=losses,
    )  # fmt: skip
    bench.check(
        "training: killed between two checkpoints", in_time and 0 < done < steps, f"after step {done} of {steps}"
    )
    apart = drift(again - before, after - before)
    bench.check(
        "training: resumed against undisturbed, weights", apart < 0.1, f"drift of the change {apart:.1e} (< 0.1)"
    )
    apart = abs(resumed[-1]["loss"] - losses[-1]) / losses[-1]
    bench.check("training: resumed, last loss", apart < 0.02, f"{apart:.1e} apart (< 2 %)")


if __name__ == "__main__":
    torch.set_num_threads(1)
    carry_out(sys.argv[1] == "tiny", Path(sys.argv[2]), slowly=True)
