"""Settings of a study: one frozen, typed object that goes all the way down and is saved with every result.

Values arrive from the command line, from papermill (which delivers ``true`` and ``[1,2]`` as text) and from notebook
cells; all go through :meth:`Checked.from_mapping`, which refuses unknown names, mistyped values and values below
a field's least before anything starts.
"""

import ast
import dataclasses
import difflib
import hashlib
import json
import math
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin, get_type_hints

import oryx
from oryx.errors import SettingsError

SCALES = ("smoke", "nano", "small", "paper")
LONGEST_NAME = 100
_PLAIN = (bool, int, float, str, list, tuple, dict, type(None))


def setting(default: Any, help: str, counts: bool = True, least: float | None = None) -> Any:
    """A field of a settings class.

    ``counts=False``: it does not change numbers and stays out of the hash. ``least``: the smallest value it may have
    (of a list: every element).
    """
    return field(default=default, metadata={"help": help, "counts": counts, "least": least})


class Checked:
    """A frozen dataclass that takes its values strictly; presets per scale: {scale: {field: value}}."""

    presets: ClassVar[dict[str, dict]] = {}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Settings with these values over the preset of their scale.

        Raises SettingsError, naming the field, for an unknown name (with the nearest match) or a mistyped value.
        """
        types_of = settings_types(cls)
        for name in values:
            if name not in types_of:
                near = difflib.get_close_matches(name, types_of, 1, 0.5)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise SettingsError(f"unknown parameter {name!r}; {hint}known: {', '.join(types_of)}")
        given = {name: convert(name, value, types_of[name]) for name, value in values.items()}
        for entry in fields(cls):
            _check_least(entry.name, given.get(entry.name), entry.metadata.get("least"))
        preset = cls.presets.get(given.get("scale", "nano"), {})
        return cls(**{**preset, **given})

    @classmethod
    def from_notebook(cls, names: Mapping[str, Any]) -> Self:
        """Settings from ``globals()`` of a notebook: every public name bound to plain data is a parameter.

        Plain data is exactly None, bool, int, float, str, list, tuple or dict. Names that begin with an underscore,
        modules, functions and objects (the study, settings, frames, figures), and IPython's own ``In`` and ``Out`` are
        no parameters; so the cell may run again after later cells, which bind no public plain data. What papermill
        was given is a parameter whatever its name, also one that a later line has bound anew (``study``).

        JupyterLab starts a notebook in the notebook's own folder: in the repository's ``notebooks`` a relative results
        folder is the repository's, where runs and published results lie.
        """
        given = _injected(names.get("In", []))
        plain = {
            name: value
            for name, value in names.items()
            if name in given or (not name.startswith("_") and name not in ("In", "Out") and type(value) in _PLAIN)
        }
        made = cls.from_mapping(plain)
        root = Path(oryx.__path__[0]).parent
        if hasattr(made, "results") and (root / "notebooks") in (Path.cwd(), *Path.cwd().parents):
            made = dataclasses.replace(made, results=str(root / made.results))
        return made

    def to_dict(self) -> dict:
        """Every field as plain JSON data."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


@dataclass(frozen=True)
class StudySettings(Checked):
    """What every study's settings have. A subclass adds fields and presets.

    ``hashed_as``: the name that stands for the class in the hash, its module's unless given; it keeps the hashes of
    published rows when a class moves.
    """

    hashed_as: ClassVar[str] = ""

    scale: Literal[SCALES] = setting("nano", "smoke, nano, small or paper")
    seeds: tuple[int, ...] = setting(
        (0,), "training seeds; one gives a direction only, a verdict needs three", counts=False, least=0
    )
    source: Literal["run", "published"] = setting("run", "run, or published: read the committed rows", counts=False)
    from_scratch: bool = setting(False, "train the shared weights anew instead of using the shipped ones")
    jobs: int | None = setting(None, "worker processes; null: one per core", counts=False, least=1)
    limit_minutes: float | None = setting(
        None, "stop after so long, to go on later; null: no limit", counts=False, least=0
    )
    results: str = setting("results", "results folder", counts=False)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """As :meth:`Checked.from_mapping`; also raises SettingsError for no seeds or a seed that comes twice."""
        made = super().from_mapping(values)
        if not made.seeds:
            raise SettingsError("seeds: expected at least one whole number, got none")
        if len(set(made.seeds)) != len(made.seeds):
            raise SettingsError(f"seeds: each only once, got {list(made.seeds)}")
        return made

    def parameters(self) -> dict:
        """What a notebook must be given to end up with these very settings: the fields that differ from its preset."""
        plain, base = self.to_dict(), type(self).from_mapping({"scale": self.scale}).to_dict()
        return {name: value for name, value in plain.items() if value != base[name] or name in ("scale", "seeds")}

    @property
    def variant(self) -> str:
        """Scale and what counts and differs from its preset, as a folder name: ``nano``, ``nano,encoder=trained``.

        A run away from the defaults is published beside the default one, never over it. Long values give way to the
        hash of the settings.
        """
        plain, base = self.to_dict(), type(self).from_mapping({"scale": self.scale}).to_dict()
        differing = [f.name for f in fields(self) if f.metadata.get("counts", True) and plain[f.name] != base[f.name]]
        name = ",".join([self.scale, *(f"{field}={_as_name(plain[field])}" for field in differing)])
        return name if len(name) <= LONGEST_NAME else f"{self.scale},{self.settings_hash}"

    @property
    def settings_hash(self) -> str:
        """12 hex digits of the sha256 over every field that changes numbers, and the class they belong to."""
        counting = {f.name: self.to_dict()[f.name] for f in fields(self) if f.metadata.get("counts", True)}
        text = json.dumps([self.hashed_as or type(self).__module__, counting], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _injected(cells: Any) -> set[str]:
    """The names that papermill's own cell binds, from the sources of the cells run so far (IPython's ``In``)."""
    if not isinstance(cells, list):
        return {"In"}
    trees = [ast.parse(cell) for cell in cells if cell.startswith("# Parameters\n")]
    nodes = [node for tree in trees for node in tree.body if isinstance(node, ast.Assign)]
    return {target.id for node in nodes for target in node.targets if isinstance(target, ast.Name)}


def _as_name(value: Any) -> str:
    text = "+".join(map(str, value)) if isinstance(value, list) else json.dumps(value).strip('"')
    return re.sub(r"[^\w.+-]", "_", text)


def settings_types(cls: type) -> dict[str, Any]:
    """Field name -> declared type of a settings class."""
    hints = get_type_hints(cls)
    return {f.name: hints[f.name] for f in fields(cls)}


def convert(name: str, value: Any, kind: Any) -> Any:
    """``value`` as ``kind``; text is read as JSON where the kind is not text (``true``, ``[1,2]``, ``null``, ``1e-3``).

    Raises SettingsError naming the field, what was expected and what came.
    """
    wrong = SettingsError(f"{name}: expected {describe(kind)}, got {value!r}")
    origin = get_origin(kind)
    if origin is Literal:
        if isinstance(value, str) and value not in get_args(kind):
            value = next((a for a in get_args(kind) if not isinstance(a, str) and str(a) == value), value)
        if not any(value == a and type(value) is type(a) for a in get_args(kind)):
            near = difflib.get_close_matches(str(value), [str(a) for a in get_args(kind)], 1)
            raise SettingsError(f"{wrong}{f' (did you mean {near[0]!r}?)' if near else ''}")
        return value
    if origin in (Union, types.UnionType):
        if value is None or value in ("null", "None"):
            return None
        return convert(name, value, next(a for a in get_args(kind) if a is not type(None)))
    if isinstance(value, str) and kind is not str:
        try:
            value = json.loads({"True": "true", "False": "false"}.get(value, value))
        except json.JSONDecodeError:
            if origin is not tuple:
                raise wrong from None
            value = [part.strip() for part in value.split(",") if part.strip()]
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise wrong
        parts = get_args(kind)
        if parts[1:] != (...,):
            if len(value) != len(parts):
                raise wrong
            return tuple(convert(f"{name}[{i}]", *pair) for i, pair in enumerate(zip(value, parts, strict=True)))
        return tuple(convert(f"{name}[{i}]", part, parts[0]) for i, part in enumerate(value))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise wrong
    return value


def _check_least(name: str, value: Any, least: float | None) -> None:
    if least is None or value is None:
        return
    if wrong := [v for v in (value if isinstance(value, tuple) else (value,)) if v < least]:
        raise SettingsError(f"{name}: expected at least {least}, got {wrong[0]}")


def describe(kind: Any) -> str:
    """A declared type in words."""
    origin = get_origin(kind)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, get_args(kind)))
    if origin in (Union, types.UnionType):
        return " or ".join("null" if a is type(None) else describe(a) for a in get_args(kind))
    if origin is tuple:
        parts = get_args(kind)
        return (
            f"a list of {describe(parts[0])}" if parts[1:] == (...,) else "a list of " + ", ".join(map(describe, parts))
        )
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}.get(kind, str(kind))
