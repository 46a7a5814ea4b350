"""PP-OCRv4 itself: what it reads, and a whole run of the study at smoke scale."""

import pytest

from workbook.data.items import evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.studies.native_resolution.study import TEXT_TASKS
from workbook.studies.ocr import reading
from workbook.studies.ocr.study import CONDITIONS, OcrResolution

pytestmark = [pytest.mark.integration, pytest.mark.ocr]


def test_a_large_line_is_read_and_a_grey_picture_holds_nothing():
    reader = reading.Reader()
    sizes = PictureSizes(side=96, max_tokens=600)
    words = evaluation_items("word", "dev", 4, sizes)
    assert sum(reading.score(word, reader.lines(word.picture)) for word in words) >= 3
    assert reader.blank(words[0].picture.size) == ()


def test_a_run_asks_every_arm_the_same_items_under_every_condition(tmp_path):
    study = OcrResolution()
    settings = study.settings(scale="smoke", split="dev", seeds=[100], results=str(tmp_path), jobs=1)
    run = study.run(settings)
    items = len(TEXT_TASKS) * settings.text_items
    assert run.failed == 0 and len(run.rows) == items * len(CONDITIONS) * len(settings.arms)
    assert run.rows.groupby(["arm", "condition"])["item"].nunique().eq(items).all()
    blind = run.rows[run.rows["condition"] == "no_visual"]
    assert blind["score"].eq(0).all() and blind["frames"].eq(0).all()
    native = run.rows[(run.rows["arm"] == "native") & (run.rows["condition"] == "visual")]
    assert (native["sizes"].str[0].map(list) == native["picture_size"].map(list)).all()
    assert native["score"].mean() > 0.5
    assert {verdict["verdict"].split(":")[0] for verdict in run.verdicts} == {"one model", "not tested"}
    assert {path.stem for path in (run.folder / "figures").glob("*.png")} == {
        "score_by_task",
        "score_by_size",
        "verdicts",
    }
