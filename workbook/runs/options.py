"""Commands whose options are the fields of settings, and folders that belong to one run of such a command."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from oryx.errors import OryxError, SettingsError
from oryx.files import atomic_write_json, read_json
from workbook.runs.settings import Checked


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


def claim(folder: Path, counted: Mapping[str, Any], what: str, write: bool = True) -> None:
    """Keep in a folder what its run depends on (``settings.json``); SettingsError if it holds another one's.

    ``what``: the run, for the message.
    """
    kept = folder / "settings.json"
    earlier = read_json(kept) if kept.is_file() else counted
    for name, value in counted.items():
        if earlier.get(name) != value:
            raise SettingsError(f"folder: {folder} holds a {what} of {name} {earlier.get(name)!r}, not {value!r}")
    if write:
        atomic_write_json(kept, dict(counted))
