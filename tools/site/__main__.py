"""``python -m tools.site [FOLDER]``: write the pages into FOLDER (``site``) and print the start page's path."""

import sys
from pathlib import Path

from oryx.errors import OryxError
from tools.site.pages import ROOT, Site


def main(arguments: list[str]) -> int:
    """Write the site; errors are one line on stderr."""
    try:
        print(Site(ROOT, Path(*(arguments or ["site"]))).write())
    except OryxError as error:
        print(f"tools.site: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
