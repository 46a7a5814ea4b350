"""``python -m tools.docs [--check]``: draw the figures of docs/, fill in lines of code, memory and hours.

With --check nothing is written; what differs is named and the exit code is 1.
"""

import sys
from pathlib import Path

from tools.docs import figures, fit, hours, lines, small

DOCS = Path(__file__).parents[2] / "docs"


def main(arguments: list[str]) -> int:
    """Draw, or with --check compare."""
    check = "--check" in arguments
    changed = figures.renew(DOCS / "figures", check)
    pages = {"architecture.md": lines.renewed, "fit.md": fit.renewed, "released-models.md": hours.renewed}
    pages["small.md"] = small.renewed
    for name, renewed in pages.items():
        page = DOCS / name
        if (text := renewed(page.read_text())) != page.read_text():
            changed.append(page)
            if not check:
                page.write_text(text)
    for path in changed:
        print(f"{path.relative_to(DOCS.parent)} {'differs: run python -m tools.docs' if check else 'is renewed'}")
    return int(check and bool(changed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
