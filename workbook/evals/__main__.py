"""``python -m workbook.evals``: write tasks for lmms-eval, and say how they are asked."""

import argparse
import sys
from pathlib import Path

from oryx.errors import OryxError
from workbook.evals.items import write_items, write_local_tasks


def main(arguments: list[str] | None = None) -> int:
    """The exit code; what to add to a command of lmms-eval is printed."""
    parser = argparse.ArgumentParser(prog="python -m workbook.evals", description=__doc__)
    parser.add_argument("verb", choices=("write", "local"), help="items of the studies; copies of public benchmarks")
    parser.add_argument("folder", type=Path, help="where items are written; where copies lie (docs/lmms-eval.md)")
    parser.add_argument("--items", type=int, default=8, help="pictures a task, films, needles a kind (default: 8)")
    given = parser.parse_args(arguments)
    folder = given.folder.resolve()
    try:
        tasks = write_items(folder, given.items) if given.verb == "write" else write_local_tasks(folder)
    except OryxError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"--include_path {folder} --tasks {','.join(tasks)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
