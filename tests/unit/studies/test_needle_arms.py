"""The grid of the needle study: who is asked what, and how much each arm trains."""

from collections import Counter
from dataclasses import replace

import pytest

from oryx.errors import InputError, MissingResource, SettingsError
from workbook.data.corpora import data_hash
from workbook.data.haystacks import CORPORA as HAYSTACK_CORPORA
from workbook.runs.seeds import seeds_of
from workbook.stages.videos import tokens_trained_on
from workbook.studies.needle.arms import ARMS, EASY, HEADLINE, SMALL, WHOLE, ratio_arms, whole_grid
from workbook.studies.needle.cells import arm_cells, audit_cells, few
from workbook.studies.needle.study import NeedleInAHaystack, Settings
from workbook.studies.needle.training import retrieval_plan

NANO = Settings()
GRIDS = {4: (1, 1), 2: (2, 2)}


@pytest.mark.parametrize("arm", SMALL)
def test_every_arm_is_asked_its_part_of_the_grid(arm):
    asked = arm_cells(NANO, arm)
    assert len(set(asked)) == len(asked) and {cell.trials for cell in asked if cell.frames <= 1600} == {50}
    numbers = {(c.frames, c.depth) for c in asked if c.variant == "number" and c.frames in NANO.lengths}
    if arm in WHOLE:
        assert numbers == {(n, d) for n in NANO.lengths for d in NANO.depths}
    else:
        assert len({n for n, _ in numbers}) == 3 and len({d for _, d in numbers}) == 3
        assert max(n for n, _ in numbers) == (ARMS[arm].most_frames or 1600)
    assert any(cell.frames == EASY for cell in asked), "the gate needs videos within every arm's training"


def test_the_main_arm_is_asked_every_variant_and_beyond_the_grid():
    asked = arm_cells(NANO, HEADLINE[0])
    assert {cell.variant for cell in asked} == {"number", "change", "near", "far"}
    beyond = {(cell.frames, cell.trials): 3 for cell in asked if cell.frames > 1600}
    assert beyond == {(3200, 5): 3, (6400, 2): 3, (14400, 1): 3}
    assert beyond == Counter((cell.frames, cell.trials) for cell in asked if cell.frames > 1600)
    assert {cell.frames for cell in audit_cells(NANO, HEADLINE[0])} == {16, 200, 1600}
    assert not audit_cells(NANO, HEADLINE[1]) and not audit_cells(NANO.model_copy(update={"audit": 0}), HEADLINE[0])


def test_rows_rest_on_all_the_data_that_videos_are_made_of():
    assert NeedleInAHaystack().hashes(NANO)["data_hash"] == data_hash((*HAYSTACK_CORPORA, "icons"))
    assert "clips" in HAYSTACK_CORPORA and "fonts" in HAYSTACK_CORPORA


def test_few_takes_the_ends_and_the_middle():
    assert few([1, 2, 3, 4, 5]) == [1, 3, 5] and few([1, 2]) == [1, 2]
    assert few((50, 100, 200, 400, 800, 1600)) == [50, 200, 1600]


def test_arms_differ_from_the_main_one_in_what_their_name_says():
    main = ARMS["retrieval"]
    assert ARMS["short_tokens"] == replace(main, data="short_tokens")
    assert ARMS["retrieval_full_1e4"] == replace(main, positions="full_1e4")
    assert ARMS["short_full_1e4"] == replace(ARMS["short_tokens"], positions="full_1e4")
    assert ARMS["oracle"] == replace(main, oracle=True)
    assert whole_grid(list(ARMS)[:3]) == list(HEADLINE) and whole_grid(["oracle", "nearest_frame"]) == ["oracle"]
    assert ratio_arms(list(ARMS)) == ["retrieval", "retrieval_4x"]


def test_training_is_equal_in_steps_or_in_tokens():
    grid, seed = GRIDS[4], 3
    plans = {arm: retrieval_plan(NANO, arm, seed, grid) for arm in ("retrieval", "short_steps", "short_tokens")}
    assert plans["short_steps"].plan.steps == plans["retrieval"].plan.steps
    assert plans["short_steps"].longest == plans["short_tokens"].longest == 16 and plans["retrieval"].longest == 400
    total = {arm: tokens_trained_on(plan, seed, grid) for arm, plan in plans.items()}
    assert total["retrieval"] <= total["short_tokens"] < total["retrieval"] + NANO.train_tokens
    assert total["short_steps"] < total["retrieval"]


def test_other_ratios_train_on_clips_of_as_many_tokens():
    grid = GRIDS[2]
    per_frame = grid[0] * (grid[1] + 1) + 1
    plan = retrieval_plan(NANO, "retrieval_4x", 0, grid)
    assert (plan.longest - 1) * per_frame <= 400 * 3 <= (plan.longest + 1) * per_frame


def test_a_run_asks_all_that_its_hypotheses_compare():
    stated = NeedleInAHaystack().hypotheses(NANO)
    assert len(stated) > 10
    for entry in stated:
        depths = set(entry.where.get("depth", NANO.depths))
        for of, tasks in ((entry.arms, (*entry.tasks, *entry.other_tasks)), (entry.gate.arms, entry.gate.tasks)):
            for arm in of:
                asked = arm_cells(NANO, arm)
                for task in tasks:
                    found = {cell.depth for cell in asked if cell.task == task}
                    assert depths <= found or (task == "number_16" and of == entry.gate.arms), (entry.id, arm, task)


def test_released_weights_are_judged_by_their_own_file():
    study = NeedleInAHaystack()
    paper = study.settings({"scale": "paper", "checkpoint": "none"})
    assert {entry.scale for entry in study.hypotheses(paper)} == {"paper"}
    assert {entry.scale for entry in study.hypotheses(NANO)} == {"nano"}
    assert "picture" in {cell.variant for cell in arm_cells(paper, "released")}


def test_the_reader_of_seed_0_ships_and_other_seeds_train_their_own():
    study = NeedleInAHaystack()
    jobs = [[job.arm for job in seed.all_jobs] for seed in seeds_of(study, study.settings({"seeds": [0, 5]}))]
    assert "video_reader" not in jobs[0] and "video_reader" in jobs[1]
    own, shipped = (
        {job.inputs["weights_hash"] for job in seed.jobs} for seed in seeds_of(study, study.settings({"seeds": [5, 0]}))
    )
    assert own == {"trained by this run"} != shipped


def test_the_oracle_trains_longer_and_clips_shown_twice_cost_as_much():
    assert retrieval_plan(NANO, "oracle", 0, GRIDS[4]).plan.steps == 1500
    once, twice = (retrieval_plan(NANO, arm, 0, GRIDS[4]) for arm in ("retrieval", "retrieval_twice"))
    assert retrieval_plan(NANO, "retrieval_to_100", 0, GRIDS[4]) == replace(once, longest=100)
    assert twice == replace(once, twice=True) and ARMS["retrieval_twice"].shown(50) == 100


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"depths": [0.0, 1.5]}, InputError, r"depths: expected 0 to 1, got \[0\.0, 1\.5\]"),
        ({"lengths": [4]}, SettingsError, "lengths"),
        ({"arms": ["retreival"]}, SettingsError, "did you mean 'retrieval'"),
        ({"video": "/nowhere.mp4"}, InputError, r"/nowhere\.mp4: expected a video file, there is none"),
        ({"scale": "medium"}, MissingResource, "medium"),
        ({"panel": "pared"}, SettingsError, "did you mean 'paired'"),
    ],
)
def test_a_run_that_cannot_be_done_says_so_before_any_work(values, error, said):
    study = NeedleInAHaystack()
    with pytest.raises(error, match=said):
        study.check(study.settings(values))
