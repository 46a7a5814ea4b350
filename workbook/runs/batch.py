"""Many runs as jobs of a workflow engine: one command line per (study, seed), and one per run that merges its seeds.

The engine's file asks this module what to start and says nothing of its own: names, settings and folders are checked
here, before anything is submitted.
"""

import itertools
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from oryx.errors import SettingsError, check_known
from workbook.runs.provenance import run_words
from workbook.runs.settings import StudySettings

if TYPE_CHECKING:
    from workbook.studies.base import Study

WORDS = ("study", "scale", "seeds", "results", "jobs", "parameters", "sweep")
"""What a batch may say: the words of the command line, and ``sweep``: setting -> list of values."""


@dataclass(frozen=True)
class BatchRun:
    """One run of a batch: a study by the name it was asked for, and settings with every seed."""

    name: str
    study: "Study"
    settings: StudySettings

    @cached_property
    def folder(self) -> str:
        """The run's folder below the results folder."""
        return str(self.study.run_folder(self.settings))

    @property
    def cores(self) -> int:
        """Cores of a seed's job: one for each of its worker processes."""
        return self.settings.jobs or 1

    @cached_property
    def made_from(self) -> dict[str, str]:
        """Hashes of weights and data: a job whose hashes have changed must run again."""
        return self.study.hashes(self.settings)

    def command(self, seeds: Sequence[int], *flags: str) -> str:
        """The command line for these seeds, quoted for a shell; without ``--jobs``, which is the engine's to say."""
        settings = self.settings.model_copy(update={"seeds": tuple(seeds)})
        names = set(type(settings).model_fields) - {"jobs", "results"}
        words = run_words(self.name, settings, names)
        return shlex.join([sys.executable, *words, "--results", settings.results, *flags])


def runs(batch: Mapping[str, Any], find_studies: Callable[[str], Mapping[str, Any]]) -> list[BatchRun]:
    """Every run that ``batch`` asks for: each study with each combination of the swept settings.

    ``find_studies`` gives the studies of a name as the command line knows it.

    Raises SettingsError for an unknown word, study, setting or value, for a sweep that changes nothing, and
    MissingResource for what a run would lack, all before anything is started.
    """
    check_known(batch, WORDS, "word of the batch")
    common = {word: batch[word] for word in ("scale", "results", "jobs") if word in batch}
    seeds = batch.get("seeds", [0])  # seeds=3 arrives as a number, seeds=0,1,2 as text
    common["seeds"] = [seeds] if isinstance(seeds, int) else seeds
    parameters, sweep = (batch.get(word) or {} for word in ("parameters", "sweep"))
    for word, value in (("parameters", parameters), ("sweep", sweep)):
        if not isinstance(value, Mapping) or set(value) & set(WORDS):
            raise SettingsError(f"{word}: expected settings with values, as in {{encoder: trained}}, got {value!r}")
    if wrong := [name for name, values in sweep.items() if not isinstance(values, list) or not values]:
        raise SettingsError(f"sweep: expected settings with lists of values, got {wrong[0]}: {sweep[wrong[0]]!r}")
    found: dict[str, BatchRun] = {}
    for name, study in find_studies(batch.get("study", "all")).items():
        for values in itertools.product(*sweep.values()):
            swept = dict(zip(sweep, values, strict=True))
            settings = study.settings({**common, **parameters, **swept})
            if settings.source != "run":
                raise SettingsError("source: a batch runs studies; 'published' reads what is there")
            run = BatchRun(name, study, settings)
            if run.folder in found:
                raise SettingsError(f"sweep: {swept} is the same run as another one: the setting changes no number")
            study.check(settings)
            found[run.folder] = run
    return list(found.values())
