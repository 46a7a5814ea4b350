"""What every study shares: settings, shards, jobs, merging, verdicts, comparison with what is published.

A study says which arms it has and how one arm is trained and asked (:meth:`Study.run_job`, in a worker process).
All the rest is here, and needs no torch.
"""

import json
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from oryx.errors import MissingResource, RunError, SettingsError
from oryx.evidence.hypotheses import Hypothesis, load_hypotheses
from oryx.evidence.schema import SCALES, published_rows
from oryx.files import atomic_write_json, atomic_write_text, read_json
from workbook.data.corpora import data_hash
from workbook.runs.jobs import slots
from workbook.runs.seeds import run_seeds, seeds_of
from workbook.runs.settings import REPOSITORY, StudySettings, VideoSettings
from workbook.stages import shipped

if TYPE_CHECKING:
    import pandas as pd

    from workbook.report.plots import Drawn

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""


@dataclass(frozen=True)
class Run:
    """A finished run: rows, training curves, verdicts, and how it compares with the published run."""

    folder: Path
    rows: "pd.DataFrame"
    curves: "pd.DataFrame"
    verdicts: list[dict]
    comparison: str

    @property
    def failed(self) -> int:
        """How many items failed."""
        return int(self.rows["error"].notna().sum())

    def __repr__(self) -> str:
        from workbook.report import seen  # here, not above: workers need no templates

        seeds = ", ".join(map(str, sorted(self.rows["seed"].unique())))
        made = f"{len(self.rows)} rows, seeds {seeds}, {self.failed} failed items, in {self.folder}."
        first = self.comparison.partition("\n")[0]
        return f"{made} {first} {seen.judged(self.verdicts)}"


# What manifests say of a study on videos.
VIDEO_FACTS = {
    "attention": "sdpa; the variable-length kernel on a GPU, where samples are packed",
    "decoder": "auto: PyAV",
    "prompt": "<visual>QUESTION\\n",
}
PUBLISHED = 'These are the published rows, read and not computed; source="run" computes them anew.'
S = TypeVar("S", bound=StudySettings)


class Study(ABC, Generic[S]):
    """One study, with its class of settings: ``class MyStudy(Study[Settings])``.

    ``hypotheses_file`` states what a run is judged by, before any report run. ``arm_order`` fixes colours and the order
    of tables, ``baseline`` is what arms are compared with, ``long_arms`` are started first, ``tables`` are files of its
    own in the run's folder that are published too.

    ``weight_files`` are what all arms start from: in ``weights``, which ships with the package, or trained by the job
    ``weights_job`` of each seed. ``corpora``: the shipped data that items are made of. ``released_scales``: where arms
    are released weights, one model whatever the seed. ``facts``: what the manifest says beyond settings and hashes:
    dtype, attention and decoder backend, prompts in full.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    notebook: ClassVar[str] = ""
    settings_class: type[S]
    arm_order: ClassVar[tuple[str, ...]]
    baseline: ClassVar[str]
    task_groups: ClassVar[dict[str, tuple[str, ...]]] = {}
    needs_torch: ClassVar[bool] = True
    long_arms: ClassVar[tuple[str, ...]] = ()
    tables: ClassVar[tuple[str, ...]] = ()
    hypotheses_file: ClassVar[Path | None] = None
    weights: ClassVar[Path] = shipped.WEIGHTS / "nano"
    weight_files: ClassVar[tuple[str, ...]] = ()
    weights_job: ClassVar[str] = ""
    corpora: ClassVar[tuple[str, ...]] = ()
    released_scales: ClassVar[tuple[str, ...]] = ()
    facts: ClassVar[dict[str, Any]] = {}

    def arms(self, settings: S) -> list[str]:
        """The arms of a run, in the order of all tables and figures; by default those that the settings name."""
        return [arm for arm in self.arm_order if arm in settings.arms]

    @abstractmethod
    def run_job(self, settings: S, arm: str, seed: int, folder: Path, progress: Progress) -> None:
        """Train and ask one arm, writing ``rows.jsonl`` (and ``curve.json``) in ``folder``; must be able to resume."""

    def check(self, settings: S) -> None:
        """Raise, before any work, what would make this run fail later; by default a decoder that does not work here,
        missing or changed weights, or several seeds of released ones."""
        if isinstance(settings, VideoSettings):
            from oryx.processing.decoders import check_decoder  # here, not above: workers need no video decoders

            check_decoder(settings.decoder)
        if settings.scale in self.released_scales:
            if len(settings.seeds) > 1:
                raise SettingsError(
                    "seeds: released weights are one model, which gives the same answers again for every seed; "
                    f"expected one seed, got {list(settings.seeds)}"
                )
            return
        if self.weight_files and settings.scale == "medium" and not settings.from_scratch:
            raise MissingResource("scale 'medium' has no shipped weights: add --from-scratch (one GPU)")
        if self.weight_files and not settings.trains_shared:
            shipped.check(self.weights, self.weight_files)

    def prepare(self, settings: S, seed: int) -> list[list[str]]:
        """Jobs of a seed that must be done before its arms start (shared weights trained from scratch).

        A list of levels: the jobs of a level may run at the same time, each level waits for the one before it.
        """
        return [[self.weights_job]] if self.weights_job and settings.trains_shared else []

    def further_jobs(self, settings: S) -> list[str]:
        """Jobs of a seed that are no arms, that no arm waits for, and that write no rows."""
        return []

    def groups(self, settings: S) -> Mapping[str, Sequence[str]]:
        """Groups of tasks that figures show side by side; by default the same at every scale."""
        return self.task_groups

    def processes(self, settings: S, arm: str) -> int:
        """How many processes do an arm together; each calls :meth:`run_job` and takes its part of the work."""
        return 1

    def hashes(self, settings: S) -> dict[str, str]:
        """``weights_hash`` and ``data_hash``: sha256 of what jobs read beside the settings. Jobs done from others are
        laid aside and done anew."""
        if not self.corpora:
            return {}
        own = "trained by this run" if settings.trains_shared else shipped.weights_hash(self.weights, self.weight_files)
        return {"weights_hash": own, "data_hash": data_hash(self.corpora)}

    def weights_of(self, settings: S, folder: Path) -> Path:
        """Where the weights that a job (in ``folder``) starts from lie: shipped, or trained by another job."""
        return folder.parent / self.weights_job if settings.trains_shared else self.weights

    def base_row(self, settings: S, arm: str, seed: int, weights: Path | None = None) -> dict[str, Any]:
        """The fields that all rows of an arm share; ``weights``: the folder of those that it starts from."""
        row = {"schema": 1, "study": self.id, "arm": arm, "seed": seed, "settings_hash": settings.settings_hash}
        row |= self.hashes(settings)
        return row if weights is None else row | {"weights_hash": shipped.weights_hash(weights, self.weight_files)}

    def describe(self, settings: S) -> dict[str, Any]:
        """What the manifest says beyond settings and hashes."""
        return self.facts

    def judged_by(self, settings: S) -> Path | None:
        """The file that states what a run is judged by; a scale or panel with hypotheses of its own names theirs."""
        file = self.hypotheses_file
        named = (file and file.with_name(f"{name}.toml") for name in (settings.scale, getattr(settings, "panel", "")))
        return next((own for own in named if own and own.is_file()), file)

    def hypotheses(self, settings: S) -> Sequence[Hypothesis]:
        """What a run is judged by."""
        if (file := self.judged_by(settings)) is None:
            raise SettingsError(f"study {self.id!r} names no file of hypotheses (hypotheses_file)")
        return load_hypotheses(file)

    def evidence(self, settings: S, rows: "pd.DataFrame") -> "pd.DataFrame":
        """The rows that hypotheses are judged on: those of the run, unless the study compares it with others."""
        return rows

    def judged(self, settings: S, rows: "pd.DataFrame") -> list[dict]:
        """The verdicts on the rows of a run."""
        from oryx.evidence.verdicts import judge

        stated, one_model = self.hypotheses(settings), settings.scale in self.released_scales
        return judge(self.evidence(settings, rows), self.id, settings.scale, stated, one_model)

    def plan(self, settings: S) -> dict[str, Any]:
        """What a run would do, for people to read, and what that took when it was published."""
        jobs = [job for seed in seeds_of(self, settings) for job in seed.all_jobs]
        done = sum(job.done and not job.outdated for job in jobs)
        found = {"arms": ", ".join(self.arms(settings)), "seeds": list(settings.seeds)}
        found |= {"jobs": f"{len(jobs)}, of which {done} are done"}
        if hasattr(settings, "train_steps"):
            found["train_steps"] = settings.train_steps
        found |= self._power(settings)
        manifest = self.published_folder(settings) / "manifest.json"
        seeds = read_json(manifest).get("seeds", {}) if manifest.is_file() else {}
        marks = [mark | {"arm": arm} for seed in seeds.values() for arm, mark in seed["arms"].items()]
        unit, spent = ("CPU", "cpu_seconds") if settings.scale in ("smoke", "nano") else ("GPU", "seconds")
        if not marks:
            return found | {f"{unit} minutes, memory": "not measured with these settings"}
        # early runs noted wall time alone
        seconds = {job.arm: [m.get(spent, m["seconds"]) for m in marks if m["arm"] == job.arm] for job in jobs}
        each = [mean(seconds[job.arm]) / 60 for job in jobs if seconds[job.arm]]
        found[f"{unit} minutes, as published"] = round(sum(each))
        found["workers here"] = workers = len(slots(jobs, settings.jobs))
        found["wall minutes with these workers"] = round(max([*each, sum(each) / workers]))
        return found | {"memory of a worker, MB, as published": max(mark["peak_memory_mb"] for mark in marks)}

    def _power(self, settings: S) -> dict[str, str]:
        """By the variance of the published run: how likely as many seeds as these decide each hypothesis."""
        from oryx.evidence.power import Design

        path, found = self.published_folder(settings) / "verdicts.json", {}
        for verdict in json.loads(path.read_text()) if path.is_file() else ():
            if "design" in verdict and (seeds := len(settings.seeds)) > 1:
                chance = Design(**verdict["design"]).power(seeds, **verdict["needs"])
                needed = verdict["seeds_needed"]
                words = f"{needed} would in four of five runs" if needed else "more seeds alone would not"
                found[f"{verdict['id']}: decided by {seeds} seeds"] = f"with probability {chance:.2f}; {words}"
        return found

    def settings(self, values: Mapping[str, Any] | None = None, **overrides: Any) -> S:
        """Settings from a mapping or a notebook's ``globals()``; strict, see :mod:`workbook.runs.settings`.

        ``source="auto"`` becomes what it comes to here. Raises SettingsError also for a scale that this study does not
        have; it has nano and those of its presets.
        """
        values = {**(values or {}), **overrides}
        read = self.settings_class.from_notebook if "__name__" in values else self.settings_class.from_mapping
        made, presets = read(values), self.settings_class.presets
        if made.scale not in (known := [scale for scale in SCALES if scale == "nano" or scale in presets]):
            raise SettingsError(f"scale {made.scale!r}: {self.id} has {', '.join(known)}")
        return made.model_copy(update=self._shown(made)) if made.source == "auto" else made

    def _shown(self, settings: S) -> dict[str, Any]:
        """What shows the published rows and all their seeds if they have these settings and seeds, else what runs."""
        path = self.published_folder(settings) / "manifest.json"
        manifest = {"settings_hash": None, "seeds": {}} | (read_json(path) if path.is_file() else {})
        seeds, same = tuple(map(int, manifest["seeds"])), manifest["settings_hash"] == settings.settings_hash
        shown = same and set(settings.seeds) <= set(seeds)
        return {"source": "published", "seeds": seeds} if shown else {"source": "run"}

    def run_folder(self, settings: S) -> Path:
        """Where a run of these settings lies; the published folder for ``source="published"``."""
        if settings.source == "published":
            return self.published_folder(settings)
        return Path(settings.results) / "runs" / self.id / settings.scale / settings.settings_hash

    def published_folder(self, settings: S) -> Path:
        """``results/<study>/<scale>``; settings away from the preset are named too: ``<scale>,<name>=<value>``."""
        return self._published_runs(settings) / settings.variant

    def _published_runs(self, settings: S) -> Path:
        """The folder of this study's published runs; of a relative one that is not here, the repository's."""
        own = Path(settings.results, self.id)
        return own if own.is_dir() else REPOSITORY / own

    def published_rows(self, settings: S) -> "list[pd.DataFrame]":
        """The rows of every published run of this study at this scale, the default run first."""
        from oryx.evidence.rows import read_published

        folder = self._published_runs(settings)
        places = [folder / settings.scale, *sorted(folder.glob(f"{settings.scale},*"))]
        return [read_published(file) for place in places if (file := published_rows(place))]

    def run(self, settings: S) -> Run:
        """Do what is missing of this run, then merge, judge and compare it; or read the published one.

        Raises RunError if jobs failed (their rows and those of all others are kept), or a shard is in use.
        """
        if settings.source == "published":
            return self._published(settings)
        self.finish_seeds(settings)
        return self.collect(settings)

    def finish_seeds(self, settings: S) -> None:
        """Do what is missing of the seeds of a run, each in its own folder, without merging them.

        Raises RunError if jobs failed or a shard is in use, SettingsError for ``source="published"``.
        """
        if settings.source == "published":
            raise SettingsError("source: 'published' reads rows that are there, it has no jobs; use 'run'")
        self.check(settings)
        run_seeds(self, settings)

    def collect(self, settings: S) -> Run:
        """Merge, judge and compare the finished seeds of a run; nothing is trained.

        Raises RunError naming a seed that is not finished.
        """
        # here, not above: workers and most verbs need no frames and statistics, whose imports take half a second
        import pandas as pd

        from oryx.evidence.rows import read_rows
        from oryx.evidence.stats import summary

        seeds = seeds_of(self, settings)
        for seed in seeds:
            if not seed.finished:
                raise RunError(f"{seed.folder} is not finished with these settings, weights and data: run it first")
        folder, jobs = self.run_folder(settings), [job for seed in seeds for job in seed.jobs]
        for job in jobs:
            job.check_rows()
        rows = read_rows([job.folder / "rows.jsonl" for job in jobs])
        points = []
        for job in jobs:
            if (path := job.folder / "curve.json").exists():
                points += [{"arm": job.arm, "seed": job.seed, **point} for point in json.loads(path.read_text())]
        curves = pd.DataFrame(points, columns=["arm", "seed", "step", "loss", "rate"])
        verdicts = self.judged(settings, rows)
        comparison = self._compare(settings, rows)
        atomic_write_text(folder / "table.csv", summary(rows).to_csv(index=False))
        atomic_write_text(folder / "curves.csv", curves.to_csv(index=False))
        atomic_write_text(folder / "comparison.txt", comparison + "\n")
        atomic_write_json(folder / "verdicts.json", verdicts)
        run = Run(folder, rows, curves, verdicts, comparison)
        self.draw(run, settings)
        return run

    def draw(self, run: Run, settings: S) -> None:
        """Write every figure of the study into the run's ``figures`` folder as png, svg and csv, and ``seen.json``,
        what is seen in each."""
        from workbook.report.plots import save_figure

        drawn, folder = self.figures(run, settings), run.folder / "figures"
        for name, one in drawn.items():
            save_figure(*one, folder, name)
        if drawn:
            atomic_write_json(folder / "seen.json", {name: one.seen for name, one in drawn.items()})

    def figures(self, run: Run, settings: S) -> "dict[str, Drawn]":
        """Name -> what is drawn: the study's own figures, verdicts and training curves."""
        from workbook.report import plots

        arms = [arm for arm in self.arm_order or self.arms(settings) if arm in set(run.rows["arm"])]
        found = {**self.own_figures(run, settings, arms), "verdicts": plots.difference_forest(run.verdicts)}
        if len(run.curves):
            found["training_curves"] = plots.training_curves(run.curves, self.arm_order)
        return found

    def own_figures(self, run: Run, settings: S, arms: list[str]) -> "dict[str, Drawn]":
        """The figures of the rows, of ``arms`` in order; by default scores by task, tokens and, of pictures, size."""
        from workbook.report import plots

        order, groups = self.arm_order or arms, self.groups(settings) or {"all": tuple(dict.fromkeys(run.rows["task"]))}
        sized = "size_bin" in run.rows
        return {
            "score_by_task": plots.score_by_task(run.rows, arms, order),
            "score_against_tokens": plots.score_against_tokens(run.rows, arms, groups, order),
            **({"score_by_size": plots.score_by_bin(run.rows, arms, groups, order)} if sized else {}),
        }

    def _published(self, settings: S) -> Run:
        import pandas as pd

        from oryx.evidence.rows import read_published

        folder = self.published_folder(settings)
        if (file := published_rows(folder)) is None:
            raise MissingResource(f"nothing is published in {folder.absolute()}; use source='run'")
        rows = read_published(file)
        verdicts = json.loads((folder / "verdicts.json").read_text())
        return Run(folder, rows, pd.read_csv(folder / "curves.csv"), verdicts, PUBLISHED)

    def _compare(self, settings: S, rows: "pd.DataFrame") -> str:
        from oryx.evidence.rows import read_published
        from workbook.runs.compare import compare, say

        published = published_rows(self.published_folder(settings))
        if published is None:
            return f"Nothing is published for {self.id} at {settings.variant}: no comparison."
        return say(compare(rows, read_published(published)))


def study_at(path: str) -> Study:
    """The study of an import path ``module:Class``; raises SettingsError if there is none."""
    try:
        found = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"study {path!r} cannot be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Study)):
        raise SettingsError(f"study {path!r}: expected a subclass of workbook.studies.base.Study, got {found!r}")
    return found()
