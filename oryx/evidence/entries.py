"""Files of entries written by hand (hypotheses, the paper's claims): TOML, strict, faults named by id and field."""

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from oryx.errors import SettingsError, first_fault


def _different(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or len(set(value)) != len(value):
        raise ValueError(f"expected a list of different names, got {list(value)}")
    return value


Text = Annotated[str, Field(min_length=1)]
Listed = Field(strict=False)
"""A list in the file, a tuple in the entry."""
Names = Annotated[tuple[Text, ...], Listed, AfterValidator(_different)]
"""A list of different names, at least one."""


class Entry(BaseModel):
    """One entry, frozen; unknown fields and values of another kind are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


E = TypeVar("E", bound=Entry)


def read_entries(path: str | Path, kind: str, model: type[E], beside: Collection[str] = ()) -> list[E]:
    """The ``[[kind]]`` entries of a file, in order, each with an ``id`` of its own.

    ``beside``: names of tables that the file may also have. Raises SettingsError naming the id and field of whatever is
    wrong.
    """
    path, found = Path(path), {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read as TOML ({error})") from error
    if set(content) - set(beside) != {kind} or not isinstance(content[kind], list):
        raise SettingsError(f"{path}: expected [[{kind}]] entries only, got {sorted(content)}")
    for entry in content[kind]:
        try:
            made = model.model_validate(entry)
        except ValidationError as error:
            raise SettingsError(f"{path.name}: {entry.get('id', entry)}, field {first_fault(error)}") from None
        if found.setdefault(made.id, made) is not made:
            raise SettingsError(f"{path.name}: id {made.id} is used more than once")
    return list(found.values())
