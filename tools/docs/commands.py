"""The shell commands that the README and docs/ tell people to type, and what docs/commands.md says of each.

A command is a line of a block tagged ``bash``; and a line of a block tagged ``console`` or nothing, or a piece of
inline code, that begins with one of :data:`PROGRAMS`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from oryx.errors import InputError

PROGRAMS = ("python ", "make ", "pip ", "conda ", "pytest ", "snakemake ", "accelerate ", "jupyter ", "papermill ")
LEFT_OUT = ("commands.md",)
"""The list of commands itself."""

BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
ROW = re.compile(r"^\| `(?P<command>[^`]+)` \| (?P<how>.+) \|$", re.MULTILINE)
RUN_HERE, RUN_BY, NOT_RUN = "run here", "run by ", "not run: "


@dataclass(frozen=True)
class Entry:
    """What the page of commands says of one: ``kind`` is RUN_HERE, RUN_BY or NOT_RUN; ``what``: the test, or why."""

    command: str
    kind: str
    what: str


def pages(root: Path) -> list[Path]:
    """The pages whose commands count: README.md and docs/*.md, but for those of :data:`LEFT_OUT`."""
    return [root / "README.md", *sorted(page for page in (root / "docs").glob("*.md") if page.name not in LEFT_OUT)]


def commands(text: str) -> Iterator[str]:
    """The commands of a page in its order, comments and line breaks taken out; each as often as it stands there."""
    for block in BLOCK.finditer(text):
        for line in block["text"].replace("\\\n", " ").splitlines():
            line = plain(line)
            typed = block["language"] == "bash" or (block["language"] in ("", "console") and line.startswith(PROGRAMS))
            if line and typed:
                yield line
    for span in INLINE.findall(BLOCK.sub("", text)):
        if (line := plain(span)).startswith(PROGRAMS):
            yield line


def plain(line: str) -> str:
    """A line without prompt, comment and needless spaces."""
    line = re.sub(r"(^|\s)#\s.*", "", line.strip().removeprefix("$ "), flags=re.DOTALL)
    return " ".join(line.split())


def entries(text: str) -> list[Entry]:
    """The rows of the page of commands; raises InputError for a row that says neither what runs it nor why not."""
    found = []
    for row in ROW.finditer(text):
        for kind in (RUN_HERE, RUN_BY, NOT_RUN):
            if row["how"].startswith(kind):
                found.append(Entry(row["command"].replace("\\|", "|"), kind, row["how"].removeprefix(kind).strip()))
                break
        else:
            raise InputError(f"{row['command']}: expected '{RUN_HERE}', '{RUN_BY}TEST' or '{NOT_RUN}REASON'")
    return found
