"""The trainings of scale ``small``: towers and arms, from public parts and on public records."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from oryx.files import atomic_write_json
from oryx.model.loading import load
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.parts import assemble, public_tokenizer
from oryx.processing import chat
from oryx.processing.context import PATCH
from oryx.processing.processor import OryxProcessor
from oryx.train.datasets import Records, checked, read_data
from oryx.train.device import compute
from oryx.train.record_batches import RecordBatches
from oryx.train.records import Record
from oryx.train.stages import STAGES, StagePlan, train_on_records
from workbook.stages.videos import with_connector
from workbook.studies.base import Progress
from workbook.studies.public.settings import Course, PublicSettings


def train(settings: PublicSettings, course: Course, longest: Course, seed: int, folder: Path, show: Progress) -> None:
    """Take a model through its course; ``model``, and after it ``curve.json``, are what is left in ``folder``.

    ``longest``: how records are opened first; those too long there are left out.
    """
    model, machine, curve = begin(settings, course, seed, folder), compute(settings.precision), []
    limit = min(settings.longest, model.config.tokenizer_model_max_length or settings.longest)
    how = {"batch": settings.stage_batch, "accumulate": settings.accumulate, "limit": limit, "seed": seed}
    for stage in course.stages:
        records = kept(settings, longest, stage, seed, limit, folder.parents[1] / "records")
        records = records if course.seeing else Unseen(records)
        steps, before = settings.stage_steps[list(STAGES).index(stage)], curve[-1]["step"] if curve else 0
        plan = StagePlan(steps, video=settings.video, sides=course.sides, **how)
        own = train_on_records(STAGES[stage], model, records, plan, folder, machine, partial(show, stage), course.view)
        curve += [point | {"step": before + point["step"]} for point in own]
    atomic_write_json(folder / "curve.json", curve, indent=None)
    for checkpoint in folder.glob("*.pt"):  # several times the size of the model, which is whole by now
        checkpoint.unlink()


def begin(settings: PublicSettings, course: Course, seed: int, folder: Path) -> OryxForConditionalGeneration:
    """The model that a course starts from: another job's, or public parts, whose tower another job may have made."""
    if course.start:
        model = load(folder.parent / course.start / "model", dtype=torch.float32)
    else:
        tower = str(folder.parent / course.tower / "model") if course.tower else settings.siglip
        model = assemble(tower, settings.language_model, options=settings.options, seed=seed)
    return with_connector(model, course.connector, seed, course.factor)


def kept(settings: PublicSettings, longest: Course, stage: str, seed: int, most: int, folder: Path) -> Records:
    """The records of a stage that can be used where they are longest, so that every arm of a seed has the same.

    Each, of so many tokens at most, is opened once; ``folder`` keeps what was found.
    """
    processor = OryxProcessor(public_tokenizer(settings.language_model), settings.options, "qwen", PATCH)
    records = read_data(getattr(settings, stage), seed=seed)
    batches = RecordBatches(records, processor, 1, seed, most, settings.video, longest.view or "native", longest.sides)
    return checked(records, batches, compute(settings.precision).workers, True, folder / stage)[0]


class Unseen(list):
    """Records without their visuals, and their lengths with them: steps then hold the records of the other arms."""

    def __init__(self, records: Records):
        super().__init__(map(unseen, records))
        self.lengths = records.lengths


def unseen(record: Record) -> Record:
    """A record without its visuals."""
    told = [turn | {"value": turn["value"].replace(chat.MARK, "").strip()} for turn in record.conversation]
    return replace(record, kind=None, files=(), conversation=tuple(told))
