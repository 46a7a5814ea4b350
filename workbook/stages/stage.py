"""What the trainings of shared parts have in common: options and a manifest."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from oryx.files import atomic_write_json, sha256_file
from oryx.train.device import Compute, process
from oryx.train.loop import silent
from oryx.train.stages import Progress, Stage
from workbook.data import corpora
from workbook.stages.shipped import WEIGHTS


@dataclass(frozen=True)
class Options:
    """What is asked of a part.

    ``start``: a folder with the parts to start from; None: what ships, and a SigLIP that is trained first. ``changes``:
    fields of the recipe to change.
    """

    scale: str
    seed: int
    folder: Path
    start: Path | None = None
    compute: Compute | None = None
    progress: Progress = silent
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def how(self) -> tuple[Path, Progress, Compute | None]:
        """What :meth:`oryx.train.stages.Training.carry_out` is given."""
        return self.folder, self.progress, self.compute

    @property
    def started(self) -> Path:
        """The folder of the OryxViT and reader that a part goes on from."""
        return self.start or WEIGHTS / "nano"

    def command(self, part: str) -> str:
        """The command that does it again; folders as placeholders."""
        start = "" if self.start is None else " --start START"
        changes = "".join(f" -p {name}={json.dumps(value)}" for name, value in self.changes.items())
        return f"python -m oryx.train {part} --scale {self.scale} --seed {self.seed} --folder FOLDER{start}{changes}"


def write_manifest(path: Path, part: str, stage: Stage, options: Options, recipe, files, curves, data, **more) -> None:
    """What ships beside weights: how they were made, from what, and what identifies them. The first process writes.

    ``files``: paths of the weights; ``curves``: name of a training -> its curve; ``data``: the corpora that were drawn
    from; ``more``: what else to note. ``sha256`` is a hash where there is one file, else a hash for each; likewise
    ``curve`` or ``curves``.
    """
    if process().is_main_process:
        hashes = {file.stem: sha256_file(file) for file in files}
        manifest = {
            "command": options.command(part),
            "stage": stage.name,
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
