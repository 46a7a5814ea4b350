"""The table of docs/transformers.md and the tests that it names are the same."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_row_is_a_test_and_every_test_a_row():
    page = (ROOT / "docs" / "transformers.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \|(.*)\| `(test_\w+)` \|$", page, re.MULTILINE)
    tree = ast.parse((ROOT / "tests" / "integration" / "test_transformers.py").read_text(encoding="utf-8"))
    tests = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[:5] == "test_"}
    assert [name for _, name in rows] == list(tests)
    for needs, name in rows:
        assert ("ecosystem" in map(ast.unparse, tests[name].decorator_list)) == (needs.strip() == "ecosystem")
