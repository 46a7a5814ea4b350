"""The pages of the site lie as the repository's files do, so that links between them keep their relative paths.

A Markdown page, a notebook or a source file becomes a page beside its name (``docs/data.md`` -> ``docs/data.html``,
``oryx/grids.py`` -> ``oryx/grids.py.html``); whatever else a page links to is copied. Nothing is listed by hand: from
the README, the documentation, the notebooks and the report on, every link is followed.
"""

import html
import os
import re
import shutil
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import mistune
import nbformat
from jinja2 import Template
from nbconvert import HTMLExporter
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_by_name, get_lexer_for_filename
from pygments.util import ClassNotFound

from oryx.errors import InputError, RunError
from workbook.report import page as report
from workbook.report.published import published
from workbook.report.tables import TEMPLATES
from workbook.runs.provenance import writer

ROOT = Path(__file__).parents[2]
TEMPLATE = Path(__file__).with_name("page.html.j2")
STYLES = {"light": "default", "dark": "github-dark"}
"""Colour scheme -> pygments' style for code."""
SOURCES = (".py", ".toml", ".cff", ".yaml", ".yml", ".txt")
"""Files that a reader is shown as a page instead of handed as a download."""
LINK = re.compile(r'\b(href|src)="([^"]*)"')
MARK = "Written by oryx-workbook: python -m tools.site\n"


class Site:
    """The site of the repository at ``root``, to be written into ``folder``."""

    def __init__(self, root: Path, folder: Path):
        self.root, self.folder, self.waiting, self.seen = root, folder, [], set()

    def write(self) -> Path:
        """Write every page that can be reached, replacing an earlier site; returns the start page's path.

        Raises InputError, naming page and link, for a link that leads nowhere, and RunError for a folder that holds
        something other than a site.
        """
        mark = self.folder / ".site"
        if self.folder.exists() and any(self.folder.iterdir()) and not mark.exists():
            raise RunError(f"{self.folder} holds something other than a site: give a new or an empty folder")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        mark.write_text(MARK)
        self._put(Path("index.html"), "Oryx workbook", self._markdown(self._start()), Path("README.md"))
        text = report.written(self.root / "results", self.root, writer())
        self._write(Path("report.html"), self._linked(text, Path("report.html"), Path("report.html")))
        while self.waiting:
            self._page(self.waiting.pop())
        return self.folder / "index.html"

    @cached_property
    def executed(self) -> dict[str, Path]:
        """Path of a notebook in the repository -> its copy as executed by the published run, below ``results``."""
        found = {}
        for path in sorted(self.root.glob("results/**/notebook.ipynb")):
            if "runs" not in path.relative_to(self.root).parts:
                source = nbformat.read(path, as_version=4).metadata.get("papermill", {}).get("input_path")
                found.setdefault(source, path.relative_to(self.root))
        return found

    @cached_property
    def originals(self) -> dict[Path, Path]:
        """An executed copy's path -> the notebook whose page shows it: its own links are relative to that."""
        return {copy: Path(name) for name, copy in self.executed.items()}

    def _start(self) -> str:
        """The start page as Markdown: what it is, results, notebooks, the index of the documentation."""
        about = re.search(r"\n\n(.+?)\n\n", (self.root / "README.md").read_text("utf-8"), re.DOTALL)
        index = (self.root / "docs" / "README.md").read_text("utf-8")
        table = re.search(r"^\|.*?\n\n", index, re.DOTALL | re.MULTILINE)
        told = {run.study: run.told for run in published(self.root / "results") if run.variant == run.scale}
        lines = ["| notebook | | verdicts |", "| --- | --- | --- |"]
        for path in sorted(self.root.glob("notebooks/*.ipynb")):
            name = f"notebooks/{path.name}"
            title = re.search(r"^# (.*)", nbformat.read(path, as_version=4).cells[0].source)
            how = "as executed by the published run" if name in self.executed else "not executed: text and code alone"
            verdicts = told.get(path.stem.partition("_")[2], "")
            lines.append(f"| [{title[1] if title else path.stem}]({name}) | {how} | {verdicts} |")
        documentation = re.sub(r"\]\((?!http)", "](docs/", table[0]) if table else ""
        results = [
            "- [The paper against ours](report.html): every claim, its verdict, figures, and how to run it again",
            "- [Findings](docs/findings.md): what did not hold or surprised",
            "- [The README](README.md): commands, results, scales",
        ]
        parts = ["# Oryx workbook", about[1] if about else "", "## Results", "\n".join(results), "## Notebooks"]
        parts += ["\n".join(lines), "## Documentation", documentation]
        return "\n\n".join(parts)

    def _page(self, path: Path) -> None:
        """Write what becomes of one file of the repository."""
        source, target = self.root / path, place(path)
        if path.suffix == ".md":
            self._put(target, path.stem, self._markdown(source.read_text("utf-8")), path)
        elif path.suffix == ".ipynb":
            shown = nbformat.read(self.root / self.executed.get(str(path), path), as_version=4)
            body, _ = HTMLExporter(template_name="basic").from_notebook_node(shown)
            self._put(target, path.stem, body, Path(shown.metadata.get("linked_from", path.parent), path.name))
        elif path.suffix in SOURCES:
            lexer = _lexer(get_lexer_for_filename, path.name)
            self._put(
                target, str(path), f"<h1>{path}</h1>" + highlight(source.read_text("utf-8"), lexer, HtmlFormatter())
            )
        else:
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, self.folder / path)

    def _markdown(self, text: str) -> str:
        return mistune.create_markdown(renderer=_Renderer(escape=False), plugins=["table"])(text)

    def _put(self, target: Path, title: str, body: str, source: Path | None = None) -> None:
        """Wrap a body, whose links are those of ``source``, into the site's page."""
        up = "../" * (len(target.parts) - 1)
        code = {scheme: HtmlFormatter(style=style).get_style_defs(".highlight") for scheme, style in STYLES.items()}
        style = (TEMPLATES / "report.css").read_text("utf-8")
        page = Template(TEMPLATE.read_text("utf-8")).render(
            title=title, body=self._linked(body, source, target) if source else body, up=up, style=style, code=code
        )
        self._write(target, page)

    def _write(self, target: Path, text: str) -> None:
        (self.folder / target).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / target).write_text(text + "\n", encoding="utf-8")

    def _linked(self, body: str, source: Path, target: Path) -> str:
        """A body with its links, relative to ``source``, led to pages of the site from ``target``; they are queued."""

        def lead(match: re.Match) -> str:
            link = urlsplit(html.unescape(match[2]))
            if link.scheme or link.netloc or not link.path:
                return match[0]
            path = Path(os.path.normpath(source.parent / unquote(link.path)))
            path = self.originals.get(path, path)
            if path != Path("report.html"):
                if not (self.root / path).is_file():
                    raise InputError(f"{source}: the link {match[2]} leads to no file of the repository")
                if path not in self.seen:
                    self.seen.add(path)
                    self.waiting.append(path)
            led = quote(os.path.relpath(place(path), target.parent).replace(os.sep, "/"), safe="/,=+")
            return f'{match[1]}="{led}{"#" + link.fragment if link.fragment else ""}"'

        return LINK.sub(lead, body)


class _Renderer(mistune.HTMLRenderer):
    """Headings with the anchors that GitHub gives them, code in colours."""

    def heading(self, text: str, level: int, **attributes: object) -> str:
        plain = html.unescape(re.sub(r"<[^>]+>", "", text))
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        return f'<h{level} id="{anchor}">{text}</h{level}>\n'

    def block_code(self, code: str, info: str | None = None) -> str:
        return highlight(code, _lexer(get_lexer_by_name, info or "text"), HtmlFormatter())


def place(path: Path) -> Path:
    """Where in the site what becomes of a file of the repository lies."""
    if path.suffix in (".md", ".ipynb"):
        return path.with_suffix(".html")
    return path.with_name(f"{path.name}.html") if path.suffix in SOURCES else path


def _lexer(find, name: str):
    try:
        return find(name)
    except ClassNotFound:
        return TextLexer()
