"""The two walks of docs/architecture.md name every file of ours that a training step and a question enter."""

import re
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

import oryx
from oryx.train.loop import StepBatches
from workbook.cli import find_study

ROOT = Path(__file__).parents[2]
MOST = 10
FEW = {"train_items": 8, "batch": 4, "train_steps": 3, "text_items": 1, "object_items": 1}
PACKAGES = (f"{ROOT / 'oryx'}/", f"{ROOT / 'workbook'}/")


@contextmanager
def entered():
    """The set of our files whose functions are called inside, relative to the repository."""
    files: set[str] = set()

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGES):
            files.add(str(Path(frame.f_code.co_filename).relative_to(ROOT)))

    earlier = sys.getprofile()
    sys.setprofile(note)
    try:
        yield files
    finally:
        sys.setprofile(earlier)


def named(heading: str) -> set[str]:
    """The files that the numbered steps of a section link to."""
    section = (ROOT / "docs" / "architecture.md").read_text().partition(f"### {heading}\n")[2]
    steps = re.split(r"^##", section, maxsplit=1, flags=re.MULTILINE)[0].partition("\n1. ")[2]
    return set(re.findall(r"\]\(\.\./([\w/]+\.py)\)", steps))


def test_a_training_step(tmp_path, monkeypatch):
    study, drawn, walk = find_study("native_vs_fixed_resolution"), StepBatches.__getitem__, entered()
    settings = study.settings({"results": str(tmp_path), **FEW})
    found: list[set[str]] = []

    def draw(batches: StepBatches, step: int) -> dict:
        """The second step is followed from its batch to the third's."""
        if step == 1:
            found.append(walk.__enter__())
        elif step == 2:
            walk.__exit__(None, None, None)
        return drawn(batches, step)

    monkeypatch.setattr(StepBatches, "__getitem__", draw)
    study.run_job(settings, "native", 0, tmp_path, lambda *_: None)
    # the call that is replaced here is the first of the walk
    assert found[0] | {"oryx/train/loop.py"} == named("Follow one training step") and len(found[0]) <= MOST


def test_a_question():
    model, picture = oryx.load("nano"), Image.new("RGB", (96, 64), "red")
    model.ask(picture, "read", max_new_tokens=2)
    with entered() as found:
        model.ask(picture, "read", max_new_tokens=2)
    assert found == named("Follow one question") and len(found) <= MOST


@pytest.mark.parametrize("heading", ["Follow one training step", "Follow one question"])
def test_a_walk_is_short(heading):
    assert 0 < len(named(heading)) <= MOST
