"""Commands of the pages that are too slow for the unit tier, as they stand."""

from pathlib import Path

import pytest

from workbook import cli

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


def test_the_report_is_written_over_the_published_results(tmp_path, monkeypatch, capsys):
    (tmp_path / "results").mkdir()
    studies = {path.parents[1] for path in (ROOT / "results").glob("*/*/verdicts.json")}
    assert len(studies) > 4
    for study in studies:
        (tmp_path / "results" / study.name).symlink_to(study)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report"]) == 0
    page = Path(capsys.readouterr().out.split()[-1]).read_text(encoding="utf-8")
    assert all(study.name in page or study.name.replace("_", " ") in page for study in studies)
