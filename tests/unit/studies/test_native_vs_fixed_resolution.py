"""The first study's arms, items and prompts, without training."""

import numpy as np
import pytest

from oryx.errors import CheckpointError, MissingResource, SettingsError
from oryx.grids import image_token_count
from workbook.data.items import OBJECT_TASKS, evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.studies.native_resolution.study import (
    ARMS,
    BLIND,
    CONTROL,
    TEXT_TASKS,
    NativeVsFixedResolution,
    Settings,
    arm_resolution,
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


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_is_also_asked_without_the_picture(arm):
    study = NativeVsFixedResolution()
    asked = study.picture_arm(study.settings(), arm).passes()
    blind = [task for condition, task, view in asked if condition == "no_visual" and view is None]
    assert len(blind) == len(TASKS) and (arm == CONTROL or blind == [*TASKS])
    seen = [(task, view) for condition, task, view in asked if condition == "visual"]
    assert seen == [(task, arm_resolution(arm, 48)) for task in blind if arm != BLIND]
    others = {(condition, view.kind) for condition, _, view in asked if condition.startswith("at_")}
    expected = {"native": {("at_area_matched", "area")}, "area_matched": {("at_native", "native")}}
    assert others == expected.get(arm, set())


def test_scales_that_cannot_run_say_what_they_need():
    study = NativeVsFixedResolution()
    with pytest.raises(MissingResource, match="released weights"):
        study.check(study.settings(scale="paper"))
    with pytest.raises(MissingResource, match="--from-scratch"):
        study.check(study.settings(scale="medium"))
    with pytest.raises(SettingsError, match="train_steps: expected at least 1, got 0"):
        Settings.from_mapping({"train_steps": 0})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"batch": 5000}, "batch: expected at most train_items, 4000, got 5000"),
        ({"learning_rate": -1}, "learning_rate: expected more than 0, got -1"),
        ({"side": 768}, "side: expected at most 48 .* got 768"),
        ({"side": 4}, "side 4: no picture of 4 to 64 pixels has"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_before_any_work(values, said):
    study = NativeVsFixedResolution()
    with pytest.raises(SettingsError, match=said):
        study.check(study.settings(values))


def test_shared_weights_that_are_not_the_shipped_ones_are_named_before_any_work(tmp_path, monkeypatch):
    study = NativeVsFixedResolution()
    study.check(study.settings())
    shipped = NativeVsFixedResolution.weights
    monkeypatch.setattr(NativeVsFixedResolution, "weights", tmp_path)
    with pytest.raises(MissingResource, match=r"are not in .*--from-scratch"):
        study.check(study.settings())
    for name in ("manifest.json", "oryxvit.safetensors", "reader.safetensors"):
        (tmp_path / name).write_bytes((shipped / name).read_bytes())
    study.check(study.settings())
    with (tmp_path / "reader.safetensors").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(CheckpointError, match=r"reader\.safetensors: expected sha256 \w+, got \w+ of 1000 bytes"):
        study.check(study.settings())
    (tmp_path / "reader.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"reader\.safetensors is missing; expected"):
        study.check(study.settings())
