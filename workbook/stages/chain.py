"""All parts one after the other, each from those before it, in one folder that may be empty at first.

    python -m oryx.train all --scale nano --folder results/runs/shared/nano

The last part is a whole model, ``oryx.load("results/runs/shared/nano/one")``; what ships in ``oryx/weights/nano`` is
laid out in the same way. A run that was stopped goes on when the same command is given again: a part whose manifest is
there is done, and one that was begun goes on from its checkpoint. A manifest says how many ``seconds`` its part took if
that was in one go, and else nothing: nobody has measured it.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from pkgutil import resolve_name

from oryx.errors import SettingsError
from oryx.files import atomic_write_json, read_json
from oryx.train.device import process
from workbook.stages.recipes import encoder_recipe, forms_recipe, joint_recipe, recipe, video_recipe
from workbook.stages.shipped import WEIGHTS
from workbook.stages.stage import Options

CHAIN = "chain.json"
"""What a folder holds: scale and seed."""
MANIFESTS = {"shared": "manifest.json", "one_model": "one/manifest.json"}
"""Part -> its manifest, beside its weights; of the others: ``PART.json``."""


def train_part(part: str, function: str, options: Options) -> None:
    """Train one part by its function ``MODULE:NAME`` of this package."""
    resolve_name(f"workbook.stages.{function}")(replace(options, progress=partial(show, part)))


def train_all(parts: Mapping[str, str], options: Options) -> None:
    """Train every one of ``parts`` (name -> function) that ``options.folder`` lacks, in their order.

    Raises SettingsError, before any work, for a scale at which a part is not trained, for a start or fields of a
    recipe, which belong to one part, and for a folder with another chain.
    """
    if options.changes or options.start:
        raise SettingsError("all: expected no --start and no -p, which are of one part")
    for made in (recipe, video_recipe, encoder_recipe, forms_recipe, joint_recipe):
        made(options.scale)
    folder, asked, state = options.folder, {"scale": options.scale, "seed": options.seed}, process()
    held = read_json(folder / CHAIN) if (folder / CHAIN).is_file() else asked
    if held != asked:
        raise SettingsError(f"folder: {folder} holds a chain of {held}, expected an empty folder or {asked}")
    atomic_write_json(folder / CHAIN, asked)
    manifests = {part: MANIFESTS.get(part, f"{part}.json") for part in parts}
    for part, name in manifests.items():
        say(f"{part}: {duration(folder / name, WEIGHTS / options.scale / name)}")
    for part, function in parts.items():
        if (manifest := folder / manifests[part]).is_file():
            continue
        start, begun, began = None if part == "shared" else folder, [*manifest.parent.glob("*.pt")], time.monotonic()
        train_part(part, function, replace(options, folder=manifest.parent, start=start))
        if state.is_main_process:
            took = {} if begun else {"seconds": round(time.monotonic() - began, 1)}
            atomic_write_json(manifest, read_json(manifest) | took, indent=None)
            for checkpoint in manifest.parent.glob("*.pt"):  # of no use any more, and twice the weights
                checkpoint.unlink()
        state.wait_for_everyone()
        say(f"{part}: done, {duration(manifest)}")


def show(part: str, done: int, total: int) -> None:
    """Say how far a part has come."""
    if done % 100 == 0 or done == total:
        say(f"{part}: step {done} of {total}")


def say(text: str) -> None:
    """Print a line; the first of several processes does."""
    if process().is_main_process:
        print(text, flush=True)


def duration(*manifests: Path) -> str:
    """How long a part took, in hours, minutes and seconds, by the first of its manifests that is there."""
    seconds = next((read_json(path).get("seconds") for path in manifests if path.is_file()), None)
    return "time not measured" if seconds is None else f"{timedelta(seconds=round(seconds))} h"
