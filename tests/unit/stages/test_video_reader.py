"""What the reader of frames learns from: all ratios alike, no pictures, letters of its own."""

import numpy as np
import pytest

from workbook.data.needles import make_dataset
from workbook.stages.recipes import recipe, video_recipe
from workbook.stages.video_reader import draw_samples


def test_all_ratios_are_met_equally_often():
    r = video_recipe("nano")
    first, mixed = sum(r.steps[:2]), sum(r.steps[2:])
    of_side = np.array([first + mixed * r.shares[0], mixed * r.shares[1], mixed * r.shares[2]])
    assert of_side / sum(r.steps) == pytest.approx([1 / 3] * 3, abs=0.005)
    assert sum(r.shares) == pytest.approx(1) and r.shapes.vision == recipe("nano").vision


def test_no_pictures_are_met(tmp_path):
    r = video_recipe("smoke", steps=[2, 2, 2, 20], batch=30)
    dataset = make_dataset(tmp_path, 100, r.size, **r.dataset, letters=r.letters)
    asked = {sample.clip.turns[0][0] for step in range(26) for sample in draw_samples(r, 100, dataset, step)}
    assert {"red", "colour", "change"} <= asked and "name" not in asked
    assert "0.55-0.8-1.0" in dataset.files[-2].name, "cards drawn otherwise are other files"
