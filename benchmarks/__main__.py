"""Benchmarks one after the other: all, or those named.

    python -m benchmarks [NAME ...] [--out build/benchmarks] [--docs FILE]

Each writes its numbers and where they come from to OUT/NAME.json and prints its tables; ``--docs docs/benchmarks.md``
renews them there too. Without flags nothing that git tracks is touched.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.results import code
from oryx.errors import check_known

BENCHMARKS = (
    "packed_encoder",
    "native_encoding",
    "long_videos",
    "language_model",
    "connectors",
    "memory",
    "costs",
    "waiting",
)
BY_NAME = ("training_loop",)
"""Run only when named, because training takes minutes more."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    known = (*BENCHMARKS, *BY_NAME)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; without: all but the last")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"), help="folder of the JSON files")
    parser.add_argument("--docs", type=Path, help="a Markdown file whose blocks are renewed: docs/benchmarks.md")
    parsed = parser.parse_args(arguments)
    check_known(parsed.names, known, "benchmark")
    if parsed.docs and not parsed.docs.is_file():
        parser.error(f"argument --docs: no file {parsed.docs}")
    code()  # the state of the code before any docs are renewed
    for name in parsed.names or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        flags = ["--json", str(parsed.out / f"{name}.json")]
        import_module(f"benchmarks.{name}").main(flags + (["--docs", str(parsed.docs)] if parsed.docs else []))


if __name__ == "__main__":
    main()
