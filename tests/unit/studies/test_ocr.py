"""Study 1's pictures before an OCR model: what counts as read, what is shown, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from oryx.errors import MissingResource, SettingsError
from oryx.evidence.hypotheses import load_hypotheses
from workbook.cli import STUDIES, find_study
from workbook.data.items import evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.studies.native_resolution.study import TEXT_TASKS
from workbook.studies.ocr import reading
from workbook.studies.ocr.study import OcrResolution

SIZES = PictureSizes()


def item(task, question, answer):
    return replace(evaluation_items(task, "dev", 1, SIZES)[0], question=question, answer=answer)


@pytest.mark.parametrize(
    ("task", "question", "answer", "lines", "score"),
    [
        ("number", "read", "27", ["2 7"], 1.0),
        ("number", "read", "27", ["2", "7"], 1.0),
        ("number", "read", "27", ["127"], 0.0),
        ("word", "read", "life", ["LIFE"], 1.0),
        ("word", "read", "life", ["lifo"], 0.0),
        ("word", "read", "life", [], 0.0),
        ("list", "K", "40", ["H69K 40", "C63"], 1.0),
        ("list", "K", "40", ["H40", "K63"], 0.0),
        ("list", "K", "40", ["K", "40"], 0.0),
        ("page", "marked", "640", ["638 640841"], 1.0),
        ("page", "marked", "640", ["638 64", "0841"], 0.0),
    ],
)
def test_right_is_what_was_asked_read_in_one_line(task, question, answer, lines, score):
    assert reading.score(item(task, question, answer), lines) == score


def test_the_reader_gets_every_pixel_and_nothing_that_it_would_resize():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 152, 3), dtype="uint8"))
    shown = reading.on_canvas(picture)
    assert shown.size == (192, 64) and all(side % reading.STRIDE == 0 for side in shown.size)
    left, top = (192 - 152) // 2, (64 - 24) // 2
    assert shown.crop((left, top, left + 152, top + 24)).tobytes() == picture.tobytes()
    assert min(left, top) >= reading.MARGIN and shown.getpixel((left - 1, top)) == reading.WHITE


def test_the_study_is_known_by_name_judged_as_one_model_and_no_part_of_all():
    study = find_study("ocr_resolution")
    stated = load_hypotheses(study.hypotheses_file)
    assert study.id not in STUDIES and {entry.study for entry in stated} == {study.id}
    assert {entry.paper for entry in stated} == {"H1a", "H1c"} and {"nano"} == {entry.scale for entry in stated}
    assert {task for entry in stated for task in entry.tasks} == set(TEXT_TASKS)
    assert {arm for entry in stated for arm in entry.arms} == set(study.arm_order)


def test_what_cannot_be_run_is_refused_before_any_work(monkeypatch):
    study = OcrResolution()
    with pytest.raises(SettingsError, match="from_scratch: nothing is trained here"):
        study.check(study.settings(from_scratch=True))
    with pytest.raises(SettingsError, match="expected one seed, got"):
        study.check(study.settings(seeds=[0, 1]))
    monkeypatch.setattr(reading, "find_spec", lambda name: None)
    with pytest.raises(MissingResource, match=r"rapidocr_onnxruntime is not installed: pip install -e \"\.\[ocr\]\""):
        study.check(study.settings())
