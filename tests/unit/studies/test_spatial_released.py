"""Study 5 on a complete tiny checkpoint in the authors' format and a six-item copy of ScanQA."""

import shutil

import pytest

from oryx.errors import MissingResource, SettingsError
from oryx.evidence.rows import read_rows
from tests.benchmark_copies import write_frames, write_scanqa
from workbook.studies.spatial.study import RELEASED, SpatialCorrespondence

STUDY = SpatialCorrespondence()


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    write_scanqa(folder / "scanqa")
    for scene in range(3):
        write_frames(folder / "marked" / f"scene{scene:04d}_00", scene, mark="1")
    return folder


@pytest.fixture(scope="module")
def settings_of(copies, released):
    given = {"scale": "paper", "checkpoint": str(released), "data": str(copies), "marked": str(copies / "marked")}
    return lambda **values: STUDY.settings({**given, **values})


def test_every_arm_is_asked_the_same_questions_about_its_frames(settings_of, tmp_path):
    settings = settings_of()
    STUDY.check(settings)
    assert STUDY.arms(settings) == list(RELEASED)
    for arm in RELEASED:
        STUDY.run_job(settings, arm, 0, tmp_path / arm, lambda *_: None)
    rows = read_rows([tmp_path / arm / "rows.jsonl" for arm in RELEASED])
    assert rows["error"].isna().all() and set(rows["task"]) == {"scanqa"}
    assert (rows.groupby(["arm", "condition"])["item"].nunique() == 6).all() and rows["cluster"].nunique() == 3
    seen = rows[rows["condition"] == "visual"].set_index(["arm", "item"])
    assert seen["frames"].groupby("arm").unique().map(list).to_dict() == {
        "marked": [4], "unmarked": [4], "single_view": [1], "blind": [4],
    }  # fmt: skip
    assert list(map(list, seen["truths"].iloc[:2])) == [["red wall", "a red wall"], ["one", "1 bar"]]
    likely = seen["logprob"].unstack("arm")
    assert (likely["marked"] != likely["unmarked"]).all(), "marks are seen"
    one, other = "scanqa/val-scene0000-1", "scanqa/val-scene0001-3"  # one question and answer, about two scenes
    assert likely.loc[one, "blind"] == likely.loc[other, "blind"]
    assert likely.loc[one, "unmarked"] != likely.loc[other, "unmarked"]


def test_without_marked_frames_that_arm_is_left_out(settings_of):
    settings = settings_of(marked="")
    STUDY.check(settings)
    assert STUDY.arms(settings) == ["unmarked", "single_view", "blind"]
    assert STUDY.hashes(settings)["data_hash"] != STUDY.hashes(settings_of())["data_hash"]
    with pytest.raises(SettingsError, match="marked alone needs frames with marks: -p marked=FOLDER"):
        STUDY.check(settings_of(marked="", arms=["marked"]))


def test_arms_that_are_trained_are_refused(settings_of):
    with pytest.raises(
        SettingsError, match="arms: wrong: not for paper, which has marked, unmarked, single_view, blind"
    ):
        STUDY.check(settings_of(arms=["unmarked", "wrong"]))


def test_what_is_wrong_with_frames_is_said_before_any_work(settings_of, copies, tmp_path):
    shutil.copytree(copies / "marked", tmp_path / "marked")
    (tmp_path / "marked" / "scene0001_00" / "80.jpg").rename(tmp_path / "marked" / "scene0001_00" / "81.jpg")
    said = r"marked: expected the same frames in .*scene0001_00 and .*; .*marked/scene0001_00 lacks 80\.jpg"
    with pytest.raises(SettingsError, match=said):
        STUDY.check(settings_of(marked=str(tmp_path / "marked")))
    shutil.rmtree(tmp_path / "marked" / "scene0000_00")
    with pytest.raises(MissingResource, match=r"marked: expected frames of scene scene0000_00 in .*, it is no folder"):
        STUDY.check(settings_of(marked=str(tmp_path / "marked")))
    shutil.copytree(copies / "scanqa", tmp_path / "scanqa")
    shutil.rmtree(tmp_path / "scanqa" / "frames" / "scene0002_00")
    (tmp_path / "scanqa" / "videos").mkdir()
    (tmp_path / "scanqa" / "videos" / "scene0002_00.mp4").write_bytes(b"a film")
    with pytest.raises(MissingResource, match=r"data: expected a folder of frames for scene scene0002_00, got .*mp4"):
        STUDY.check(settings_of(data=str(tmp_path)))
