"""The encoder study's arms, tokens and encoders, without training."""

import numpy as np
import pytest
from PIL import Image
from transformers.models.siglip2.image_processing_pil_siglip2 import get_image_size_for_max_num_patches

from oryx.errors import MissingResource, SettingsError
from oryx.layout import Layout, visual_token_count
from oryx.processing.sizes import Partition
from workbook.data.items import evaluation_items
from workbook.stages.encoders import _at
from workbook.stages.recipes import encoder_recipe
from workbook.studies.encoders.arms import ARMS, BLIND, ENCODERS, INPUTS, arm_view
from workbook.studies.encoders.settings import Settings
from workbook.studies.encoders.study import ENCODER_JOBS, MIXTURE, PROBES, OryxViTvsSigLIP

PICTURES = encoder_recipe("nano").phases[-1].sizes
PATCH, SIDE = PICTURES.patch, PICTURES.side


@pytest.fixture(scope="module")
def items():
    return [i for task in MIXTURE for i in evaluation_items(task, "dev", 60, PICTURES)]


def tokens(arm, items):
    view = arm_view(arm, SIDE)
    if isinstance(view, Partition):
        square = (view.side // PATCH,) * 2
        grids = [(square, view.cells(item.size, PATCH)[2:]) for item in items]
        return np.array([visual_token_count(Layout.TWO_VIEW, each) for each in grids])
    grids = [tuple(side // PATCH for side in view.target(item.size, PATCH)) for item in items]
    return np.array([visual_token_count(Layout.ONE_VIEW, [grid]) for grid in grids])


def test_native_costs_the_tokens_of_fixed_and_of_small_tiles_on_average(items):
    native = tokens("oryxvit_native", items).mean()
    for arm in ("oryxvit_fixed", "oryxvit_partition_matched", "oryxvit_budget"):
        assert tokens(arm, items).mean() == pytest.approx(native, rel=0.05), arm
    assert tokens("oryxvit_partition", items).mean() > 2 * native


def test_encoders_and_inputs_are_fully_crossed():
    assert [ARMS[f"{e}_{v}"] for e in ENCODERS for v in INPUTS] == [(e, v) for e in ENCODERS for v in INPUTS]
    assert arm_view(BLIND, SIDE) is None


def test_the_equal_area_arm_spends_nearly_as_naflex_does(items):
    """Our rule and transformers' own, on average over the study's pictures."""
    ours = [np.prod(arm_view("oryxvit_budget", SIDE).target(i.size, PATCH)) for i in items]
    theirs = [np.prod(get_image_size_for_max_num_patches(*i.size, PATCH, (SIDE // PATCH) ** 2)) for i in items]
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.12)


@pytest.mark.parametrize(
    ("values", "seed", "first"),
    [
        ({}, 0, []),
        ({}, 1, [[ENCODER_JOBS[0]], [*ENCODER_JOBS[1:], "encoder_mixed"]]),
        ({"from_scratch": True}, 0, [[ENCODER_JOBS[0]], [*ENCODER_JOBS[1:], "encoder_mixed"]]),
        ({"arms": ["siglip_fixed", "oryxvit_native"]}, 1, [[ENCODER_JOBS[0]], [*ENCODER_JOBS[1:]]]),
        ({"scale": "small"}, 0, [[*ENCODER_JOBS[1:]]]),
    ],
)
def test_seed_0_has_shipped_encoders_and_others_train_theirs(values, seed, first):
    study = OryxViTvsSigLIP()
    assert study.prepare(study.settings(values), seed) == first
    assert study.further_jobs(study.settings(values)) == [PROBES], "no arm waits for the probes"


def test_a_run_asks_all_that_its_hypotheses_compare():
    study, settings = OryxViTvsSigLIP(), Settings()
    asked = {arm: {task for _, task, _ in study.picture_arm(settings, arm).passes()} for arm in settings.arms}
    stated = study.hypotheses(settings)
    assert len(stated) > 20
    for entry in stated:
        for arm in entry.arms:
            assert set(entry.tasks) <= asked[arm] or (entry.tasks == ("patch",) and ARMS[arm][1] in INPUTS[:2])


def test_public_parts_have_hypotheses_of_their_own():
    study = OryxViTvsSigLIP()
    for scale in ("small", "paper"):
        stated = study.hypotheses(study.settings({"scale": scale}))
        assert {entry.scale for entry in stated} == {scale}
        assert {*MIXTURE}.isdisjoint(task for entry in stated for task in entry.tasks)


def test_an_encoder_of_mixed_input_sees_half_of_the_pictures_each_way():
    r, rng = encoder_recipe("nano"), np.random.default_rng(0)
    picture = Image.new("RGB", (96, 24))
    sizes = [_at("mixed", rng, picture, r.phases[-1], r).size for _ in range(200)]
    assert set(sizes) == {(96, 24), (48, 48)} and 70 < sizes.count((48, 48)) < 130


def test_what_cannot_run_says_what_it_needs(tmp_path):
    study = OryxViTvsSigLIP()
    for values, error, message in (
        ({"scale": "paper"}, MissingResource, "trains from public parts"),
        ({"scale": "medium"}, MissingResource, "--from-scratch"),
        ({"siglip": str(tmp_path)}, SettingsError, "siglip: expected at scale small and paper alone, got scale 'nano'"),
        ({"panel": "default"}, SettingsError, "panel: "),
        ({"side": 50}, SettingsError, "side: expected a multiple of two patches"),
    ):
        with pytest.raises(error, match=message):
            study.check(study.settings(values))
