"""The pages are as the code is: figures, line links, links between pages, and every command accounted for."""

import ast
import re
from pathlib import Path

import pytest

from oryx.errors import InputError
from tools.docs import commands
from tools.docs.__main__ import PAGES as COMPUTED
from tools.docs.__main__ import renewed
from workbook import cli

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FIGURES = ("compressor", "doubling", "packing", "positions", "layouts", "aspect")
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
ENTRIES = commands.entries((DOCS / "commands.md").read_text(encoding="utf-8"))
HERE = [entry.command for entry in ENTRIES if entry.kind == commands.RUN_HERE]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_symbol_stands_in_the_file_that_it_links_to(page):
    """[`Class.method`](../oryx/file.py): every part of the name is defined there."""
    for name, path in re.findall(r"\[`([\w.]+)`\]\(([\w./-]+\.py)\)", page.read_text(encoding="utf-8")):
        defined = names_in(ast.parse((page.parent / path).read_text(encoding="utf-8")))
        if not path.endswith(name.rpartition("/")[2]):
            assert set(name.split(".")) <= defined, f"{page.name}: no {name} in {path}"


def names_in(tree):
    """The functions, classes and variables that a module defines, at any depth."""
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return found | {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def test_every_figure_is_drawn_and_shown():
    """That they show what the code computes is compared where the page of how-to is carried out."""
    shown = re.findall(r"\]\(figures/(\w+)\.png\)", (DOCS / "architecture.md").read_text(encoding="utf-8"))
    sizes = {path.stem: path.stat().st_size for path in (DOCS / "figures").iterdir()}
    assert sorted(shown) == sorted(sizes) == sorted(FIGURES) and sum(sizes.values()) < 60_000, sizes


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        found = page.parent / path if path else page
        assert found.exists(), f"{page.name}: {target}"
        if anchor and found.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {anchor_of(heading) for heading in headings}, f"{page.name}: {target}"


def anchor_of(heading: str) -> str:
    """A heading's anchor as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("name", COMPUTED)
def test_computed_parts_of_pages_are_as_they_are_computed_today(name):
    page = (DOCS / name).read_text(encoding="utf-8")
    assert renewed(page, COMPUTED[name]) == page, "run python -m tools.docs"


def test_every_page_is_in_the_index():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", index))
    assert linked == {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert "(docs/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_command_is_run_or_says_why_not():
    found = {line: page.name for page in commands.pages(ROOT) for line in commands.commands(page.read_text("utf-8"))}
    listed = [entry.command for entry in ENTRIES]
    assert len(listed) == len(set(listed)), "a command stands twice in docs/commands.md"
    missing = "\n".join(f"| `{line}` | ... |   ({found[line]})" for line in found if line not in listed)
    assert not missing, f"docs/commands.md lacks:\n{missing}"
    assert not set(listed) - set(found), "docs/commands.md has commands that no page has"


def test_what_is_said_to_run_a_command_is_there():
    how_to = set(commands.commands((DOCS / "how-to.md").read_text(encoding="utf-8")))
    for entry in ENTRIES:
        if entry.kind == commands.NOT_RUN:
            assert len(entry.what) > 15, f"{entry.command}: why?"
        if entry.kind == commands.RUN_BY:
            named = re.match(r"`(tests/[\w/]+\.py)::(\w+)`", entry.what)
            assert named, f"{entry.command}: expected `tests/FILE.py::NAME`, got {entry.what}"
            tree = ast.parse((ROOT / named[1]).read_text(encoding="utf-8"))
            assert named[2] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, entry
            if named[1].endswith("test_how_to.py"):
                assert entry.command in how_to


@pytest.mark.parametrize("command", HERE)
def test_cheap_commands_run_as_they_stand(command, tmp_path, monkeypatch, capsys):
    python, flag, module, *arguments = command.split()
    assert [python, flag, module] == ["python", "-m", "oryx"], "only these are run here"
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("verb", ["", *cli._VERBS])
def test_every_level_has_a_help(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"] if verb else ["--help"])
    out = capsys.readouterr().out
    assert ended.value.code == 0 and "usage: python -m oryx" in out
    assert verb or all(name in out for name in cli._VERBS)


def test_the_page_of_the_shell_shows_every_verb():
    shown = {line.split()[3] for line in commands.commands((DOCS / "shell.md").read_text("utf-8")) if " oryx " in line}
    assert set(cli._VERBS) <= shown


def test_commands_are_found_in_blocks_and_in_text():
    text = (
        "Type `make it` or `python -m\noryx run x`, not `make`.\n```bash\n$ cd a  # there\n# a remark\npip install \\\n"
        "  b\n```\n```\nmake c\nits output\n```\n```python\nmake = 1\n```\n"
    )
    found = ["cd a", "pip install b", "make c", "make it", "python -m oryx run x"]
    assert list(commands.commands(text)) == found
    with pytest.raises(InputError, match="make it: expected 'run here'"):
        commands.entries("| `make it` | well |\n")
