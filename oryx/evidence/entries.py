"""Files of entries written by hand (hypotheses, the paper's claims): TOML, strict, faults named by id and field."""

import tomllib
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from oryx.errors import SettingsError


def _some_text(value: str) -> str:
    if not value.strip():
        raise ValueError(f"expected text, got {value!r}")
    return value


def _different(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or len(set(value)) != len(value):
        raise ValueError(f"expected a list of different names, got {list(value)}")
    return value


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Text = Annotated[str, AfterValidator(_some_text)]
Listed = BeforeValidator(_as_tuple)
Names = Annotated[tuple[Text, ...], Listed, AfterValidator(_different)]
"""A list of different names, at least one."""


class Entry(BaseModel):
    """One entry, frozen; unknown fields and values of another kind are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


E = TypeVar("E", bound=Entry)


def read_entries(path: str | Path, kind: str, model: type[E]) -> list[E]:
    """The ``[[kind]]`` entries of a file, in order, each with an ``id`` of its own.

    Raises SettingsError naming the id and field of whatever is wrong.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read as TOML ({error})") from error
    if set(content) != {kind} or not isinstance(content[kind], list):
        raise SettingsError(f"{path}: expected [[{kind}]] entries only, got {sorted(content)}")
    found = []
    for number, entry in enumerate(content[kind], start=1):
        name = entry.get("id") if isinstance(entry, dict) else None
        try:
            found.append(model.model_validate(entry))
        except ValidationError as error:
            where = name if isinstance(name, str) and name else f"{path.name}, entry {number}"
            raise SettingsError(f"{where}, {_fault(error)}") from None
    ids = [entry.id for entry in found]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise SettingsError(f"{path.name}: id {', '.join(twice)} is used more than once")
    return found


def _fault(error: ValidationError) -> str:
    """The first fault: the field, what was expected, what came."""
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    if first["type"] == "value_error":
        return f"field {field}: {first['ctx']['error']}" if field else f"field {first['ctx']['error']}"
    if first["type"] == "extra_forbidden":
        return f"field {field}: unknown"
    if first["type"] == "missing":
        return f"field {field}: is missing"
    expected = first["msg"].replace("Input should be", "expected")
    for theirs, plain in (("valid tuple", "list"), ("valid dictionary", "table"), ("valid string", "text")):
        expected = expected.replace(f"a {theirs}", plain if plain == "text" else f"a {plain}")
    return f"field {field}: {expected}, got {first['input']!r}"
