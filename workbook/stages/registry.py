"""What ``python -m oryx.train NAME`` carries out, by name. A module is imported when it is asked for."""

import argparse
import json
import sys
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from oryx.errors import SettingsError

PARTS = {
    "shared": "shared:run",
    "video_reader": "video_reader:run",
    "encoders": "encoders:run",
    "language_model": "encoders:run_language_model",
    "one_model": "one_model:run",
}
"""Part that studies share -> module of this package and its function of Options that trains it."""
ALL = "all"
"""All parts, one after the other: :mod:`workbook.stages.chain`."""
VERBS = {
    "pretrain": "workbook.studies.from_records:pretrain",
    "align": "workbook.studies.from_records:align",
    "sft": "workbook.studies.from_records:sft",
    "joint": "workbook.studies.from_records:joint",
    "finetune": "workbook.studies.finetune:main",
    "retrieval-records": "workbook.stages.retrieval_records:main",
}
"""What else there is, with options of its own -> function of the words after the name, which returns the exit code."""


def main(arguments: list[str] | None = None) -> None:
    """Command line: train one of PARTS or all of them, or do one of VERBS; a run that was stopped goes on."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in VERBS:
        sys.exit(resolve_name(VERBS[arguments[0]])(arguments[1:]))
    parser = argparse.ArgumentParser(
        prog="python -m oryx.train",
        description="Train a part that studies share, or all of them, each from those before it.",
        epilog=f"With options of their own (NAME --help): {', '.join(VERBS)}.",
    )
    parser.add_argument("part", choices=[ALL, *PARTS, *VERBS])
    parser.add_argument("--scale", default="nano", help="of the recipe: smoke, nano, medium, quarter or quadruple")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--folder", type=Path, required=True, help="where parts are written; the same one resumes")
    parser.add_argument("--start", type=Path, help="folder of the parts to start from; default: those that ship")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; sums depend on it in the last bits")
    parser.add_argument("--precision", default="auto", help="auto (bf16 on a GPU), fp32 or bf16")
    parser.add_argument("-p", action="append", default=[], metavar="NAME=VALUE", help="a field of the recipe")
    parsed = parser.parse_args(arguments)
    import torch

    from oryx.train.device import compute
    from workbook.stages import chain
    from workbook.stages.stage import Options

    torch.set_num_threads(parsed.threads)
    where = (parsed.scale, parsed.seed, parsed.folder, parsed.start)
    options = Options(*where, compute(parsed.precision), changes=dict(map(_change, parsed.p)))
    if parsed.part == ALL:
        chain.train_all(PARTS, options)
    else:
        chain.train_part(parsed.part, PARTS[parsed.part], options)


def _change(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError as error:
        raise SettingsError(f"-p {text}: expected NAME=VALUE, the value as JSON") from error
