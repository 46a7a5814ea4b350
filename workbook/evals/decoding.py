"""From lmms-eval's generation arguments to those of ``model.generate``, by a protocol where a task is silent."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from oryx.errors import SettingsError, check_known, first_fault
from workbook.data.protocols import Prompt, Protocol

SAMPLING = ("top_p", "top_k")
KNOWN = ("max_new_tokens", "do_sample", "temperature", *SAMPLING, "num_beams", "repetition_penalty", "until")
FILLED_IN = {"do_sample"}
"""What the harness itself writes (False) where a task has no generation arguments at all: it says nothing."""
NOT_A_STOP = "\n\n"
"""The harness's own ``until`` where a task names none; answers may have paragraphs."""


def generation(named: Mapping[str, Any], protocol: Protocol, video: bool, most: int) -> dict[str, Any]:
    """Keyword arguments of ``model.generate`` for a task that names ``named``; ``most``: new tokens if it does not.

    The protocol's temperature holds where the task names neither a temperature nor, beside other arguments,
    ``do_sample``. Raises SettingsError for an unknown argument, with the nearest one, or a value that cannot be.
    """
    check_known(named, KNOWN, "generation argument")
    given = {name: value for name, value in named.items() if value is not None and name != "until"}
    temperature, sample = given.pop("temperature", None), given.get("do_sample")
    if sample is False and (temperature is not None or set(given) != FILLED_IN):
        temperature = 0.0
    elif sample and temperature is None:
        temperature = 1.0
    try:
        asked = Prompt(text="", most=given.pop("max_new_tokens", most), temperature=temperature, source="the task")
    except ValidationError as error:
        fault = first_fault(error).replace("most:", "max_new_tokens:")
        raise SettingsError(f"generation arguments: {fault}") from None
    chosen = protocol.generation(video, asked)
    others = {name: value for name, value in given.items() if name != "do_sample"}
    return chosen | {name: value for name, value in others.items() if chosen["do_sample"] or name not in SAMPLING}


def cut(text: str, until: str | list[str] | None) -> str:
    """``text`` up to the first of the task's stop strings."""
    for stop in [until] if isinstance(until, str) else until or []:
        if stop and stop != NOT_A_STOP:
            text = text.split(stop)[0]
    return text.strip()
