"""Notebook 00 without anybody to move its sliders: it shows the same pictures, each with a text alternative."""

import re
from pathlib import Path

import nbformat
import papermill
import pytest

pytestmark = pytest.mark.notebook
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook, executed at smoke scale with a picture of one's own."""
    folder = tmp_path_factory.mktemp("start")
    papermill.execute_notebook(
        ROOT / "notebooks" / "00_start_here.ipynb",
        folder / "00.ipynb",
        {"scale": "smoke"},
        progress_bar=False,
        cwd=folder,
    )
    return nbformat.read(folder / "00.ipynb", 4)


def test_pictures_numbers_and_text_alternatives_are_in_the_executed_notebook(executed):
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    pages = ["".join(output["data"].get("text/html", "")) for output in outputs if "data" in output]
    pictures = [page for page in pages if "<img" in page]
    assert len(pictures) >= 5 and all(len(re.search(r'alt="([^"]*)"', page)[1]) > 20 for page in pictures)
    assert sum("visual tokens</th>" in page for page in pages) >= 3
    told = ["".join(output["data"].get("text/markdown", "")) for output in outputs if "data" in output]
    assert any("supported" in text for text in told), "published verdicts are found from any folder"
    assert not any(output.get("name") == "stderr" for output in outputs)


def test_what_cannot_be_asked_here_says_why(executed):
    printed = "".join(o["text"] for c in executed.cells for o in c.get("outputs", []) if o.get("name") == "stdout")
    assert "Not asked: scale smoke asks the small model only" in printed
