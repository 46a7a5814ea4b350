"""The work of the encoder study: one encoder trained, all of them looked at, one arm trained and asked.

See :mod:`workbook.studies.encoders.study`, which says what is compared.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from oryx.eval.pictures import ask_pictures
from oryx.evidence.store import RowWriter
from oryx.files import atomic_write_json
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.vit import OryxViT
from oryx.train.checkpoints import module_sha256
from oryx.train.inputs import picture_inputs
from oryx.train.loop import TrainPlan
from workbook.stages.arm import ArmPlan, train_arm
from workbook.stages.encoders import ENCODERS, load_encoder, train_encoder
from workbook.stages.kept_items import kept_evaluation_items, shelf_of
from workbook.stages.models import load_siglip, reader_of_forms
from workbook.stages.recipes import Recipe, encoder_recipe
from workbook.studies.encoders.arms import ARMS, BLIND, arm_view
from workbook.studies.encoders.probes import look
from workbook.studies.encoders.study import ENCODER_JOBS, MIXTURE, OBJECT_TASKS, TEXT_TASKS, trains_encoders

Progress = Callable[[str, int, int], None]


def recipe_of(settings: Any) -> Recipe:
    """The recipe of a run's encoders: the scale's, with the run's square and patch."""
    return encoder_recipe(settings.scale, settings.side, settings.patch)


def train(settings: Any, name: str, seed: int, folder: Path, progress: Progress) -> None:
    """Train one encoder of a seed into its job's folder."""
    siglip = folder.parent / ENCODER_JOBS[0]
    r = recipe_of(settings)
    train_encoder(name, r, seed, folder, siglip, settings.siglip, lambda done, total: progress("train", done, total))


def load_encoders(settings: Any, seed: int, arms: Path) -> dict[str, OryxViT]:
    """The three encoders of a seed: those that its jobs in the folder ``arms`` trained, or the shipped ones."""
    own = trains_encoders(settings, seed)
    r = recipe_of(settings)
    return {
        name: load_encoder(name, r, arms / job if own else None, settings.siglip)
        for name, job in zip(ENCODERS, ENCODER_JOBS, strict=True)
    }


def look_at(settings: Any, seed: int, folder: Path, progress: Progress) -> None:
    """Write ``looks.json``: what the encoders of a seed show without a language model."""
    towers = load_encoders(settings, seed, folder.parent)
    r = recipe_of(settings)
    captions = None
    if not settings.siglip:  # public weights have a tokenizer of their own, which nothing here needs
        captions = load_siglip(r, folder.parent / ENCODER_JOBS[0] if trains_encoders(settings, seed) else None)
    found = look(
        towers, captions, r, seed, settings.split, settings.look_items, lambda done, n: progress("look", done, n)
    )
    atomic_write_json(folder / "looks.json", found)


def reader_on(tower: OryxViT, r: Recipe, seed: int) -> OryxForConditionalGeneration:
    """A language model and a new projector on a trained tower; the same ones for every arm of a seed."""
    model = reader_of_forms(r, tower.config, seed)
    model.vision_tower = tower
    return model


def run_arm(settings: Any, arm: str, seed: int, folder: Path, base: dict, progress: Progress) -> None:
    """Train one arm and ask it; goes on from checkpoint and rows in ``folder``."""
    towers, r = load_encoders(settings, seed, folder.parent), recipe_of(settings)
    base = {**base, "weights_hash": "+".join(module_sha256(tower)[:8] for tower in towers.values())}
    model, view, sizes = reader_on(towers[ARMS[arm].encoder], r, seed), arm_view(arm, settings.side), r.phases[-1].sizes
    plan = ArmPlan(
        resolution=view,
        mixture=MIXTURE,
        sizes=sizes,
        items=settings.train_items,
        batch=settings.batch,
        plan=TrainPlan(settings.train_steps, settings.learning_rate),
    )
    atomic_write_json(folder / "curve.json", train_arm(model, plan, seed, folder, progress), indent=None)
    counts = dict.fromkeys(TEXT_TASKS, settings.text_items) | dict.fromkeys(OBJECT_TASKS, settings.object_items)
    conditions = ("no_visual",) if arm == BLIND else ("visual", "no_visual")
    done, total = 0, len(conditions) * sum(counts.values())
    with RowWriter(folder / "rows.jsonl") as writer:
        for task, count in counts.items():
            items = kept_evaluation_items(shelf_of(folder), task, settings.split, count, sizes)
            inputs = picture_inputs(items, view, sizes.patch, model)
            for condition in conditions:
                fields = {**base, "condition": condition}
                ask_pictures(model, inputs, fields, condition == "visual", writer)
                done += count
                progress("evaluate", done, total)
