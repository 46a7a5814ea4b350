"""Scale small: what is asked for before any work, what a plan says, how jobs come to their models."""

import json

import pytest

from oryx.errors import MissingResource, SettingsError
from oryx.processing.context import PATCH
from oryx.processing.sizes import Partition, Resolution
from tests.parts import write_language_model, write_siglip
from workbook.cli import find_study
from workbook.studies.public.costs import SHARE, costs, shape_of, stage_costs
from workbook.studies.public.settings import SMALL, Course

STUDIES = ("native_vs_fixed_resolution", "oryxvit_vs_siglip", "pooling_vs_dynamic_compression")


def study_and_settings(name, **values):
    study = find_study(name)
    return study, study.settings({"scale": SMALL, "joint": ["films.json"], **values})


@pytest.mark.parametrize("name", STUDIES)
def test_what_is_missing_is_said_by_the_names_of_its_settings(name):
    study, settings = study_and_settings(name, language_model="", joint=[])
    lacking = "-p language_model=..., " + "-p joint=..., " * (name == STUDIES[2]) + "-p data=..."
    with pytest.raises(MissingResource, match=rf"copies of {settings.benchmarks[0]}.*: expected {lacking} \(docs/sma"):
        study.check(settings)


@pytest.mark.parametrize(
    ("name", "arm"), [*zip(STUDIES, ("area_matched", "oryxvit_budget", "mlp_smaller"), strict=True)]
)
def test_arms_whose_pictures_are_drawn_are_refused_by_name(name, arm):
    study, settings = study_and_settings(name, arms=[arm], data="copies")
    with pytest.raises(SettingsError, match=f"arms: {arm} are for what is drawn, not for scale 'small'"):
        study.check(settings)


@pytest.mark.parametrize("name", STUDIES)
def test_a_plan_says_hours_memory_disk_and_cost(name):
    study, settings = study_and_settings(name)
    found = study.plan(settings)
    assert {"arms", "cost", "GB, by arithmetic"} <= found.keys()
    assert found["cost"].endswith("US dollars at 2 an hour")
    assert "at an assumed 35% of 312 TFLOP/s" in found["of these hours"]
    assert found["GPU hours, by arithmetic"] > 0


@pytest.mark.parametrize("name", STUDIES)
def test_costs_follow_steps_pieces_seeds_and_the_gpu(name):
    def of(**values):
        study, settings = study_and_settings(name, **values)
        return costs(settings, study.courses(settings), study.arms(settings), 1000)

    usual, steps = of(), (8000, 1000, 4000, 4000)
    assert usual["training"] > 0 and usual["asking"] > 0
    assert of(stage_steps=steps)["training"] == pytest.approx(2 * usual["training"])
    assert of(tera=624)["training"] == pytest.approx(usual["training"] / 2)
    assert of(seeds=[0, 1, 2])["asking"] == pytest.approx(3 * usual["asking"])
    assert of(accumulate=64)["memory"] < usual["memory"] and of(seeds=[0, 1])["disk"] > usual["disk"]


def test_hours_of_a_stage_are_six_operations_a_weight_and_token_and_two_where_nothing_learns():
    _, settings = study_and_settings(STUDIES[0], stage_steps=(1, 1, 1, 1), stage_batch=1, accumulate=1)
    shape, course = shape_of(settings), Course(("sft",), Resolution("squash", 512))
    (hours, memory), patches = stage_costs(shape, settings, course, "sft"), (512 // PATCH) ** 2
    weights = {part: sum(n * a * b for n, a, b in linears) for part, (linears, _) in shape.parts().items()}
    by_hand = 2 * weights["tower"] * patches + 6 * weights["language model"] * patches
    spent = hours * 3600 * settings.tera * 1e12 * SHARE
    assert by_hand < spent < 1.5 * by_hand, "attention, the prompt and the newlines are on top"
    aligned, whole = (stage_costs(shape, settings, course, stage) for stage in ("align", "pretrain"))
    assert aligned[0] < hours < whole[0] and aligned[1] < memory < whole[1]


def test_shapes_are_read_from_local_parts_without_their_weights(tmp_path):
    parts = {"siglip": write_siglip(tmp_path / "siglip"), "language_model": write_language_model(tmp_path / "text")}
    for file in tmp_path.rglob("*.safetensors"):
        file.unlink()
    shape = shape_of(study_and_settings(STUDIES[0], **parts)[1])
    assert (shape.tower["hidden_size"], shape.tower["patch_size"], shape.tower["position_grid"]) == (24, 16, 128)
    assert (shape.text["hidden_size"], shape.text["num_hidden_layers"]) == (32, 2)


def test_arms_differ_in_what_the_study_is_about_alone():
    study, settings = study_and_settings(STUDIES[0])
    assert study.prepare(settings, 0) == [["oryxvit"]]
    courses = {arm: study.course(settings, arm) for arm in study.arms(settings)}
    blind = courses.pop("blind")
    assert {course.view for course in courses.values()} == {
        None,
        *(Resolution("area", side) for side in (256, 512, 1024)),
        Resolution("squash", 512),
        Resolution("pad", 512),
    }
    assert {(c.stages, c.tower, c.seeing) for c in courses.values()} == {(("align", "sft"), "oryxvit", True)}
    assert (blind.stages, blind.seeing) == (("sft",), False), "nothing to align"
    assert study.course(settings, "oryxvit") == Course(("pretrain",)), "at native size, from siglip"
    given = settings.model_copy(update={"pretrain": ()})
    assert study.prepare(given, 0) == [] and study.course(given, "native").tower == ""


def test_the_control_encoder_is_made_on_squares_and_tiles_reach_any():
    study, settings = study_and_settings(STUDIES[1])
    assert study.prepare(settings, 3) == [["encoder_control", "encoder_oryxvit"]]
    square = Resolution("squash", 224)
    assert study.course(settings, "encoder_control") == Course(("pretrain",), square)
    assert study.course(settings, "encoder_oryxvit") == Course(("pretrain",))
    assert study.course(settings, "siglip_partition") == Course(("align", "sft"), Partition(224), "")
    assert study.course(settings, "control_fixed") == Course(("align", "sft"), square, "encoder_control")
    assert study.course(settings, "oryxvit_native").view is None


def test_connectors_go_on_from_one_start_and_records_are_opened_at_the_lowest_ratio():
    study, settings = study_and_settings(STUDIES[2], arms=["average", "dynamic", "dynamic_only_16x"])
    assert study.prepare(settings, 0) == [["oryxvit"], ["start"]]
    assert study.course(settings, "start") == Course(("align", "sft"), tower="oryxvit", connector="average_x2")
    average, single = study.course(settings, "average"), study.course(settings, "dynamic_only_16x")
    assert (average.start, average.connector, average.factor, average.sides) == (
        "start",
        "average",
        1,
        {"video": (2, 4)},
    )
    assert (single.connector, single.factor, single.sides) == ("dynamic", 2, {"video": (4,)})
    assert study.longest_course(settings).sides == {"video": (2,)}


def test_the_hash_of_data_follows_the_content_of_local_records(tmp_path, monkeypatch):
    study, settings = study_and_settings(
        STUDIES[0],
        siglip=write_siglip(tmp_path / "siglip"),
        language_model=write_language_model(tmp_path / "text"),
        **dict.fromkeys(("pretrain", "align", "sft"), str(tmp_path / "data.json")),
    )
    monkeypatch.setattr(type(study), "copies_hash", lambda *_: "copies")
    found = []
    for answer in ("red", "red", "blue"):
        (tmp_path / "data.json").write_text(json.dumps([answer]))
        found.append(study.hashes(settings))
    assert found[0] == found[1] != found[2] and found[0]["weights_hash"] == found[2]["weights_hash"]
