"""Arms of the connector study, what each is shown and asked, and what is refused."""

from collections import Counter
from dataclasses import replace

import pytest

from oryx.errors import InputError, MissingResource
from oryx.model.connectors import COMPRESSORS, build_compressor
from workbook.data.stories import LENGTHS, QUESTIONS
from workbook.stages import videos
from workbook.stages.models import build_reader
from workbook.stages.recipes import recipe
from workbook.studies.compressor.arms import ARMS, DEFAULT, EVERY, JUDGED, SIDES, region_side
from workbook.studies.compressor.cells import LONGEST, arms_of, cells, ratios_of, sources_of
from workbook.studies.compressor.study import PoolingVsDynamicCompression, Settings
from workbook.studies.compressor.training import connector_parameters

NANO = Settings()


def panel(name, **values):
    return Settings.from_mapping({"panel": name, **values})


def test_the_default_run_is_four_arms_at_two_ratios():
    assert tuple(arms_of(NANO)) == DEFAULT == ("average", "average_x2", "dynamic", "dynamic_dwconv")
    assert ratios_of(NANO) == (1, 4, 16)
    assert all(arm.connector in COMPRESSORS for arm in ARMS.values())


def test_the_panel_judged_asks_all_that_its_hypotheses_compare_and_one_ratio_that_nobody_trains_at():
    larger, study = panel("judged"), PoolingVsDynamicCompression()
    assert larger.short_stories + larger.long_stories == 400
    for entry in study.hypotheses(larger):
        for arm in entry.arms:
            asked = {f"{kind}_{cell.ratio}x" for cell in cells(larger, arm) for kind in (*QUESTIONS, "shift")}
            assert {*entry.tasks, *entry.other_tasks} <= asked and arm in arms_of(larger), entry.id
    assert {cell.ratio for cell in cells(larger, "dynamic")} == {1, 4, 9, 16}
    assert sources_of(larger, "dynamic") == {1: [80], 2: [80], 4: [80]}
    assert {cell.ratio for cell in cells(larger, "dynamic_dwconv")} == {1, 4, 16}


def test_panels_cover_every_arm_and_sides_one_to_five():
    assert {*EVERY, *JUDGED, "on_demand"} == set(ARMS) and tuple(arms_of(panel("arms"))) == EVERY
    assert [region_side(ratio) for ratio in ratios_of(panel("ratios"))] == [1, 2, 3, 4, 5]
    shown = [cell for cell in cells(panel("ratios"), "dynamic") if cell.length == "short"]
    assert len({cell.tokens for cell in shown}) == 5, "every ratio leaves another number of tokens"


@pytest.mark.parametrize("side", [48, 64, 80])
def test_the_smaller_picture_costs_the_tokens_of_the_compressed_one(side):
    settings = panel("arms", side=side, ratios=[4, 9, 16, 25])
    smaller, compressed = cells(settings, "mlp_smaller"), cells(settings, "dynamic")
    assert [cell.tokens for cell in smaller] == [cell.tokens for cell in compressed]
    assert {cell.side for cell in compressed} == {side} and len({cell.side for cell in smaller}) > 1


@pytest.mark.parametrize("arm", EVERY)
def test_cells_tokens_and_training_fit_the_arm(arm):
    settings = panel("arms")
    asked, sources = cells(settings, arm), sources_of(settings, arm)
    assert {cell.ratio for cell in asked} == set(ratios_of(settings, arm))
    assert all(cell.condition == "visual" and cell.tokens <= LONGEST for cell in asked)
    assert {(cell.ratio, cell.length) for cell in asked} >= {
        (r, n) for r in ratios_of(settings, arm) if r > 1 for n in LENGTHS
    }
    assert list(sources) == [region_side(ratio) for ratio in ratios_of(settings, arm)]
    assert {side for each in sources.values() for side in each} <= {cell.side for cell in asked}
    if ARMS[arm].smaller:
        assert all(cell.region == 1 for cell in asked)


def test_an_arm_that_met_its_ratio_as_often_takes_the_share_of_steps_that_the_arm_of_all_ratios_has_there(monkeypatch):
    monkeypatch.setattr(videos, "draw_single", lambda *_: None)
    sides = {region_side(ratio): [80] for ratio in ratios_of(NANO)}
    plan = videos.StoryPlan(4000, tuple(sides), 100, 0.0, singles=1.0)
    steps = [videos.draw_step(plan, 0, step, None, sides, lambda *_: (10, 10)) for step in range(plan.steps)]
    met = Counter(samples[0].side for samples in steps)
    for ratio in (4, 16):
        assert ARMS[f"dynamic_met_{ratio}x"] == replace(ARMS[f"dynamic_only_{ratio}x"], share=0.4)
        assert met[region_side(ratio)] / plan.steps == pytest.approx(0.4, abs=0.02)


def test_arms_differ_in_what_their_name_says():
    for arm in ("average", "dynamic"):
        for ratio in (4, 16):
            assert ARMS[f"{arm}_only_{ratio}x"] == replace(ARMS[arm], only=ratio)
    assert {name for name, arm in ARMS.items() if arm.factor == 1} == {
        "average", "mlp", "mlp_smaller", "average_only_4x", "average_only_16x", "blind",
    }  # fmt: skip
    assert {name for name, arm in ARMS.items() if arm.cold} == {"dynamic_dwconv_cold", "dynamic_convmlp"}


def test_the_on_demand_arm_is_asked_every_ratio_size_and_number_of_frames_that_fits():
    asked = cells(panel("on_demand"), "on_demand")
    shown = {(c.ratio, c.side, c.frames) for c in asked if c.length == "long"}
    assert {c[0] for c in shown} == {1, 4, 9, 16, 25} and {c[1] for c in shown} == set(SIDES)
    assert (1, 96, 24) not in shown and (25, 96, 24) in shown and (1, 64, 24) in shown
    assert len({(c.condition, c.length, c.ratio) for c in asked}) == len(asked), "a cell's rows are told apart"


def test_parameters_count_the_kernels_in_use():
    model = build_reader(recipe("smoke"))
    for name, expected in (("average", 0), ("dynamic", 2 * (128 * 64 + 64)), ("dynamic_dwconv", None)):
        model.config.compressor = name
        model.compressor = build_compressor(model.config)
        if expected is None:
            expected = 2 * (128 * 64 + 64) + 128 * (4 + 1 + 16 + 1)
        assert connector_parameters(NANO, "dynamic", model) == expected


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"ratios": [5]}, InputError, "expected squares"),
        ({"ratios": [36]}, InputError, "kernels up to 25x, got 36"),
        ({"side": 60}, InputError, "side: expected a multiple of 8 from 16 to 96 pixels, got 60"),
        ({"side": 104}, InputError, "got 104"),
        ({"arms": ["average_only_4x"], "ratios": [16]}, InputError, "average_only_4x train at a ratio"),
        ({"scale": "paper"}, MissingResource, "asks released weights about public benchmarks"),
        ({"scale": "medium"}, MissingResource, "--from-scratch"),
    ],
)
def test_what_cannot_run_is_refused_before_any_work(values, error, said):
    with pytest.raises(error, match=said):
        PoolingVsDynamicCompression().check(Settings.from_mapping(values))


def test_the_kinds_of_questions():
    assert set(QUESTIONS) == {"what", "when", "order", "move", "colour", "sign", "count"}
