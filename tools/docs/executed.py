"""``python -m tools.docs.executed``: execute notebooks 00 and 90, which belong to no study, and keep them in results/.

Those of the studies are kept by ``python -m oryx publish``, with the rows that they show. 90 shows all that is
published and has to be executed again when that changes; a test says when. A copy says how many seconds of a processor
it took; it has no sliders, which move nothing where there is no kernel, and its links lead on from where it lies.
"""

import os
import re
import resource
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat

from oryx.errors import RunError
from oryx.files import atomic_write_text
from workbook.explore import models
from workbook.report import page
from workbook.runs.notebooks import execute, notebook_folder
from workbook.runs.settings import REPOSITORY

MOST_BYTES = 1_000_000
SLIDERS = "application/vnd.jupyter.widget-view+json"
KEPT = {
    "start_here": ("00_start_here.ipynb", models.Settings),
    "paper_vs_ours": ("90_paper_vs_ours.ipynb", page.Settings),
}
"""Folder below results/ -> the notebook, and what its parameters are."""
LINK = re.compile(r"(\]\(<?)(?![a-z]+:|[#/])([^)>#]+)")


def kept(name: str) -> Path:
    """Where the executed copy of one lies."""
    return REPOSITORY / "results" / name / "notebook.ipynb"


def main(names: list[str]) -> int:
    """Execute those of ``names``, or all; returns 0, or the code of the first that failed."""
    os.chdir(REPOSITORY)
    for name in names or KEPT:
        notebook, kind = KEPT[name]
        settings = kind.from_mapping({"source": "published"} if "source" in kind.model_fields else {})
        one, before = SimpleNamespace(id=name, notebook=notebook), _processor_seconds()
        if code := execute(one, settings):
            return code
        made = nbformat.read(notebook_folder(one, settings) / "notebook.ipynb", as_version=4)
        made.metadata["cpu_seconds"] = round(_processor_seconds() - before)
        made.metadata.pop("widgets", None)
        made.metadata["linked_from"] = f"results/{name}"
        for cell in made.cells:
            if cell.cell_type == "markdown":
                cell.source = _moved(cell.source, REPOSITORY / "notebooks", name)
                continue
            cell.outputs = [out for out in cell.outputs if SLIDERS not in out.get("data", {})]
            for data in (out.data for out in cell.outputs if "text/markdown" in out.get("data", {})):
                data["text/markdown"] = _moved(data["text/markdown"], REPOSITORY, name)
        if (size := len(text := nbformat.writes(made) + "\n")) > MOST_BYTES:
            raise RunError(f"{notebook} has {size:,} characters as executed, at most {MOST_BYTES:,} are kept")
        kept(name).parent.mkdir(exist_ok=True)
        print(atomic_write_text(kept(name), text))
    return 0


def _moved(text: str, place: Path, name: str) -> str:
    """Markdown whose links, which start at ``place``, start where the copy of ``name`` lies, and lead from notebooks to
    those that are kept as executed."""

    def led(link: re.Match) -> str:
        target = place / link[2]
        copies = (REPOSITORY / "results" / target.stem[3:] / part / "notebook.ipynb" for part in ("nano", ""))
        read = next((copy for copy in copies if target.suffix == ".ipynb" and copy.is_file()), target)
        return link[1] + os.path.relpath(read, kept(name).parent)

    return LINK.sub(led, text)


def _processor_seconds() -> float:
    """Of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
