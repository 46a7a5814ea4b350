"""Notebook 90: the paper against ours, over what is published.

It is a report over ``results/``, not a study: it has no arms, seeds or rows of its own, and nothing of it is published.
So it stands in no list of studies (``run all`` would have to train nothing and publish nothing for it), and
``python -m oryx report --notebook`` executes it through the same runner, with the same strict parameters.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from workbook.report import benchmark_tables
from workbook.report.answers import Answer, answers
from workbook.report.claim_lines import Beside, claims_beside, claims_frame, counts
from workbook.report.findings_page import apart, written
from workbook.report.published import Published, published
from workbook.report.tables import to_markdown
from workbook.runs.settings import SCALES, Checked, setting


@dataclass(frozen=True)
class Settings(Checked):
    """What the notebook may be given."""

    scale: Literal[("all", *SCALES)] = setting("all", "all, or show the published runs of one scale alone")
    results: str = setting("results", "results folder")

    source: ClassVar[str] = "published"
    seeds: ClassVar[tuple[int, ...]] = ()
    jobs: ClassVar[int | None] = None

    @property
    def variant(self) -> str:
        """Name of the folder that the executed notebook is kept in."""
        return self.scale

    def parameters(self) -> dict:
        """What the notebook is given."""
        return self.to_dict()


class PaperVsOurs:
    """What the notebook runner needs to know of the page."""

    id = "paper_vs_ours"
    title = "The paper against ours"
    notebook = "90_paper_vs_ours.ipynb"

    def settings(self, values: Mapping[str, Any]) -> Settings:
        """Strict settings from a mapping or a notebook's ``globals()``."""
        return Settings.from_notebook(values) if "__name__" in values else Settings.from_mapping(values)


@dataclass(frozen=True)
class Page:
    """Everything the notebook shows."""

    runs: list[Published]

    @cached_property
    def besides(self) -> list[Beside]:
        """The paper's claims with what answers them."""
        return claims_beside(self.runs)

    def summary(self) -> str:
        """How many hypotheses or claims of every part of the paper have which verdict, as Markdown."""
        own = counts(self.besides)
        verdicts = list(dict.fromkeys(verdict for said in own.values() for verdict in said))
        return _table([{"part": part, **{v: said.get(v, "") for v in verdicts}} for part, said in own.items()])

    def claims(self, *parts: str) -> str:
        """The claims of some parts, one line per hypothesis and run, as Markdown; empty columns are left out."""
        frame = claims_frame([beside for beside in self.besides if beside.claim.part in parts])
        return to_markdown(frame.loc[:, (frame != "").any()])

    def default_run(self, study: str) -> Published | None:
        """The published run of a study's defaults, None if there is none."""
        return next((run for run in self.runs if run.study == study and "," not in run.variant), None)

    def forest(self, study: str) -> Any:
        """The figure of a study's verdicts, or a sentence if its defaults are not published."""
        from workbook.report.plots import difference_forest

        run = self.default_run(study)
        return difference_forest(run.verdicts)[0] if run else f"Nothing is published for {study}."

    def commands(self) -> str:
        """How to run every published result again, and from what it came, as Markdown."""
        return _table(
            [
                {
                    "run": run.place,
                    "command": f"`{run.command}`",
                    "seeds": ", ".join(run.seeds),
                    "weights": run.weights,
                    "commit": (run.first.get("commit") or "unknown")[:12],
                }
                for run in self.runs
            ]
        )

    def questions(self) -> str:
        """What reviewers and users asked, with the answers, as Markdown."""
        return "\n\n".join(_question(answer) for answer in answers(self.runs, benchmark_tables.read()))

    def findings(self) -> str:
        """Negative and surprising findings as Markdown."""
        return written(self.runs)

    def disagreements(self) -> str:
        """Where seeds or runs say different things, as Markdown."""
        return apart(self.runs)


def read(settings: Settings) -> Page:
    """The published runs of the settings; raises RunError for a damaged folder."""
    runs = published(Path(settings.results))
    return Page([run for run in runs if settings.scale in ("all", run.scale)])


def _question(answer: Answer) -> str:
    shown = [f"*{caption}*\n\n{_table(lines)}" for caption, lines in answer.tables if lines]
    return "\n\n".join([f"**{answer.question}** ({answer.status})", *answer.text, *shown])


def _table(lines: list[dict]) -> str:
    import pandas as pd

    return to_markdown(pd.DataFrame(lines)) if lines else "*Nothing is published.*"
