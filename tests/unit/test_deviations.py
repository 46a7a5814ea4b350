"""The table of docs/deviations.md is complete, and the Python names it gives exist."""

import re
from importlib import import_module
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "deviations.md"
ROWS = [
    line.strip("|").split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d+ ", line)
]
NAMES = sorted(set(re.findall(r"`(oryx\.[\w.]+)`", "".join("".join(row[-1:]) for row in ROWS))))


def test_every_item_once_with_a_choice():
    assert [int(row[0]) for row in ROWS] == list(range(1, 38))
    assert {row[2].strip() for row in ROWS} == {"kept", "option", "fixed", "dropped"}
    assert all(len(row) == 5 for row in ROWS)


@pytest.mark.parametrize("name", NAMES)
def test_names_exist(name):
    try:
        import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module), attribute), f"{module} has no {attribute}"
