"""Rebuild workbook/data/assets from the packages named in its licences.toml.

    python -m tools.build_assets --download-dir DIR [--only icons,fonts] [--output FOLDER]

Needs the ``assets`` extra, the system library libcairo2, and npm, pip and apt-get for what is not in DIR yet. With the
same versions of these libraries the same bytes are written again. ``--docs`` writes the licence table of docs/data.md.
"""

import argparse
import importlib
import shutil
from pathlib import Path

from tools.assets.licences import markdown_table
from tools.assets.packages import Packages
from tools.assets.store import pack, write_sums

BUILDERS = ("fonts", "words", "icons", "clipart", "flags", "photos", "tables", "clips")
ASSETS = Path(__file__).resolve().parent.parent / "workbook/data/assets"
KEPT_BY_HAND = ("licences.toml", "NOTICES.txt")
BEGIN, END = "<!-- licence table: begin -->", "<!-- licence table: end -->"


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--download-dir", type=Path, help="folder of package files, filled where a file is missing")
    parser.add_argument("--output", type=Path, default=ASSETS, help="folder to write (default: the package's)")
    parser.add_argument("--only", default=",".join(BUILDERS), help=f"some of {','.join(BUILDERS)}")
    parser.add_argument("--docs", type=Path, help="markdown file whose licence table is to be rewritten, then stop")
    options = parser.parse_args(arguments)
    if options.docs:
        write_table(options.docs)
        return
    if options.download_dir is None:
        parser.error("--download-dir is needed")
    names = options.only.split(",")
    if unknown := [name for name in names if name not in BUILDERS]:
        parser.error(f"--only: {', '.join(unknown)} is not one of {', '.join(BUILDERS)}")
    options.output.mkdir(parents=True, exist_ok=True)
    for name in KEPT_BY_HAND:
        if options.output.resolve() != ASSETS:
            shutil.copyfile(ASSETS / name, options.output / name)
    packages = Packages(options.download_dir.resolve())
    for name in names:
        importlib.import_module(f"tools.assets.{name}").build(packages, options.output)
        print(f"{name}: written", flush=True)
    pack(options.output)
    write_sums(options.output)


def write_table(path: Path) -> None:
    """Put the licence table between its two marks in the markdown file at ``path``."""
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    path.write_text(f"{before}{BEGIN}\n{markdown_table()}\n{END}{after}", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
