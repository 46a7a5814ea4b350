"""``python -m tools.docs [--check]``: draw the figures of docs/, fill in lines of code, memory and hours.

With --check nothing is written; what differs is named and the exit code is 1.
"""

import sys
from pathlib import Path
from types import ModuleType

from tools.docs import figures, fit, hours, lines, robustness, small

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    "architecture.md": lines,
    "fit.md": fit,
    "released-models.md": hours,
    "small.md": small,
    "robustness.md": robustness,
}
"""Page -> the module whose ``blocks()`` stand between its marks BEGIN and END."""


def renewed(page: str, source: ModuleType) -> str:
    """The text of a page with today's tables between its marks."""
    before, _, rest = page.partition(source.BEGIN)
    return before + source.blocks() + rest.partition(source.END)[2]


def main(arguments: list[str]) -> int:
    """Draw, or with --check compare."""
    check = "--check" in arguments
    changed = figures.renew(DOCS / "figures", check)
    for name, source in PAGES.items():
        page = DOCS / name
        if (text := renewed(page.read_text(), source)) != page.read_text():
            changed.append(page)
            if not check:
                page.write_text(text)
    for path in changed:
        print(f"{path.relative_to(DOCS.parent)} {'differs: run python -m tools.docs' if check else 'is renewed'}")
    return int(check and bool(changed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
