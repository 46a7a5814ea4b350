"""``python -m oryx.train pretrain|align|sft|joint``: a stage of the paper's chain on records of one's own.

A stage begins with public parts (``--siglip``, ``--language-model``) or with the model of an earlier one (``--model``).
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from oryx.errors import InputError, MissingResource, SettingsError
from oryx.files import sha256_file
from oryx.model.loading import files_hash, load
from oryx.model.parts import assemble
from oryx.processing.decoders import check_decoder
from oryx.train.datasets import Records, checked, read_data
from oryx.train.device import compute, process
from oryx.train.stages import STAGES, Stage, StagePlan, batches_of, train_on_records
from workbook.report import plots
from workbook.runs.options import TrainingSettings, claim, command_line
from workbook.runs.settings import setting

SAME = ("steps", "batch", "accumulate", "seed", "limit", "gradient_checkpointing", "workers", "trackers")
"""Fields of the plan that settings have under the same name."""


class Settings(TrainingSettings):
    """What a stage depends on; each field is an option of the command line."""

    model: str = setting("", "the model of an earlier stage: a folder or a repository, as oryx.load takes it")
    siglip: str = setting("", "in place of model: a SigLIP, or an OryxViT (a folder of ours, or THUdyh/Oryx-ViT)")
    language_model: str = setting("", "with siglip: any causal language model of transformers")
    patch: int = setting(16, "with siglip: side of a patch in pixels", least=1)
    position_grid: int = setting(128, "with siglip: side of the position table in patches", least=1)
    compressor: str = setting("dynamic", "with siglip: the connector's compressor")
    data: tuple[str, ...] = setting((), "files, folders or repositories of records, with commas")
    records: int | None = setting(None, "at most so many records, drawn from all", least=1)
    skip_faulty: bool = setting(False, "leave out records that cannot be used; they are listed in faulty.jsonl")
    seed: int = setting(0, "of what is random in the connector, and of the order of records", least=0)
    steps: int | None = setting(None, "in place of epochs", least=1)
    batch: int = setting(16, "records in a step, of all processes together", least=1)
    accumulate: int = setting(1, "pieces in which a process computes its share: less memory, the same step", least=1)
    learning_rate: float | None = setting(None, "peak; null: the stage's own", least=0)
    limit: int | None = setting(None, "most tokens of a record; null: as many as the model takes", least=1)
    workers: int | None = setting(
        None, "processes that open records ahead; null: 4 beside a GPU, else none", counts=False, least=0
    )
    checkpoint_minutes: float = setting(30, "between two checkpoints", counts=False, least=0)
    trackers: tuple[str, ...] = setting((), "trackio, wandb, tensorboard, ... as accelerate has them", counts=False)


def run(stage: Stage, settings: Settings, show: Callable[[str], None] = print) -> pd.DataFrame:
    """Train a stage; what was done before is not done again. Returns the curve.

    ``folder`` gets ``model`` for :func:`oryx.load`, the checkpoint ``STAGE.pt``, ``curve`` as csv, png and svg,
    ``settings.json`` with the hashes of parts and data, ``opened.json``, and ``faulty.jsonl`` with records that cannot
    be used. Several processes (accelerate) share every step.

    Raises SettingsError, CheckpointError or MissingResource before any training for parts or records that cannot be had
    or used, and for a folder that holds another training.
    """
    if not settings.data or not settings.folder or bool(settings.model) == bool(settings.siglip):
        raise SettingsError("expected data, folder, and either model or siglip with language_model")
    if bool(settings.siglip) != bool(settings.language_model):
        raise SettingsError("siglip and language_model belong together: expected both or, with model, none")
    check_decoder(settings.decoder)
    folder, machine, first = Path(settings.folder), compute(settings.precision), process().is_main_process
    try:
        records = read_data(settings.data, settings.media or None, settings.records, settings.seed)
    except InputError as error:
        raise SettingsError(f"data: {error}") from None
    if first:
        claim(folder, {"stage": stage.name} | settings.counting | hashes(settings, records), "training")
    process().wait_for_everyone()
    if settings.model:
        model = load(settings.model, dtype=torch.float32)
    else:
        how = {"patch": settings.patch, "position_grid": settings.position_grid, "compressor": settings.compressor}
        model = assemble(settings.siglip, settings.language_model, **how, seed=settings.seed)
    if model.processor is None:
        raise MissingResource(f"model: {settings.model}: expected a whole model with its tokenizer beside the weights")
    same = {name: getattr(settings, name) for name in SAME}
    plan = StagePlan(
        epochs=None if settings.steps else settings.epochs,
        rate=settings.learning_rate,
        video={"frames": settings.frames, "sampling": settings.sampling, "decoder": settings.decoder},
        checkpoint_seconds=60 * settings.checkpoint_minutes,
        **same,
    )
    workers = machine.workers if settings.workers is None else settings.workers
    opening = batches_of(model, records, plan)
    records, faults = checked(records, opening, workers, settings.skip_faulty, folder)
    if first:
        show(f"{len(records)} records of {sum(records.lengths):,} tokens; {len(faults)} that cannot be used")

    def watch(point: dict) -> None:
        if first:
            left = timedelta(seconds=round(point["seconds_left"]))
            speed = f"{point['tokens_per_second']:,.0f} tokens/s, {left} left"
            show(f"step {point['step']}, loss {point['loss']:.4f}, {speed}")

    curve = pd.DataFrame(train_on_records(stage, model, records, plan, folder, machine, watch=watch))
    if first:
        figure, _ = plots.training_curves(curve.assign(arm="loss on answers", seed=settings.seed))
        plots.save_figure(figure, curve, folder, "curve")
    return curve


def hashes(settings: Settings, records: Records) -> dict[str, dict[str, str]]:
    """What identifies the data and the parts of a stage, by their names: sha256, or the fingerprint of a table."""
    sources = zip(settings.data, records.dataset.datasets, strict=True)
    data = {name: sha256_file(name) if Path(name).is_file() else one.stamp[-1] for name, one in sources}
    parts = (settings.model, settings.siglip, settings.language_model)
    return {"data_sha256": data, "parts_sha256": {name: files_hash(name) for name in parts if name}}


def main(stage: str, arguments: list[str] | None = None) -> int:
    """The command line: every field of the settings is an option. Returns the exit code."""
    shown = partial(print, flush=True)
    return command_line(Settings, partial(run, STAGES[stage], show=shown), stage, __doc__, arguments)


pretrain, align, sft, joint = (partial(main, name) for name in STAGES)
