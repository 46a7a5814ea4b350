"""How many lines of code the packages have, folder by folder, beside the most that they may have."""

import ast
import io
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST = {("oryx",): 5_400, ("oryx", "workbook"): 16_700}
"""Packages -> most lines of code that they may have together."""
BEGIN, END = "<!-- lines of code: python -m tools.docs -->", "<!-- end of the lines of code -->"
NO_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def code_lines(source: str) -> int:
    """Lines of code: without blanks, comments and docstrings (or other strings that stand alone)."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def lines_of(*packages: str) -> dict[Path, int]:
    """File, relative to the repository -> its lines of code."""
    files = (path for package in packages for path in sorted((ROOT / package).rglob("*.py")))
    return {path.relative_to(ROOT): code_lines(path.read_text()) for path in files}


def blocks() -> str:
    """Lines per folder as a markdown table, with sums and bounds."""
    folders: Counter[str] = Counter()
    for path, count in lines_of("oryx", "workbook").items():
        folders["/".join(path.parent.parts[:2])] += count
    lines = [f"| `{folder}` | {count:,} | |" for folder, count in folders.items()]
    for packages, most in MOST.items():
        lines.append(f"| **{' and '.join(packages)}** | **{sum(lines_of(*packages).values()):,}** | {most:,} |")
    return "\n".join([BEGIN, "", "| folder | lines of code | at most |", "|---|--:|--:|", *lines, "", END])
