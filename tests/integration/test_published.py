"""What is published is documented, follows from its rows, and is what README and findings page show."""

import json
from pathlib import Path

import pandas as pd
import pytest
from pyarrow import parquet

from oryx.evidence.rows import read_published
from oryx.evidence.verdicts import judge
from tools.docs import readme
from workbook.cli import find_study
from workbook.report.published import all_hypotheses
from workbook.studies.one_model import comparison
from workbook.studies.one_model.study import OneModel

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted(ROOT.glob("results/*/*/rows.parquet")), ids=lambda p: p.parent.name)
def test_every_published_field_is_in_the_data_dictionary(path):
    text = (ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8")
    names = parquet.read_schema(path).names
    assert "answer" in names and path.stat().st_size < 3_000_000
    assert not {name for name in names if f"`{name}`" not in text}


def test_the_price_of_one_model_is_that_of_the_rows():
    """Fails when a study is published anew: ``python -m workbook.studies.one_model.comparison`` writes the table."""
    tables = comparison.comparison(comparison.rows(), ROOT / "results"), comparison.table()
    made, kept = (table.sort_values(["study", "task"], ignore_index=True) for table in tables)
    pd.testing.assert_frame_equal(made, kept, atol=1e-4, check_dtype=False)


def test_the_one_model_is_judged_on_its_shipped_rows_and_on_published_ones():
    study = OneModel()
    settings = study.settings({"results": str(ROOT / "results"), "source": "published"})
    run = study.run(settings)
    judged = judge(study.evidence(settings, run.rows), study.id, settings.scale, study.hypotheses(settings))
    assert [verdict["verdict"] for verdict in judged] == [verdict["verdict"] for verdict in run.verdicts]
    assert all(verdict["verdict"].startswith("direction only") for verdict in judged)


@pytest.mark.parametrize("path", sorted(ROOT.glob("results/*/*/verdicts.json")), ids=lambda p: p.parent.name)
def test_published_verdicts_follow_from_published_rows(path):
    stated = {verdict["id"]: verdict for verdict in json.loads(path.read_text())}
    study, (scale, *_) = path.parent.parent.name, path.parent.name.split(",")
    rows, one_model = read_published(path.parent / "rows.parquet"), scale in find_study(study).released_scales
    own = [entry for entry in all_hypotheses() if entry.id in stated]  # a panel may have a file of its own
    judged = {v["id"]: v for v in judge(rows, study, scale, own, one_model)}
    assert stated and stated.keys() <= judged.keys()
    # a panel may have none of the arms that hypotheses speak of; a default run has
    assert "," in path.parent.name or any(v["estimate"] is not None for v in stated.values())
    for name, verdict in stated.items():
        assert judged[name]["verdict"] == verdict["verdict"], name
        for number in ("estimate", "low", "high"):
            assert judged[name][number] == pytest.approx(verdict[number], abs=1e-9), name
            for seed, own in verdict["by_seed"].items():
                assert judged[name]["by_seed"][seed][number] == pytest.approx(own[number], abs=1e-9), (name, seed)


def test_the_readme_shows_what_is_published(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert readme.main(["--check"]) == 0, capsys.readouterr().out
