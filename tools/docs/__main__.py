"""``python -m tools.docs [--check]``: draw the figures of docs/ and renew the line numbers of links into the code.

With --check nothing is written; what differs is named and the exit code is 1.
"""

import sys
from pathlib import Path

from oryx.files import atomic_write_text
from tools.docs import figures, links

DOCS = Path(__file__).parents[2] / "docs"


def main(arguments: list[str]) -> int:
    """Renew, or with --check compare."""
    check, changed = "--check" in arguments, []
    for page in sorted(DOCS.glob("*.md")):
        old = page.read_text(encoding="utf-8")
        new = links.relinked(old, DOCS)
        if old != new:
            changed.append(page)
            if not check:
                atomic_write_text(page, new)
    changed += figures.renew(DOCS / "figures", check)
    for path in changed:
        print(f"{path.relative_to(DOCS.parent)} {'differs: run python -m tools.docs' if check else 'is renewed'}")
    return int(check and bool(changed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
