"""Executed notebooks are whole: every cell ran, no sentence of a table is cut, they show what is published today."""

import re
from pathlib import Path

import nbformat
import pytest

from tools.docs.executed import KEPT, LINK, MOST_BYTES, kept
from workbook.report import page

ROOT = Path(__file__).parents[2]
EXECUTED = [path for path in sorted(ROOT.glob("results/**/notebook.ipynb")) if "runs" not in path.parts]
CUT = {"text/html": r">([^<>]*(?:\.\.\.|…))\s*</t[dh]>", "text/markdown": r"\|([^|\n]*(?:\.\.\.|…)) *\|"}


def code_of(book) -> list[str]:
    """The source of its code cells but for the parameters that were injected."""
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    return [cell.source for cell in cells if "injected-parameters" not in cell.metadata.get("tags", [])]


def shown(book, kind: str) -> list[str]:
    """What its outputs of one kind say."""
    return [out.data[kind] for cell in book.cells for out in cell.get("outputs", []) if kind in out.get("data", {})]


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: str(path.parent.relative_to(ROOT / "results")))
def test_every_cell_ran_and_no_table_is_cut(path):
    book = nbformat.read(path, as_version=4)
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert not [out for cell in cells for out in cell.outputs if out.output_type == "error"]
    assert any(shown(book, kind) for kind in ("image/png", "text/html")) and shown(book, "text/markdown")
    source = nbformat.read(ROOT / book.metadata.papermill.input_path, as_version=4)
    if code_of(book) != code_of(source):
        assert path.parent.name not in KEPT, "run python -m tools.docs.executed"
        pytest.skip("executed from an earlier version of the notebook: python -m oryx publish STUDY --redraw")
    for kind, pattern in CUT.items():
        assert not (found := re.findall(pattern, "\n".join(shown(book, kind)))), f"{kind}: {found[:3]}"


@pytest.mark.parametrize("name", KEPT)
def test_notebooks_of_no_study_are_kept_as_executed(name):
    assert kept(name).stat().st_size <= MOST_BYTES
    book = nbformat.read(kept(name), as_version=4)
    assert book.metadata.papermill.input_path == f"notebooks/{KEPT[name][0]}" and book.metadata.cpu_seconds > 0
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"(results/{name}/notebook.ipynb)" in readme


def test_the_paper_against_ours_is_executed_over_what_is_published():
    today = page.read(page.Settings.from_mapping({"results": str(ROOT / "results")}))
    told = shown(nbformat.read(kept("paper_vs_ours"), as_version=4), "text/markdown")
    for section in (today.summary(), today.findings()):
        assert section in told, "run python -m tools.docs.executed paper_vs_ours"


@pytest.mark.parametrize("name", KEPT)
def test_their_links_lead_somewhere_from_where_they_lie(name):
    book = nbformat.read(kept(name), as_version=4)
    texts = [cell.source for cell in book.cells if cell.cell_type == "markdown"] + shown(book, "text/markdown")
    links = {link for text in texts for _, link in LINK.findall(text)}
    assert links and not [link for link in links if not (kept(name).parent / link).exists()]
