"""The first study's arms, items and prompts, without training."""

import numpy as np
import pytest

from oryx.data.items import evaluation_items
from oryx.data.pictures import PictureSizes
from oryx.errors import MissingResource, SettingsError
from oryx.grids import image_token_count
from oryx.studies.native_vs_fixed_resolution import (
    ARMS,
    BLIND,
    CONTROL,
    OBJECT_TASKS,
    QUESTIONS,
    TEXT_TASKS,
    NativeVsFixedResolution,
    Settings,
    arm_resolution,
    evaluations,
)

SIZES = PictureSizes()
TASKS = (*TEXT_TASKS, *OBJECT_TASKS)


@pytest.fixture(scope="module")
def items():
    return {task: evaluation_items(task, "dev", 100, SIZES) for task in TASKS}


def tokens(arm, items):
    resolution, patch = arm_resolution(arm, SIZES.side), SIZES.patch
    grids = [tuple(side // patch for side in resolution.target(i.size, patch)) for each in items.values() for i in each]
    return np.array([image_token_count(None, grid) for grid in grids])


def test_the_matched_arm_costs_native_tokens(items):
    native, matched = tokens("native", items), tokens("area_matched", items)
    assert matched.mean() == pytest.approx(native.mean(), rel=0.05)
    assert np.array_equal(matched, tokens(CONTROL, items)), "the control differs in its text, not in its tokens"
    assert matched.std() < 0.25 * native.std(), "native spends by the picture, the fixed arm does not"


def test_fixed_areas_are_a_quarter_one_and_four(items):
    quarter, one, four = (tokens(arm, items).mean() for arm in ("area_quarter", "area_1", "area_4"))
    assert 2.5 < one / quarter < 4.5 and 3 < four / one < 4.5
    assert tokens("native", items).max() <= 190 and four < 165


def test_questions_are_those_of_the_manifest(items):
    for task, each in items.items():
        asked = {item.question for item in each}
        assert asked == {QUESTIONS[task]} or (task == "list" and all(len(q) == 1 and q.isupper() for q in asked))


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_is_also_asked_without_the_picture(arm):
    asked = {e.condition: e for e in evaluations(arm, 48)}
    assert not asked["no_visual"].visual and asked["no_visual"].resolution is None
    assert ("visual" in asked) == (arm != BLIND)


def test_scales_that_cannot_run_say_what_they_need():
    study = NativeVsFixedResolution()
    with pytest.raises(MissingResource, match="released weights"):
        study.check(study.settings(scale="paper"))
    with pytest.raises(MissingResource, match="--from-scratch"):
        study.check(study.settings(scale="small"))
    with pytest.raises(SettingsError, match="train_steps: expected at least 1, got 0"):
        Settings.from_mapping({"train_steps": 0})
