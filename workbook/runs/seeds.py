"""Carrying out a run: every seed a shard with its lock, status and manifest; all their jobs share the cores.

Which seeds the report run of a study has is stated beside its hypotheses.
"""

import json
import time
import tomllib
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, ValidationError

from oryx.errors import RunError, SettingsError, first_fault
from oryx.evidence.entries import Entry, Listed
from oryx.files import atomic_write_json
from workbook.runs import provenance
from workbook.runs.jobs import Job, run_jobs
from workbook.runs.settings import StudySettings
from workbook.runs.shards import held, read_status, write_status

if TYPE_CHECKING:
    from workbook.studies.base import Study


class Seed:
    """One seed of a run: its folder, its jobs, and what is written about it.

    ``jobs``: the arms. ``all_jobs``: with those that others wait for and those that no arm waits for, in the order of
    starting, of the arms the long ones in front.
    """

    def __init__(self, study: "Study", settings: StudySettings, seed: int, inputs: dict[str, str]):
        self.study, self.settings, self.seed, self.inputs = study, settings, seed, inputs
        self.folder = study.run_folder(settings) / f"seed-{seed}"
        self.status, self.manifest = self.folder / "status.json", self.folder / "manifest.json"
        levels = study.prepare(settings, seed)
        first = [self._job(name, level) for level, names in enumerate(levels) for name in names]
        self.jobs = [self._job(arm, len(levels)) for arm in study.arms(settings)]
        further = [self._job(name, len(levels)) for name in study.further_jobs(settings)]
        self.all_jobs = [*first, *sorted(self.jobs, key=lambda job: job.arm not in study.long_arms), *further]

    def _job(self, arm: str, level: int) -> Job:
        study, settings = self.study, self.settings
        return Job(
            study=f"{type(study).__module__}:{type(study).__qualname__}",
            settings=settings.to_dict(),
            arm=arm,
            seed=self.seed,
            folder=self.folder / "arms" / arm,
            torch=study.needs_torch,
            inputs=self.inputs,
            level=level,
            processes=study.processes(settings, arm),
        )

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: every job done with today's weights and data, and the status says so."""
        done = all(job.done and not job.outdated for job in self.all_jobs)
        return done and read_status(self.status)["state"] == "done"

    def begin(self) -> None:
        """Start an attempt; arms made from other weights or data are laid aside, never mixed with new ones."""
        for job in self.all_jobs:
            if job.outdated:
                aside = self.folder / "outdated" / f"{job.arm}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
                aside.parent.mkdir(exist_ok=True)
                job.folder.rename(aside)
                print(f"{job.name}: the weights or data it was made from have changed; kept in {aside}, done anew")
        write_status(self.status, "running", f"{len(self.jobs)} jobs")
        described = provenance.describe_run(self.study, self.settings, self.seed, self.inputs)
        atomic_write_json(self.manifest, provenance.after_earlier(described, self.manifest))

    def end(self, state: str, message: str = "") -> None:
        """Complete the manifest and write the final state: ``done`` whatever it is, if nothing is left to do."""
        arms = {job.arm: json.loads((job.folder / "done").read_text()) for job in self.all_jobs if job.done}
        left = [job.name for job in self.all_jobs if not job.done]
        begun = json.loads(self.manifest.read_text())
        atomic_write_json(self.manifest, {**begun, "end": provenance.now(), "arms": arms})
        write_status(self.status, state if left else "done", (message or ", ".join(left)) if left else "")


def seeds_of(study: "Study", settings: StudySettings) -> list[Seed]:
    """The seeds of a run with their jobs, each as if it were the only one; nothing is started or written."""
    each = [settings.model_copy(update={"seeds": (seed,)}) for seed in settings.seeds]
    return [Seed(study, own, own.seeds[0], study.hashes(own)) for own in each]


def run_seeds(study: "Study", settings: StudySettings) -> None:
    """Do what is missing of every seed of ``settings``; with ``retry_failed`` failed rows are missing too.

    Raises RunError if jobs failed, another process holds one of the seeds, a folder cannot be written, or
    ``limit_minutes`` are over. Whatever ends it, finished rows stay and the same call goes on.
    """
    stop_at = None if settings.limit_minutes is None else time.monotonic() + 60 * settings.limit_minutes
    with ExitStack() as stack:
        seeds = seeds_of(study, settings)
        for seed in seeds:
            stack.enter_context(held(seed.folder))
        if settings.retry_failed:
            for job in (job for seed in seeds for job in seed.jobs if not job.outdated):
                job.reopen()
        todo = [seed for seed in seeds if not seed.finished]
        for seed in todo:
            seed.begin()
        state, message = "killed", "the run was stopped"
        try:
            failed = run_jobs([job for seed in todo for job in seed.all_jobs], settings.jobs, stop_at, study.title)
            state, message = "failed", ""
        except TimeoutError:
            state, message = "timeout", f"stopped after {settings.limit_minutes:g} minutes (limit_minutes)"
            raise RunError(f"{message}; finished rows are kept, the same command goes on") from None
        finally:
            for seed in todo:
                seed.end(state, message)
    if failed:
        job, code = failed[0]
        log = job.folder / "log.txt"
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        end = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
        raise RunError(
            f"{len(failed)} job(s) failed, first {job.name} with {how}; finished rows are kept, the same command goes "
            f"on. End of {log}:\n{end}"
        )


class _Report(Entry):
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Listed]


def report_seeds(path: Path | None, variant: str) -> tuple[int, ...] | None:
    """The seeds that a file of hypotheses names for the report run of a variant, ``nano,panel=arms``, or of its scale.

    None if there is no file or it names none. Raises SettingsError for an entry that is no list of seeds.
    """
    stated = tomllib.loads(path.read_text(encoding="utf-8")).get("report", {}) if path else {}
    name = variant if variant in stated else variant.partition(",")[0]
    if name not in stated:
        return None
    try:
        return _Report.model_validate(stated[name]).seeds
    except ValidationError as error:
        raise SettingsError(f"{path.name}: report.{name}, field {first_fault(error)}") from None
