"""What is published is documented, and its verdicts follow from its rows."""

import json
import lzma
from pathlib import Path

import pytest

from oryx.evidence.rows import read_rows_xz
from oryx.evidence.verdicts import judge
from oryx.report.published import ROWS, published

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("run", published(ROOT / "results"), ids=lambda run: run.place)
def test_published_verdicts_are_those_of_the_published_rows(run):
    """Today's statistics and hypotheses say of the rows what was published; rows are valid, one by one."""
    assert judge(read_rows_xz(run.folder / ROWS), run.study, run.scale) == run.verdicts


@pytest.mark.parametrize("path", sorted(ROOT.glob("results/*/*/rows.columns.jsonl.xz")), ids=lambda p: p.parent.name)
def test_every_published_field_is_in_the_data_dictionary(path):
    text = (ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8")
    lines = lzma.decompress(path.read_bytes()).splitlines()
    names = {json.loads(line[: line.index(b', "values"')] + b"}")["field"] for line in lines}
    assert "answer" in names and not {name for name in names if f"`{name}`" not in text}
