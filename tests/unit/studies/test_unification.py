"""What one model costs: only the same items are compared, whatever ratio or size their names end in."""

import pandas as pd
import pytest

from oryx.errors import MissingResource
from oryx.evidence.rows import write_rows_xz
from tests.unit.evidence.builders import row
from workbook.studies.one_model import unification


def _published(folder, arm, item, task, scores):
    rows = [
        row(study="native_vs_fixed_resolution", arm=arm, item=f"report/{task}/{i}", task=task, seed=seed, score=score,
            answer="7", truth="7", cluster=f"c{i}", condition="visual")
        for seed in (0, 1) for i, score in enumerate(scores)
    ]  # fmt: skip
    folder.mkdir(parents=True)
    write_rows_xz(rows, folder / "rows.columns.jsonl.xz")


def test_differences_are_taken_on_equal_items(tmp_path, monkeypatch):
    own = [
        row(study="one_model", arm="nano", item=f"report/number/{i}/1x", task="number_1x", seed=0, score=score,
            answer="7", truth="7", cluster=f"c{i}", condition="visual")
        for i, score in enumerate([1.0, 0.0, 0.0, 1.0])
    ]  # fmt: skip
    write_rows_xz(own, tmp_path / "rows.columns.jsonl.xz")
    place = tmp_path / "results" / "native_vs_fixed_resolution" / "nano"
    _published(place, "native", "number", "number", [1.0, 1.0, 0.0])  # one item fewer: it is passed over
    found = unification.comparison(tmp_path / "results", tmp_path)
    assert found["task"].tolist() == ["number_1x"] and found["n"].tolist() == [3]
    line = found.iloc[0]
    assert line["one model"] == pytest.approx(1 / 3) and line[unification.SPECIALIST] == pytest.approx(2 / 3)
    assert line["difference"] == pytest.approx(-1 / 3) and line["low"] < line["difference"] < line["high"]
    assert unification.words(found).endswith("All others hold zero.")
    assert len(unification.comparison_figure(found).axes[0].get_lines()) >= 2


def test_unpublished_studies_are_passed_over(tmp_path):
    assert unification.comparison(tmp_path).empty
    with pytest.raises(MissingResource, match=r"workbook\.studies\.one_model\.training"):
        unification.rows(tmp_path)


def test_what_ships_agrees_with_its_rows():
    from workbook.studies.one_model.exam import score_lines

    made = score_lines(unification.rows()).reset_index(drop=True)
    kept = unification.scores()
    columns = ["task", "score", "n", "chance", "blind"]
    pd.testing.assert_frame_equal(made[columns], kept[columns], check_dtype=False, atol=1e-4, rtol=0)
    assert set(kept["ratio"]) == {1, 4, 16} and (kept["n"] >= 20).all()
