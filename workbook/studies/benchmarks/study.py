"""Public benchmarks on one released model, beside the numbers that the paper and others published for it.

    python -m oryx run benchmarks --scale paper -p checkpoint=FOLDER -p data=FOLDER -p benchmarks=ocrbench,videomme

Hardware: the checkpoint on a GPU; docs/benchmarks-of-the-paper.md has the hours, by arithmetic. Expected: the
published number inside our interval. Nothing is trained; arms are protocols, and every question is asked again without
its visual. A model is one training: its rows are one seed, and intervals cover videos, scenes and pictures.
"""

from collections import defaultdict
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any, ClassVar

from oryx.errors import SettingsError
from oryx.evidence.hypotheses import Hypothesis
from oryx.evidence.schema import SCALES
from workbook.data.benchmark_example import write_example
from workbook.data.benchmarks import BENCHMARKS, row_task
from workbook.data.protocols import Protocol, protocol
from workbook.studies.base import Progress, Run
from workbook.studies.benchmarks.settings import EXAMPLE, Settings
from workbook.studies.released import Items, ReleasedStudy, ask, items_of


class Benchmarks(ReleasedStudy[Settings]):
    """The study behind notebook 06."""

    id = "benchmarks"
    title = "Benchmarks of the paper"
    notebook = "06_benchmarks.ipynb"
    settings_class = Settings
    arm_order = ("paper", "official")
    baseline = "paper"
    known = tuple(BENCHMARKS)
    released_scales = copy_scales = SCALES
    facts: ClassVar[dict] = {
        "dtype": "bfloat16 on a GPU, float32 elsewhere",
        "attention": "auto (packed encoder)",
        "prompts": "the checkpoint's chat form around each prompt; every prompt is in the rows",
    }

    def arms(self, settings: Settings) -> list[str]:
        """The protocols."""
        return list(settings.protocols)

    def copies(self, settings: Settings) -> dict[str, Items]:
        """Protocol -> benchmark -> its items; the example is drawn when it is asked for first."""
        if settings.data == EXAMPLE:
            folder = settings.cache_folder / "benchmarks"
            if not (folder / "videomme" / "videomme").is_dir():
                write_example(folder)
            settings = settings.model_copy(update={"data": str(folder)})
        return {arm: items_of(settings, arm) for arm in self.arms(settings)}

    def check(self, settings: Settings) -> None:
        """Raises, before any work, for protocols, weights, copies, a decoder or seeds that cannot be used."""
        if not settings.protocols:
            raise SettingsError(f"protocols: expected at least one of {', '.join(self.arm_order)}")
        super().check(settings)
        self.hypotheses(settings)

    def processes(self, settings: Settings, arm: str) -> int:
        """As many as the settings say share an arm's visuals."""
        return settings.processes

    def describe(self, settings: Settings) -> dict[str, Any]:
        """The protocols, value by value with sources, beside the facts."""
        chosen = self.protocols(settings)
        return self.facts | {"protocols": [one.described() | {"sources": one.sources} for one in chosen]}

    def protocols(self, settings: Settings) -> list[Protocol]:
        """The protocols of a run, with the frames that the settings ask for."""
        changes = {"frames": settings.frames} if settings.frames else {}
        return [protocol(arm).changed(**changes) for arm in self.arms(settings)]

    def hypotheses(self, settings: Settings) -> list[Hypothesis]:
        """Of every benchmark and protocol: above the published number or, where there is none, above chance."""
        from workbook.studies.benchmarks.tables import NOT_FOUND, published

        made, copies = [], self.copies(settings)
        for arm, name in product(copies, settings.benchmarks):
            paper, chances = BENCHMARKS[name]["paper"], defaultdict(list)
            for item in copies[arm][name]:
                chances[row_task(name, item)].append(item.chance)
            level, found, than = mean(map(mean, chances.values())), NOT_FOUND, "chance"
            if known := published(paper, settings.model):
                level, found = known["value"], known["text"]
                than = f"the number published for {settings.model}; unclear: that lies inside our interval"
            stated = {"study": self.id, "paper": "tables", "statement": f"{paper}, protocol {arm}: above {than}"}
            judged = {"kind": "level", "arms": (arm,), "tasks": tuple(chances), "level": level, "paper_value": found}
            made.append(Hypothesis(id=f"{arm}.{name}", **stated, **judged))
        return made

    def own_figures(self, run: Run, settings: Settings, arms: list[str]) -> dict[str, tuple]:
        """Ours beside the published numbers, and the letters that were chosen."""
        from workbook.studies.benchmarks.figures import beside_published, letters

        return {"beside_published": beside_published(run.rows, settings.model), "letters": letters(run.rows)}

    def run_job(self, settings: Settings, arm: str, seed: int, folder: Path, progress: Progress) -> None:
        """Ask the checkpoint everything by one protocol; an interrupted run resumes from ``folder``."""
        from workbook.studies.benchmarks.evaluation import asked

        base = self.base_row(settings, arm, seed) | {"protocol": arm}
        (used,) = (one for one in self.protocols(settings) if one.name == arm)
        ask(settings, asked(settings, used, self.copies(settings)[arm]), base, folder, progress)
