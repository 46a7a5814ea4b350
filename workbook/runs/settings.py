"""Settings of a study: one frozen, typed object that goes all the way down and is saved with every result.

Values arrive from the command line, from papermill (which delivers ``true`` and ``[1,2]`` as text) and from notebook
cells; all go through :meth:`Checked.from_mapping`, which refuses unknown names, mistyped values and values below
a field's least before anything starts.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

import workbook
from oryx.errors import SettingsError, check_known, first_fault
from oryx.evidence.schema import SCALES

REPOSITORY = Path(workbook.__path__[0]).parent
LONGEST_NAME = 100
_PLAIN = (bool, int, float, str, list, tuple, dict, type(None))


def setting(default: Any, help: str, counts: bool = True, least: float | None = None, added_later: bool = False) -> Any:
    """A field of a settings class.

    ``counts=False``: it does not change numbers and stays out of the hash. ``least``: the smallest value it may have
    (of a list: every element). ``added_later``: it is younger than published rows and enters the hash only away from
    its default, so that theirs stay.
    """
    extra = {"counts": counts, "least": least, "added_later": added_later}
    return Field(default=default, description=help, json_schema_extra=extra)


def read_presets(module: str) -> dict[str, dict]:
    """The presets in ``presets.toml`` beside a module (its ``__file__``): {scale: {field: value}}."""
    return {scale: preset for scale, preset in _presets(module).items() if scale != "panels"}


def read_panels(module: str) -> dict[str, dict]:
    """What further panels of arms set away from the presets, from the same file: {panel: {scale: {field: value}}}."""
    return _presets(module)["panels"]


def _presets(module: str) -> dict[str, dict]:
    return tomllib.loads(Path(module).with_name("presets.toml").read_text("utf-8"))


class Checked(BaseModel):
    """Settings that take known names and values of their kind only; presets per scale: {scale: {field: value}}."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    presets: ClassVar[dict[str, dict]] = {}
    panels: ClassVar[dict[str, dict]] = {}
    """Presets by scale, and what panels of arms set away from them: {panel: {scale: {field: value}}}."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Settings with these values over the preset of their scale.

        Raises SettingsError, naming the field, for an unknown name (with the nearest match) or a mistyped value.
        """
        check_known(values, cls.model_fields, "parameter")
        given = {name: value for name in ("scale", "panel") if isinstance(value := values.get(name), str)}
        try:
            return cls(**{**cls.preset(given), **values})
        except ValidationError as error:
            raise SettingsError(first_fault(error)) from None

    @classmethod
    def preset(cls, values: Mapping[str, str]) -> dict:
        """What is set away from the defaults at this ``scale`` and in this ``panel``.

        Raises SettingsError for a panel that has no such scale.
        """
        scale, panel = values.get("scale", "nano"), cls.panels.get(values.get("panel"))
        if panel is not None and scale not in panel:
            raise SettingsError(f"panel {values['panel']!r} has scales {', '.join(panel)}; got {scale!r}")
        return cls.presets.get(scale, {}) | (panel or {}).get(scale, {})

    @field_validator("*", mode="before")
    @classmethod
    def _from_text(cls, value: Any, info: ValidationInfo) -> Any:
        """Text is read as a JSON list or one with commas, or as null, where that is meant; True is no number."""
        kind = cls.model_fields[info.field_name].annotation
        if isinstance(value, str) and get_origin(kind) is tuple:
            parts = [part.strip() for part in value.split(",") if part.strip()]
            value = json.loads(value) if value.startswith("[") else parts
        if value in ("null", "None") and kind is not str:
            value = None
        if kind is not bool and any(isinstance(part, bool) for part in (value if isinstance(value, list) else [value])):
            raise ValueError(f"expected numbers or text, got {value}")
        return value

    @field_validator("*")
    @classmethod
    def _at_least(cls, value: Any, info: ValidationInfo) -> Any:
        least = cls.model_fields[info.field_name].json_schema_extra["least"]
        for part in value if isinstance(value, tuple) else (value,):
            if None not in (least, part) and part < least:
                raise ValueError(f"expected at least {least}, got {part}")
        return value

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
        cells = [cell for cell in names.get("In", []) if cell.startswith("# Parameters\n")]  # papermill's own
        given = set(re.findall(r"^(\w+) = ", "\n".join(cells), re.MULTILINE))
        plain = {
            name: value
            for name, value in names.items()
            if name in given or (not name.startswith("_") and name not in ("In", "Out") and type(value) in _PLAIN)
        }
        made = cls.from_mapping(plain)
        if (REPOSITORY / "notebooks") in (Path.cwd(), *Path.cwd().parents):
            folders = {"results", "folder"} & cls.model_fields.keys()
            made = made.model_copy(update={name: str(REPOSITORY / getattr(made, name)) for name in folders})
        return made

    def to_dict(self) -> dict:
        """Every field as plain JSON data."""
        return self.model_dump(mode="json")

    @property
    def counting(self) -> dict[str, Any]:
        """The settings that change numbers, as plain JSON data."""
        plain, found = self.to_dict(), {}
        for name, field in type(self).model_fields.items():
            extra = field.json_schema_extra
            if extra["counts"] and not (extra["added_later"] and getattr(self, name) == field.default):
                found[name] = plain[name]
        return found


class StudySettings(Checked):
    """What every study's settings have. A subclass adds fields and presets.

    ``hashed_as``: the name that stands for the class in the hash, its module's unless given; it keeps the hashes of
    published rows when a class moves.
    """

    hashed_as: ClassVar[str] = ""

    scale: Literal[SCALES] = setting("nano", "smoke, nano, medium, small or paper")
    seeds: tuple[int, ...] = setting(
        (0,), "training seeds; one gives a direction only, a verdict needs three", counts=False, least=0
    )
    split: Literal["dev", "report"] = setting(
        "report", "held-out: dev to design (seeds from 100), report to decide (the seeds stated before the run)"
    )
    source: Literal["run", "published", "auto"] = setting("run", "run, published, or auto: either one", counts=False)
    from_scratch: bool = setting(False, "train the shared weights anew instead of using the shipped ones")
    precision: Literal["auto", "fp32", "bf16"] = setting(
        "auto", "number format of the models; auto: bf16 on a GPU, fp32 on a CPU", added_later=True
    )
    jobs: int | None = setting(None, "worker processes; null: one per GPU, else one per core", counts=False, least=1)
    limit_minutes: float | None = setting(None, "stop after so long, to resume; null: never", counts=False, least=0)
    retry_failed: bool = setting(False, "ask items again that failed in an earlier attempt", counts=False)
    results: str = setting("results", "results folder", counts=False)

    @field_validator("seeds")
    @classmethod
    def _different_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds or len(set(seeds)) != len(seeds):
            raise ValueError(f"expected at least one, each only once, got {list(seeds)}")
        return seeds

    @property
    def trains_shared(self) -> bool:
        """Whether a run trains the weights that its arms start from itself instead of using the shipped ones."""
        return self.from_scratch or self.scale == "smoke"

    @property
    def recipe_scale(self) -> str:
        """The scale whose weights the arms start from."""
        return self.scale if self.trains_shared else "nano"

    @property
    def cache_folder(self) -> Path:
        """Where files that all runs of a results folder read are kept."""
        return Path(self.results) / "runs" / "cache"

    def parameters(self) -> dict:
        """What a notebook must be given to end up with these very settings: the fields that differ from its preset, and
        those for which its own cell has another default."""
        plain, fields = self.to_dict(), type(self).model_fields
        chosen = {name: plain[name] for name in ("scale", "panel") if name in plain}
        base = type(self).from_mapping(chosen).to_dict() | {name: fields[name].default for name in chosen}
        return {n: value for n, value in plain.items() if value != base[n] or n in ("scale", "seeds", "source")}

    @property
    def variant(self) -> str:
        """Scale and what counts and differs from its preset, as a folder name: ``nano``, ``nano,encoder=trained``.

        A run away from the defaults is published beside the default one, never over it. Long values give way to the
        hash of the settings.
        """
        differing = {n: value for n, value in self.counting.items() if n in self.parameters() and n != "scale"}
        name = ",".join([self.scale, *(f"{field}={_as_name(value)}" for field, value in differing.items())])
        return name if len(name) <= LONGEST_NAME else f"{self.scale},{self.settings_hash}"

    @property
    def settings_hash(self) -> str:
        """12 hex digits of the sha256 over every field that changes numbers, and the class they belong to."""
        text = json.dumps([self.hashed_as or type(self).__module__, self.counting], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


class VideoSettings(StudySettings):
    """What the settings have of a study that decodes video files of one's own."""

    decoder: Literal["auto", "decord", "pyav", "torchcodec"] = setting(
        "auto", "who decodes video files; auto: PyAV, which tells of damaged frames", added_later=True
    )
    decoder_threads: int = setting(1, "threads that decode a video file", counts=False, least=1)

    @property
    def decoding(self) -> dict[str, Any]:
        """How :mod:`oryx.processing.video` is to decode."""
        return {"decoder": self.decoder, "threads": self.decoder_threads}


def _as_name(value: Any) -> str:
    text = "+".join(map(str, value)) if isinstance(value, list) else json.dumps(value).strip('"')
    return re.sub(r"[^\w.+-]", "_", text)
