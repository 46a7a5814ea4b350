"""Scale ``small``: arms trained from public parts on one GPU, then asked about local copies of public benchmarks.

The article's chain on a budget: a public SigLIP becomes OryxViT (``pretrain``), a projector is aligned with a small
public language model (``align``), both learn to answer (``sft``) and to read videos too (``joint``). Every step is a
stage of :mod:`oryx.train.stages`. Parts and records are named by repository or local folder, and ``public.toml`` names
public ones. No torch until a job runs.
"""

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from oryx.errors import MissingResource, SettingsError
from oryx.files import sha256_file
from oryx.processing.sizes import Resolution
from workbook.studies.base import Progress
from workbook.studies.public.settings import OWN_TOWER, SMALL, Course, P, PublicSettings
from workbook.studies.released import ReleasedSettings, ReleasedStudy, ask, picture_questions

if TYPE_CHECKING:
    from workbook.studies.asking import Question, Way


class PublicStudy(ReleasedStudy[P]):
    """A study that trains from public parts at scale ``small``.

    ``part_scales``: where it does. ``needed``: the stages whose records it must have; ``drawn_arms``: those that public
    pictures and videos cannot have, whose sizes are what they are.
    """

    copy_scales, part_scales = (SMALL, "paper"), (SMALL,)
    needed: ClassVar[tuple[str, ...]] = ("align", "sft")
    drawn_arms: ClassVar[tuple[str, ...]] = ()

    def on_parts(self, settings: P) -> bool:
        """Whether a run trains from public parts."""
        return settings.scale in self.part_scales

    @abstractmethod
    def arm_course(self, settings: P, job: str) -> Course:
        """How an arm, or a job of the study's own before the arms, comes to its model."""

    def course(self, settings: P, job: str) -> Course:
        """:meth:`arm_course`, with the tower that the seed makes, if it does; and how that is made."""
        if job == OWN_TOWER:
            return Course(("pretrain",))
        own, made = self.arm_course(settings, job), OWN_TOWER in self.towers(settings)
        return replace(own, tower=OWN_TOWER) if made and not own.start else own

    def longest_course(self, settings: P) -> Course:
        """Where records are longest; those too long there are left out of every arm. Pictures at the largest area."""
        return Course((), Resolution("area", max(settings.most_side, 2 * settings.side)))

    def public_questions(self, settings: P, arm: str) -> "Iterator[tuple[list[Question], Way]]":
        """Every benchmark as an arm is asked it; of pictures as the arm was trained on them."""
        return picture_questions(settings, self.course(settings, arm).view)

    def sources(self, settings: P) -> dict[str, tuple[str, ...]]:
        """Stage that a run may train -> its records."""
        return {stage: getattr(settings, stage) for stage in ("pretrain", *self.needed)}

    def towers(self, settings: P) -> list[str]:
        """The jobs of a seed that make towers."""
        return [OWN_TOWER] if settings.pretrain else []

    def check(self, settings: P) -> None:
        """As every study's; of public parts also raises for arms, parts or records that it has not or cannot use."""
        if not self.on_parts(settings):
            own, usual = PublicSettings.model_fields.keys() - ReleasedSettings.model_fields, type(settings).model_fields
            if idle := sorted(name for name in own if getattr(settings, name) != usual[name].default):
                where = " and ".join(self.part_scales)
                raise SettingsError(f"{', '.join(idle)}: expected at scale {where} alone, got scale {settings.scale!r}")
            return super().check(settings)
        wanted = ("siglip", "language_model", *self.needed, "data")
        if lacking := [f"-p {name}=..." for name in wanted if not getattr(settings, name)]:
            raise MissingResource(
                f"scale {settings.scale!r} trains from public parts and asks about copies of "
                f"{', '.join(settings.benchmarks)}: expected {', '.join(lacking)} (docs/small.md)"
            )
        if drawn := [arm for arm in self.arms(settings) if arm in self.drawn_arms]:
            raise SettingsError(f"arms: {', '.join(drawn)} are for what is drawn, not for scale {settings.scale!r}")
        from oryx.model.parts import check_parts
        from oryx.train.datasets import read_data

        check_parts(settings.siglip, settings.language_model)
        super().check(settings)
        for named in filter(None, self.sources(settings).values()):
            read_data(named)

    def prepare(self, settings: P, seed: int) -> list[list[str]]:
        """As every study's; of public parts towers are made first."""
        own = [towers] if (towers := self.towers(settings)) else []
        return own if self.on_parts(settings) else super().prepare(settings, seed)

    def hashes(self, settings: P) -> dict[str, str]:
        """As every study's; of public parts over the files of both, and the data are the copies and the records.

        Of records in a repository the name counts, of local ones the content.
        """
        if not self.on_parts(settings):
            return super().hashes(settings)
        from oryx.model.loading import files_hash

        named = [Path(source) for sources in self.sources(settings).values() for source in sources]
        files = [file for source in named for file in sorted(source.rglob("*.parquet")) or [source]]
        told = " ".join(sha256_file(file) if file.is_file() else str(file) for file in files)
        records = hashlib.sha256(told.encode()).hexdigest()[:8]
        parts = [files_hash(part)[:8] for part in (settings.siglip, settings.language_model)]
        return {"weights_hash": "+".join(parts), "data_hash": f"{records}+{self.copies_hash(settings)}"}

    def courses(self, settings: P) -> dict[str, Course]:
        """Job of a seed -> how it comes to its model, in the order of the work."""
        jobs = [job for level in self.prepare(settings, settings.seeds[0]) for job in level]
        return {job: self.course(settings, job) for job in (*jobs, *self.arms(settings))}

    def plan(self, settings: P) -> dict[str, Any]:
        """As every study's; of public parts with hours, memory, disk and cost by arithmetic."""
        if not self.on_parts(settings):
            return super().plan(settings)
        from workbook.studies.public.costs import described

        return described(settings, self.courses(settings), self.arms(settings))

    def run_job(self, settings: P, arm: str, seed: int, folder: Path, progress: Progress) -> None:
        """Of public parts: make a tower, or train an arm and ask it; a killed job goes on.

        ``folder`` keeps ``model`` and ``curve.json``.
        """
        from oryx.model.loading import checkpoint_hash
        from workbook.studies.public.training import train

        course = self.course(settings, arm)
        if not (folder / "curve.json").exists():
            train(settings, course, self.longest_course(settings), seed, folder, progress)
        if arm in self.arm_order:
            base = self.base_row(settings, arm, seed) | {"protocol": settings.protocol}
            made = [checkpoint_hash(folder.parent / tower / "model")[:8] for tower in self.towers(settings)]
            base["weights_hash"] = "+".join([base["weights_hash"], *made])
            base["trained_hash"] = checkpoint_hash(folder / "model")
            trained = settings.model_copy(update={"checkpoint": str(folder / "model")})
            conditions = ("visual", "no_visual")[not course.seeing :]
            ask(trained, self.public_questions(settings, arm), base, folder, progress, conditions=conditions)
