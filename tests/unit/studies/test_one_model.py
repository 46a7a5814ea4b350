"""The one model as a study: the same items are compared, whatever ratio or size their names end in; its hypotheses."""

import pandas as pd
import pytest

from oryx.errors import MissingResource, SettingsError
from oryx.evidence.rows import write_published
from oryx.evidence.verdicts import judge
from tests.unit.evidence.builders import row
from workbook import cli
from workbook.studies.one_model import comparison, figures
from workbook.studies.one_model.study import OneModel

OWN = [
    row(study="one_model", arm="nano", item=f"report/number/{i}/1x", task="number_1x", seed=0, score=score,
        answer="7", truth="7", cluster=f"c{i}", condition="visual", ratio=1)
    for i, score in enumerate([1.0, 0.0, 0.0, 1.0])
]  # fmt: skip


def _publish(folder, arm, item, task, scores):
    rows = [
        row(study="native_vs_fixed_resolution", arm=arm, item=f"report/{task}/{i}", task=task, seed=seed, score=score,
            answer="7", truth="7", cluster=f"c{i}", condition="visual")
        for seed in (0, 1) for i, score in enumerate(scores)
    ]  # fmt: skip
    folder.mkdir(parents=True)
    write_published(pd.DataFrame(rows), folder / "rows.parquet")


def test_differences_are_taken_on_equal_items(tmp_path):
    place = tmp_path / "native_vs_fixed_resolution" / "nano"
    _publish(place, "native", "number", "number", [1.0, 1.0, 0.0])  # one item fewer: it is passed over
    found = comparison.comparison(pd.DataFrame(OWN), tmp_path)
    assert found["task"].tolist() == ["number_1x"] and found["n"].tolist() == [3]
    line = found.iloc[0]
    assert line["one model"] == pytest.approx(1 / 3) and line[comparison.SPECIALIST] == pytest.approx(2 / 3)
    assert line["difference"] == pytest.approx(-1 / 3) and line["low"] < line["difference"] < line["high"]
    assert figures.words(found).endswith("All others hold zero.")
    assert len(figures.comparison_figure(found).figure.axes) >= 1


def test_unpublished_studies_are_passed_over(tmp_path):
    rows = pd.DataFrame(OWN)
    assert comparison.comparison(rows, tmp_path).empty and len(comparison.with_specialists(rows, tmp_path)) == 4
    with pytest.raises(MissingResource, match="oryx run one_model"):
        comparison.rows(tmp_path)


def test_the_shipped_scores_follow_from_the_shipped_rows():
    made = comparison.score_lines(comparison.rows()).reset_index(drop=True)
    kept = comparison.scores()
    columns = ["task", "score", "n", "chance", "blind"]
    pd.testing.assert_frame_equal(made[columns], kept[columns], check_dtype=False, atol=1e-4, rtol=0)
    assert set(kept["ratio"]) == {1, 4, 16} and (kept["n"] >= 20).all()


def test_hypotheses_read_tasks_that_the_model_is_asked_and_give_directions_only():
    study = OneModel()
    settings, rows = study.settings({}), comparison.rows()
    stated = study.hypotheses(settings)
    asked = set(rows["task"])
    assert all({*entry.tasks, *entry.other_tasks} <= asked for entry in stated)
    retained = [v for v in judge(rows, study.id, "nano", stated) if v["kind"] == "retention"]
    assert retained and all(verdict["verdict"].startswith("direction only") for verdict in retained)


def test_only_the_shipped_seed_can_be_asked_without_training():
    with pytest.raises(SettingsError, match=r"one training ships, of seed 0, got \[0, 1\]"):
        OneModel().check(OneModel().settings({"seeds": [0, 1]}))
    OneModel().check(OneModel().settings({"seeds": [0, 1], "from_scratch": True}))


def test_the_command_line_shows_the_shipped_rows(capsys):
    assert cli.main(["run", "one_model", "--no-notebook", "-p", "source=published"]) == 0
    assert "scale nano, seeds 0\n" in capsys.readouterr().out
    assert cli.main(["publish", "one_model", "--redraw", "--allow-dirty"]) == 2
    assert "not below results: nothing to draw again" in capsys.readouterr().err
