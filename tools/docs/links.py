"""Links from the pages to lines of the code: ``[`Class.method`](../oryx/file.py#L12 "text of the line")``.

The name says what is meant; the line number follows from it. With a title (optional), the line is the first one inside
that definition that contains the title's text. No code is imported.
"""

import ast
import re
from functools import lru_cache
from pathlib import Path

from oryx.errors import InputError

LINK = re.compile(r'\[`(?P<name>[\w.]+)`\]\((?P<path>[\w./-]+\.py)#L(?P<line>\d+)(?: "(?P<text>[^"]+)")?\)')


def relinked(text: str, folder: Path) -> str:
    """``text`` of a page in ``folder`` with every line number as it is now.

    Raises InputError naming the link whose file, definition or line is not there.
    """

    def renew(link: re.Match) -> str:
        path = folder / link["path"]
        if not path.is_file():
            raise InputError(f"{link[0]}: there is no {path}")
        line = line_of(path, link["name"], link["text"])
        title = f' "{link["text"]}"' if link["text"] else ""
        return f"[`{link['name']}`]({link['path']}#L{line}{title})"

    return LINK.sub(renew, text)


def line_of(path: Path, name: str, text: str | None = None) -> int:
    """The line (from 1) where ``name`` (``Class.method``, a function or a constant) is defined in a file, or the first
    line of the definition that contains ``text``. Raises InputError if there is none."""
    source, node = _parsed(path, path.stat().st_mtime_ns)
    for part in name.split("."):
        inside = [child for child in ast.iter_child_nodes(node) if part in names_of(child)]
        if not inside:
            raise InputError(f"{path}: no definition of {name!r}")
        node = inside[0]
    if text is None:
        return node.lineno
    for number, line in enumerate(source.splitlines()[node.lineno - 1 : node.end_lineno], start=node.lineno):
        if text in line:
            return number
    raise InputError(f"{path}: no line of {name} contains {text!r}")


@lru_cache(maxsize=256)
def _parsed(path: Path, changed: int) -> tuple[str, ast.AST]:
    source = path.read_text(encoding="utf-8")
    return source, ast.parse(source)


def names_of(node: ast.AST) -> list[str]:
    """The names that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]
