"""What people read first: no number in it was typed by hand, and what it links to has content."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
MEASURED = re.compile(
    r"(?<![\d.])\d+\.\d{2,}(?![\d.])|\b\d+[ -](?:minutes?|min|hours?|h|seconds?|s|GB|MB)\b|"
    r"\b(?:an?|two|three|four|five|six|seven|eight|nine|ten) (?:minutes?|hours?|seconds?)\b|\b(?!(?:95|85|1) %)\d+ ?%"
)
"""Scores, times, sizes and shares. 95 % are of intervals, 85 % RULER's threshold, 1 % the most that may fail."""
NAMES = re.compile(r"\]\(.*?\)|arXiv [\d.]+|Python [\d.]+|Apache-[\d.]+|Oryx-[\d.]+|`.*?`", re.DOTALL)


def typed(path: Path) -> str:
    """The prose of a notebook, or of the README without what is computed."""
    if path.suffix == ".md":
        return re.sub(r"<!-- results.*?<!-- end -->|```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


@pytest.mark.parametrize("path", [ROOT / "README.md", *NOTEBOOKS], ids=lambda path: path.name)
def test_no_number_that_was_measured_is_typed_by_hand(path):
    assert MEASURED.findall("scores 0.72 in an hour, 12 GB, 40 %") == ["0.72", "an hour", "12 GB", "40 %"]
    assert not MEASURED.findall(NAMES.sub("", typed(path)))


def test_what_the_readme_links_to_has_content():
    links = {link.partition("#")[0] for link in re.findall(r"\]\((?!https?:)([^)#]+)", README)}
    assert len(links) > 20
    for path in map(ROOT.joinpath, links):
        assert path.stat().st_size > 200, path
        if path.suffix == ".ipynb" and "results" in path.parts:
            outputs = [out for cell in json.loads(path.read_text("utf-8"))["cells"] for out in cell.get("outputs", ())]
            assert any("image/png" in out.get("data", {}) for out in outputs), path
