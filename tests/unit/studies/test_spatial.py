"""The study of views: what each arm is shown, that arms take the same steps, and what its hypotheses speak of."""

from dataclasses import replace

import pytest
import torch

from oryx.errors import SettingsError
from workbook.data.corpora import data_hash
from workbook.data.rooms import ANSWERS, OF_VIEWS, held_out_questions, rooms
from workbook.report.published import all_hypotheses
from workbook.studies.spatial import figures
from workbook.studies.spatial.arms import ARMS
from workbook.studies.spatial.evaluation import batches_of
from workbook.studies.spatial.study import RELEASED, TRAINED, SpatialCorrespondence
from workbook.studies.spatial.training import draw_step
from workbook.studies.spatial.views import Views

STUDY = SpatialCorrespondence()
SMALL = STUDY.settings({"train_rooms": 5, "rooms": 6, "train_steps": 40, "split": "dev"})


class Shown(Views):
    """What an arm is shown, its tokens left out."""

    def __init__(self, arm, shown, drawings=(0,)):
        self.arm, self.rooms, self.region, self.drawings = ARMS[arm], {room.id: room for room in shown}, 2, drawings
        self.places = {room.id: number for number, room in enumerate(shown)}
        self.tokens = type("Tokens", (), {"grid": (8, 8)})


def test_arms_differ_from_the_unmarked_in_what_their_name_says():
    plain = ARMS["unmarked"]
    assert ARMS["marked"] == replace(plain, marks="same") and ARMS["wrong"] == replace(plain, marks="wrong")
    assert ARMS["marks_at_training"] == replace(plain, trained="marked")
    assert ARMS["single_view"] == replace(plain, views=1) and ARMS["blind"] == replace(plain, blind=True)


def test_weights_that_two_arms_ask_are_trained_once_and_before():
    assert STUDY.prepare(SMALL, 0) == [[TRAINED]]
    assert STUDY.prepare(SMALL.model_copy(update={"arms": ("unmarked", "blind")}), 0) == []
    assert [STUDY._asks(arm) for arm in ARMS] == [TRAINED, TRAINED, "unmarked", "wrong", "single_view", "blind"]


def test_all_arms_take_the_same_steps():
    shown, seen = rooms("train")[:5], set()
    for step in range(0, 40, 2):
        steps = {arm: draw_step(SMALL, 3, Shown(arm, shown), shown, step) for arm in ARMS}
        assert len({tuple(clip.turns for clip in clips) for clips in steps.values()}) == 1
        (number,) = {len(clip.frames) for clip in steps["unmarked"]}
        assert {len(clip.frames) for clip in steps["single_view"]} == {1} and (step >= 12 or number == 1)
        assert [clip.frames[:1] for clip in steps["unmarked"]] == [clip.frames for clip in steps["single_view"]]
        seen.add(number)
    assert seen == set(OF_VIEWS)
    assert draw_step(SMALL, 4, Shown("marked", shown), shown, 0) != draw_step(
        SMALL, 3, Shown("marked", shown), shown, 0
    )


def test_drawings_of_marks_lie_one_behind_the_other():
    views = Shown("marked", rooms("train")[:5], range(3))
    room = rooms("train")[2].id
    assert views.frames(room, (0, 3), 1) == (28, 31) and views.frames(room, (2,), 4) == (30,)


@pytest.mark.parametrize("arm", ["unmarked", "single_view"])
def test_every_question_is_asked_with_and_without_views(arm):
    views, asked = Shown(arm, rooms("dev")[:6]), held_out_questions("dev", 6)
    rows = [row for batch in batches_of(SMALL, None, views, {"schema": 1, "arm": arm}) for row in batch.rows]
    assert len(rows) == 2 * len(asked) and len({(row["item"], row["condition"]) for row in rows}) == len(rows)
    assert {row["frames"] for row in rows} == ({0, 1, 2, 4} if arm == "unmarked" else {0, 1})
    assert all(row["visual_tokens"] == (row["frames"] * 21 + 2 if row["frames"] else 0) for row in rows)
    assert {row["cluster"] for row in rows} <= set(views.rooms)
    assert {row["held_out"] for row in rows} <= {"room", "combination", "pose"}
    assert all(row["chance"] == 1 / len(ANSWERS[row["task"]]) for row in rows)


def test_a_ratio_that_is_no_square_is_refused():
    with pytest.raises(SettingsError, match="ratio: expected a square such as 1, 4 or 16, got 8"):
        STUDY.check(STUDY.settings({"ratio": 8}))


def test_rows_rest_on_the_rooms():
    assert STUDY.hashes(STUDY.settings({}))["data_hash"] == data_hash(("rooms",))


def test_hypotheses_compare_arms_and_tasks_that_there_are():
    own = [entry for entry in all_hypotheses() if entry.study == STUDY.id]
    for scale, arms, tasks in (("nano", ARMS, ANSWERS), ("paper", RELEASED, STUDY.known)):
        stated = [entry for entry in own if entry.scale == scale]
        assert stated and all(set(entry.arms) <= set(arms) and set(entry.tasks) <= set(tasks) for entry in stated)
    assert {entry.scale for entry in own} == {"nano", "paper"}
    assert {entry.paper for entry in own} == {"H5a", "H5b"}


def test_the_gallery_shows_views_of_rooms_with_and_without_marks():
    panels = figures.gallery().axes
    assert len(panels) == 3 * figures.SHOWN and all(panel.images for panel in panels)
    assert (torch.tensor(panels[0].images[0].get_array()) != torch.tensor(panels[1].images[0].get_array())).any()
