"""The trainings that ``python -m oryx.train STAGE`` carries out, and what they have in common.

One shape of a training, one way to carry it out, one manifest. The module of a stage is imported when asked for.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch
from torch import nn

from oryx.errors import SettingsError
from oryx.files import atomic_write_json, sha256_file
from oryx.train.checkpoints import save_weights
from oryx.train.device import Compute, compute, process
from oryx.train.loop import Loss, StepBatches, TrainPlan, train
from workbook.data import corpora

STAGES = {
    "shared": "shared:run",
    "encoders": "encoders:run",
    "language_model": "encoders:run_language_model",
    "video_reader": "video_reader:run",
    "one_model": "one_model:run",
}
"""Name -> module of this package and its function of Options that carries the stage out."""


Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """No progress is shown."""


@dataclass(frozen=True)
class Options:
    """What is asked of a stage.

    ``start``: a folder with the SigLIP to start from, None: trained first. ``changes``: fields of the recipe to change.
    """

    scale: str
    seed: int
    folder: Path
    start: Path | None = None
    compute: Compute | None = None
    progress: Progress = silent
    changes: Mapping[str, Any] = field(default_factory=dict)

    def command(self, stage: str) -> str:
        """The command that does it again; folders as placeholders."""
        start = "" if self.start is None else " --start oryx/weights/nano"
        changes = "".join(f" -p {name}={json.dumps(value)}" for name, value in self.changes.items())
        return f"python -m oryx.train {stage} --scale {self.scale} --seed {self.seed} --folder FOLDER{start}{changes}"


@dataclass(frozen=True)
class Training:
    """One training: a model, its batches, loss and plan, and which parts of it are kept.

    ``name``: of the checkpoint and the curve. ``saved``: file -> part, written as safetensors in ``dtype``
    (``torch.int8``: matrices in 8 bits).
    """

    name: str
    model: nn.Module
    batches: StepBatches
    loss: Loss
    plan: TrainPlan
    saved: Mapping[str, nn.Module] = field(default_factory=dict)
    dtype: torch.dtype = torch.float16

    def carry_out(self, options: Options) -> list[dict]:
        """Train in place and write the parts into the folder; goes on from its checkpoint there. Returns the curve.

        Several processes (accelerate) share every batch; the first of them writes, and none goes on before it has.
        """
        checkpoint, show = options.folder / f"{self.name}.pt", options.progress
        curve = train(self.model, self.batches, self.loss, self.plan, checkpoint, show, options.compute)
        if process().is_main_process:
            for file, part in self.saved.items():
                save_weights(options.folder / f"{file}.safetensors", part, self.dtype)
        process().wait_for_everyone()
        return curve


def write_manifest(path: Path, stage: str, options: Options, recipe: Any, files, curves, data, **more) -> None:
    """What ships beside weights: how they were made, from what, and what identifies them. The first process writes.

    ``files``: paths of the weights; ``curves``: name of a training -> its curve; ``data``: the corpora that were drawn
    from; ``more``: what else to note. ``sha256`` is a hash where there is one file, else a hash for each; likewise
    ``curve`` or ``curves``.
    """
    if process().is_main_process:
        hashes = {file.stem: sha256_file(file) for file in files}
        manifest = {
            "command": options.command(stage),
            "seed": options.seed,
            "recipe": asdict(recipe),
            "sha256": hashes if len(hashes) > 1 else next(iter(hashes.values())),
            "data_sha256": corpora.data_hash(data),
            "torch": torch.__version__,
            **more,
            **({"curves": dict(curves)} if len(curves) > 1 else {"curve": next(iter(curves.values()))}),
        }
        atomic_write_json(path, manifest, indent=None)
    process().wait_for_everyone()


def main(arguments: list[str] | None = None) -> None:
    """Command line: train one of STAGES into a folder; a run that was stopped goes on."""
    parser = argparse.ArgumentParser(prog="python -m oryx.train", description="Train a part that studies share.")
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--scale", default="nano")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="folder with siglip.safetensors; default: trained from nothing")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; sums depend on it in the last bits")
    parser.add_argument("--precision", default="auto", help="auto (bf16 on a GPU), fp32 or bf16")
    parser.add_argument("-p", action="append", default=[], metavar="NAME=VALUE", help="a field of the recipe")
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(parsed.threads)

    def show(done: int, total: int) -> None:
        if (done % 100 == 0 or done == total) and process().is_main_process:
            print(f"{parsed.stage}: step {done} of {total}", flush=True)

    where = (parsed.scale, parsed.seed, parsed.folder, parsed.start)
    options = Options(*where, compute(parsed.precision), show, dict(map(_change, parsed.p)))
    resolve_name(f"workbook.stages.{STAGES[parsed.stage]}")(options)


def _change(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"-p {text}: expected NAME=VALUE")
    with suppress(json.JSONDecodeError):
        return name, json.loads(value)
    return name, value
