"""The paper against ours, over what is published: sections as Markdown, which notebook 90 shows one by one, and the
report, one HTML file made from the same sections.

It is a report over ``results/``, not a study: it has no arms, seeds or rows of its own, and nothing of it is published.
So it stands in no list of studies, and ``python -m oryx report --notebook`` executes the notebook through the same
runner, with the same strict parameters. No torch.
"""

import base64
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import unquote

import mistune

from oryx.files import atomic_write_text
from workbook.report.claims import Answered, answered_claims, counts, findings
from workbook.report.comparisons import comparison_table
from workbook.report.paper import PARTS
from workbook.report.published import NOT_TESTED, Published, changes, disagreements, published
from workbook.report.questions import Question, questions
from workbook.report.tables import as_table, render
from workbook.runs.settings import SCALES, Checked, setting


class Settings(Checked):
    """What the notebook may be given, and all that the notebook runner needs to know of it."""

    id: ClassVar[str] = "paper_vs_ours"
    notebook: ClassVar[str] = "90_paper_vs_ours.ipynb"
    source: ClassVar[str] = "published"
    seeds: ClassVar[tuple[int, ...]] = ()
    variant: ClassVar[str] = "all"  # names the folder that the executed notebook is kept in

    scale: Literal[("all", *SCALES)] = setting("all", "all, or show the published runs of one scale alone")
    results: str = setting("results", "results folder")

    def parameters(self) -> dict:
        """What the notebook is given."""
        return self.to_dict()


@dataclass(frozen=True)
class Page:
    """Every section of the page as Markdown. ``folder``: where the page lies that links are followed from; ``writer``:
    what the page says of when and by what it was written."""

    runs: list[Published]
    folder: Path = Path()
    writer: str = ""

    @cached_property
    def answered(self) -> list[Answered]:
        """The paper's claims with what answers them."""
        return answered_claims(self.runs)

    @cached_property
    def asked(self) -> list[Question]:
        """The questions of reviewers and users with their answers."""
        return questions(self.runs)

    def facts(self) -> str:
        """When and by what the page was written, and when, from which commits and versions its rows come."""
        seeds = [seed for run in self.runs for seed in run.manifest["seeds"].values()]
        used = {(name, seed["packages"].get(name)) for seed in seeds for name in ("torch", "transformers")}
        return render(
            "facts.md.j2",
            writer=self.writer,
            runs=self.runs,
            dates=sorted(run.manifest["published"][:10] for run in self.runs if "published" in run.manifest),
            commits=sorted({seed["commit"][:8] for seed in seeds if seed.get("commit")}),
            versions=[f"{name} {version}" for name, version in sorted(used, key=str) if version],
        )

    def words(self) -> str:
        """What every verdict word means, and the word for it in public reproduction logbooks: the open reproductions of
        ICML 2026 (Hugging Face, alphaXiv) have four, verified, falsified, toy and inconclusive."""
        return render("words.md.j2")

    def summary(self) -> str:
        """How many hypotheses or claims of every part of the paper have which verdict."""
        return as_table(counts(self.answered))

    def claims(self, *parts: str) -> str:
        """The claims of some parts of the paper, each with its hypotheses in every run, its check or its tests."""
        own = [one for one in self.answered if one.claim.part in parts]
        return render("claims.md.j2", claims=own, titles={q.id: q.title for q in self.asked})

    def forest(self, study: str) -> Any:
        """The figure of a study's verdicts, or a sentence if its defaults are not published."""
        from workbook.report.plots import difference_forest

        run = next((run for run in self.runs if run.study == study and "," not in run.variant), None)
        return difference_forest(run.verdicts) if run else f"Nothing is published for {study}."

    def questions(self) -> str:
        """What reviewers and users asked, with the answers."""
        return render("questions.md.j2", questions=self.asked)

    def findings(self) -> str:
        """Negative and surprising findings, each with what it rests on."""
        return render("findings.md.j2", findings=findings(self.runs))

    def comparisons(self) -> str:
        """What was compared after the runs: leads for hypotheses, no verdicts."""
        return as_table(comparison_table(self.runs))

    def changes(self) -> str:
        """Verdicts that are others than when the run was first judged, each with the reason."""
        return as_table(changes(self.runs))

    def disagreements(self) -> str:
        """Where seeds or runs say different things."""
        tested = sum(v["verdict"] != NOT_TESTED for run in self.runs for v in run.verdicts)
        return render("disagreements.md.j2", disagreements=disagreements(self.runs), tested=tested)

    def figures(self, study: str) -> str:
        """The figures of a study's published default run, each leading to its drawing; nothing where there are none."""
        own = [run for run in self.runs if run.study == study and "," not in run.variant]
        return render("figures.md.j2", runs=own, link=self._link)

    def commands(self, figures: bool = False) -> str:
        """How to run every published result again, from what it came, its files, and if wanted the ``figures`` of runs
        away from the defaults, whose own stand beside their verdicts."""
        return render("runs.md.j2", runs=self.runs, link=self._link, figures=figures)

    def _link(self, path: Path) -> str:
        return os.path.relpath(path, self.folder).replace(os.sep, "/") if path.exists() else ""


def read(settings: Settings) -> Page:
    """The published runs of the settings; raises RunError for a damaged folder."""
    runs = published(Path(settings.results))
    return Page([run for run in runs if settings.scale in ("all", run.scale)])


def build(results: Path, out: Path, writer: str = "") -> Path:
    """Write the report over ``results`` to ``out`` and return it; it says so where nothing is published.

    Links to rows and notebooks are relative to ``out``; all else is inside the file. Raises RunError for a damaged
    published folder.
    """
    out.parent.mkdir(parents=True, exist_ok=True)  # relative paths of pictures go through it
    return atomic_write_text(out, written(results, out.parent, writer) + "\n")


def written(results: Path, folder: Path, writer: str = "") -> str:
    """The report over ``results`` as HTML that lies in ``folder``, from which its links lead."""
    text = render("report.md.j2", page=Page(published(results), folder, writer), parts=PARTS)
    return render("report.html.j2", body=to_html(text, folder), parts=PARTS)


def to_html(text: str, folder: Path) -> str:
    """Markdown as HTML: markup in it is escaped, headings get ids as in Jupyter.

    Verdicts are named to the style sheet, which has colours for them; they keep their words: colour is never alone.
    Pictures, whose paths are relative to ``folder``, are embedded.
    """
    body = mistune.create_markdown(renderer=_Renderer(folder), plugins=["table"])(text)
    return re.sub(r"<(td|strong)>([a-z ]+)</\1>", r'<\1 data-verdict="\2">\2</\1>', body)


class _Renderer(mistune.HTMLRenderer):
    def __init__(self, folder: Path):
        super().__init__(escape=True)
        self.folder = folder

    def heading(self, text: str, level: int, **attributes: Any) -> str:
        return f'<h{level} id="{text.replace(" ", "-")}">{text}</h{level}>\n'

    def image(self, text: str, url: str, title: str | None = None) -> str:
        data = base64.b64encode((self.folder / unquote(url)).read_bytes()).decode()
        return f'<img loading="lazy" alt="{mistune.escape(text)}" src="data:image/png;base64,{data}">'
