"""Study 1 on a complete tiny checkpoint in the authors' format and six-item copies of the benchmarks."""

import io

import pytest
from PIL import Image

from oryx.errors import MissingResource, SettingsError
from oryx.evidence.rows import read_rows
from oryx.processing.images import open_image
from oryx.processing.sizes import Resolution
from tests.benchmark_copies import picture, write_mmbench, write_ocrbench
from workbook.studies.native_resolution.released import Resized
from workbook.studies.native_resolution.study import NativeVsFixedResolution
from workbook.studies.released import about

STUDY = NativeVsFixedResolution()
SMALL = {"scale": "paper", "side": 96, "items": 4}


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    write_ocrbench(folder / "ocrbench")
    write_mmbench(folder / "mmbench")
    return folder


def run(settings, arm, folder):
    STUDY.run_job(settings, arm, 0, folder / arm, lambda *_: None)
    return read_rows([folder / arm / "rows.jsonl"])


def test_every_arm_asks_the_same_pictures_at_its_size_and_without_them(settings_of, tmp_path):
    settings = settings_of()
    STUDY.check(settings)
    assert STUDY.arms(settings) == ["native", "area_quarter", "area_1", "area_4", "squash", "pad"]
    found = {arm: run(settings, arm, tmp_path) for arm in STUDY.arms(settings)}
    for arm, rows in found.items():
        assert rows["error"].isna().all() and set(rows["task"]) == set(STUDY.known) and len(rows) == 16
        assert set(rows["condition"]) == {"visual", "no_visual"} and set(rows["split"]) == {"report"}
        assert list(rows["item"]) == list(found["native"]["item"]), arm
        assert (rows[rows["condition"] == "no_visual"]["visual_tokens"] == 0).all()
    seen = {
        arm: rows[(rows["condition"] == "visual") & (rows["item"] == "ocrbench/0000")] for arm, rows in found.items()
    }
    sizes = {arm: rows["sizes"].iloc[0] for arm, rows in seen.items()}
    assert all(len(each) == 2 for each in sizes.values()), "the small second view and the picture"
    high = {arm: each[1] for arm, each in sizes.items()}
    assert high["native"] == [64, 96] and high["squash"] == high["pad"] == [96, 96]  # of 72 x 96 pixels, stride 32
    assert high["area_quarter"] == [32, 64] and high["area_4"] == [160, 224]
    blind = found["native"][found["native"]["condition"] == "no_visual"].set_index("item")["answer"]
    other = found["pad"][found["pad"]["condition"] == "no_visual"].set_index("item")["answer"]
    assert blind.equals(other), "nothing to see is the same in every arm"


def test_a_picture_is_resized_when_it_is_opened_and_named_by_what_it_is():
    buffer = io.BytesIO()
    picture(3).save(buffer, "PNG")
    shown = Resized(buffer.getvalue(), Resolution("pad", 96), 32)
    expected = Resolution("pad", 96).apply(picture(3), 32)
    assert open_image(shown).tobytes() == expected.tobytes()
    assert len({shown, Resized(buffer.getvalue(), Resolution("pad", 96), 32)}) == 1
    assert about(buffer.getvalue(), 96) == {
        "picture_size": [72, 120],
        "area_ratio": 72 * 120 / 96**2,
        "size_bin": "about",
        "aspect": 120 / 72,
        "orientation": "wide",
    }
    assert Image.open(io.BytesIO(shown.read())).size == (96, 96)


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"checkpoint": ""}, MissingResource, r"-p checkpoint=FOLDER .* -p data=FOLDER .* got checkpoint=''"),
        ({"data": ""}, MissingResource, "local copies of ocrbench, mmbench; .* data=''"),
        ({"data": "nowhere"}, MissingResource, "expected a copy of echo840/OCRBench"),
        ({"benchmarks": ["mmbnch"]}, SettingsError, "unknown benchmark of this study 'mmbnch'; did you mean 'mmbench'"),
        ({"benchmarks": ["videomme"]}, SettingsError, "unknown benchmark of this study 'videomme'"),
        ({"arms": ["native", "blind"]}, SettingsError, "arms: blind are for pictures that are drawn"),
        ({"seeds": [0, 1]}, SettingsError, "seeds: released weights are one model"),
        ({"from_scratch": True}, SettingsError, "from_scratch: no weights are shipped for scale 'paper'"),
        ({"protocol": "papr"}, SettingsError, "unknown protocol 'papr'; did you mean 'paper'"),
    ],
)
def test_what_is_missing_or_contradictory_is_refused_before_any_work(settings_of, values, error, said):
    with pytest.raises(error, match=said):
        STUDY.check(settings_of(**values))
