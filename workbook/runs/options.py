"""Commands whose options are the fields of settings, and folders that belong to one run of such a command."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from oryx.errors import OryxError, SettingsError
from oryx.files import atomic_write_json, read_json
from workbook.runs.settings import Checked, setting


class TrainingSettings(Checked):
    """What every training on records of one's own depends on; each field is an option of the command line."""

    media: str = setting("", "folder of the records' files; default: that of the records", counts=False)
    folder: str = setting("", "where everything is written; a run that was stopped goes on there", counts=False)
    epochs: float = setting(1.0, "how often every record is trained on", least=0)
    gradient_checkpointing: bool = setting(False, "less memory, more time", counts=False)
    precision: Literal["auto", "fp32", "bf16"] = setting("auto", "number format; auto: bf16 on a GPU, fp32 on a CPU")
    frames: int | None = setting(None, "frames of a video; null: as many as the model's options say", least=1)
    sampling: Literal["number", "time"] = setting("number", "by what a video's frames are spread", added_later=True)
    decoder: str = setting("auto", "who decodes videos: auto, decord, pyav or torchcodec")


def command_line(
    settings: type[Checked], run: Callable[[Any], Any], name: str, description: str, arguments: list[str] | None
) -> int:
    """Read the fields of ``settings`` as options and run with them; returns the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m oryx.train {name}", description=description)
    for field, its in settings.model_fields.items():
        shown = f"{its.description} ({its.default!r})".replace("%", "%%")
        parser.add_argument(f"--{field.replace('_', '-')}", default=argparse.SUPPRESS, metavar="VALUE", help=shown)
    try:
        run(settings.from_mapping(vars(parser.parse_args(arguments))))
    except OryxError as error:
        print(f"oryx: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def claim(folder: Path, counted: Mapping[str, Any], what: str) -> None:
    """Keep in a folder what its run depends on (``settings.json``); SettingsError if it holds another one's.

    ``what``: the run, for the message.
    """
    kept = folder / "settings.json"
    earlier = read_json(kept) if kept.is_file() else counted
    for name, value in counted.items():
        if earlier.get(name) != value:
            raise SettingsError(f"folder: {folder} holds a {what} of {name} {earlier.get(name)!r}, not {value!r}")
    atomic_write_json(kept, dict(counted))
