"""Many runs as jobs of a workflow engine: one command line per (study, seed), and one per run that merges its seeds.

The engine's file asks this module what to start and says nothing of its own: names, settings and folders are checked
here, before anything is submitted.
"""

import difflib
import itertools
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from oryx.errors import SettingsError
from workbook.runs.settings import StudySettings
from workbook.runs.study import RunnableStudy

WORDS = ("study", "scale", "seeds", "results", "jobs", "parameters", "sweep")
"""What a batch may say: the words of the command line, and ``sweep``: setting -> list of values."""


@dataclass(frozen=True)
class BatchRun:
    """One run of a batch: a study by the name it was asked for, and settings with every seed."""

    name: str
    study: RunnableStudy
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
        options = {"scale": self.settings.scale, "seeds": ",".join(map(str, seeds)), "results": self.settings.results}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        for name, value in self.settings.parameters().items():
            if name not in (*options, "jobs"):
                words += ["-p", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
        return shlex.join([sys.executable, "-m", "oryx", "run", self.name, *words, *flags])


def runs(batch: Mapping[str, Any], find_studies: Callable[[str], Mapping[str, Any]]) -> list[BatchRun]:
    """Every run that ``batch`` asks for: each study with each combination of the swept settings.

    ``find_studies`` gives the studies of a name as the command line knows it.

    Raises SettingsError for an unknown word, study, setting or value, for a sweep that changes nothing, and
    MissingResource for what a run would lack, all before anything is started.
    """
    for word in batch:
        if word not in WORDS:
            near = difflib.get_close_matches(word, WORDS, 1, 0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise SettingsError(f"unknown word {word!r} in the batch; {hint}known: {', '.join(WORDS)}")
    common = {word: batch[word] for word in ("scale", "results", "jobs") if word in batch}
    seeds = batch.get("seeds", [0])  # seeds=3 arrives as a number, seeds=0,1,2 as text
    common["seeds"] = [seeds] if isinstance(seeds, int) else seeds
    found: dict[str, BatchRun] = {}
    for name, study in find_studies(batch.get("study", "all")).items():
        for swept in _combinations(_mapping(batch, "sweep")):
            settings = study.settings({**common, **_apart(_mapping(batch, "parameters"), common), **swept})
            if settings.source != "run":
                raise SettingsError("source: a batch runs studies; 'published' reads what is there")
            run = BatchRun(name, study, settings)
            if run.folder in found:
                raise SettingsError(f"sweep: {swept} is the same run as another one: the setting changes no number")
            study.check(settings)
            found[run.folder] = run
    return list(found.values())


def _mapping(batch: Mapping[str, Any], word: str) -> Mapping[str, Any]:
    value = batch.get(word) or {}
    if not isinstance(value, Mapping):
        raise SettingsError(f"{word}: expected names with values, as in {{encoder: trained}}, got {value!r}")
    return value


def _apart(parameters: Mapping[str, Any], common: Mapping[str, Any]) -> Mapping[str, Any]:
    if twice := [name for name in parameters if name in common]:
        raise SettingsError(f"parameters: {twice[0]!r} is a word of the batch itself")
    return parameters


def _combinations(sweep: Mapping[str, Any]) -> list[dict[str, Any]]:
    for name, values in sweep.items():
        if name in WORDS or not isinstance(values, list) or not values:
            raise SettingsError(f"sweep: expected a study's setting with a list of values, got {name}: {values!r}")
    return [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]
