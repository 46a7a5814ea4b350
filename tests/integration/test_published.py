"""What is published is documented."""

import json
import lzma
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted(ROOT.glob("results/*/*/rows.columns.jsonl.xz")), ids=lambda p: p.parent.name)
def test_every_published_field_is_in_the_data_dictionary(path):
    text = (ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8")
    lines = lzma.decompress(path.read_bytes()).splitlines()
    names = {json.loads(line[: line.index(b', "values"')] + b"}")["field"] for line in lines}
    assert "answer" in names and not {name for name in names if f"`{name}`" not in text}
