"""What ``python -m oryx plan`` says: what runs would do and cost, their sum, and the parameters of a study."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from oryx.errors import OryxError
from workbook.runs.settings import StudySettings

if TYPE_CHECKING:
    from workbook.studies.base import Study

SUMMED = ("CPU minutes, as published", "GPU minutes, as published", "GPU hours, by arithmetic")
SUMMED += ("wall minutes with these workers",)
"""Lines of a plan that several runs one after the other add up to."""


def plan_of(study: "Study", settings: StudySettings) -> dict[str, Any]:
    """What a run would do and cost, without doing it; ``cannot start`` says what keeps it from starting, if anything
    does."""
    found = {"study": study.id, "scale": settings.scale, "settings": settings.settings_hash}
    try:
        found |= study.plan(settings)
        study.check(settings)
    except OryxError as error:
        found["cannot start"] = str(error)
    return found


def total(plans: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The sums over several plans, and which studies say nothing of their time; without any time no sum."""
    found = {name: sum(plan.get(name, 0) for plan in plans) for name in SUMMED}
    found = {name: round(value, 1) for name, value in found.items() if value}
    silent = [plan["study"] for plan in plans if not plan.keys() & set(SUMMED)]
    return found | ({"not counted, as not measured": ", ".join(silent)} if found and silent else {})


def described(plans: Sequence[Mapping[str, Any]]) -> str:
    """Plans for people to read, the sum of several of them last."""
    parts = [(f"{p['study']} at {p['scale']}, settings {p['settings']}", dict(list(p.items())[3:])) for p in plans]
    if len(plans) > 1 and (sums := total(plans)):
        parts.append(("all of them, one after the other", sums))
    return "\n".join(line for head, own in parts for line in (head, *(f"  {n}: {v}" for n, v in own.items())))


def parameters(settings: StudySettings) -> list[dict[str, Any]]:
    """Of each parameter of a study its name, its value in ``settings`` (for a scale, the default) and its meaning."""
    lines, values = [], settings.to_dict()
    for name, field in type(settings).model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]  # of an optional field or a list the first that is one
        choices = next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), ())
        meaning = field.description + (f" (of {', '.join(map(str, choices))})" if choices else "")
        lines.append({"name": name, "default": values[name], "meaning": meaning})
    return lines


def parameters_described(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The parameters of studies (by id) for people to read."""
    lines = []
    for study, own in found.items():
        lines.append(f"{study}, as -p NAME=VALUE:")
        lines += [f"  {line['name']}={json.dumps(line['default'])}\n      {line['meaning']}" for line in own]
    return "\n".join(lines)
