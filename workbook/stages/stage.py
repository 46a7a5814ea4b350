"""What the trainings of shared parts have in common: one shape, one way to carry it out, one manifest."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oryx.files import atomic_write_json, sha256_file
from oryx.train.checkpoints import save_weights
from oryx.train.device import Compute, process
from oryx.train.loop import Loss, StepBatches, TrainPlan, train
from workbook.data import corpora

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
