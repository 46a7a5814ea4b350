"""The packages stay what they are: arrows between their parts go down, and they stay small enough to be read."""

from collections import Counter
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

from tools.docs.lines import MOST, code_lines, lines_of

ROOT = Path(__file__).parents[2]
MOST_OF_A_FILE = 500


def test_lines_of_code_are_those_with_code_on_them():
    source = '''"""Docstring,

of a module."""

import os  # why

# a comment
def f(
    a,
):
    """One."""
    return """

"""
'''
    assert code_lines(source) == 1 + 3 + 3


@pytest.mark.parametrize("packages", MOST)
def test_packages_stay_small(packages):
    files = lines_of(*packages)
    folders: Counter[str] = Counter()
    for path, count in files.items():
        folders[str(path.parent)] += count
    table = "\n".join(f"{count:6,}  {folder}" for folder, count in sorted(folders.items()))
    assert sum(files.values()) <= MOST[packages], f"{sum(files.values()):,} lines, {MOST[packages]:,} allowed:\n{table}"
    assert {path: count for path, count in files.items() if count > MOST_OF_A_FILE} == {}


def test_imports_go_down(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    broken = lint_imports(no_cache=True)
    assert not broken, capsys.readouterr().out
