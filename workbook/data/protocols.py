"""Named ways of asking a benchmark: frames, pixels, prompt, decoding, each value with its source (``protocols.toml``).

``paper`` is what the paper states, ``official`` what the public evaluation code does. They exist because users who did
not fix these values measured up to ten points apart with the same weights. A source that begins with "not found" says
that no public text of the paper states the value, and what stands in. No torch.
"""

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from string import ascii_uppercase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from oryx.errors import SettingsError, check_known, first_fault
from oryx.grids import SizeRule
from oryx.processing.options import PreprocessOptions

FILE = Path(__file__).with_name("protocols.toml")
NOT_FOUND = "not found"
CHECKPOINT = "checkpoint"

Whole = Annotated[int, Field(ge=1)]
Temperature = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Prompt(_Strict):
    """What one benchmark's questions look like.

    Attributes:
        text: the prompt, with ``{question}``, ``{published}``, ``{options}``, ``{hint}`` and ``{letters}`` filled in.
        option: one option, with ``{letter}`` and ``{text}``.
        listed: options as Python prints a list instead of a line each.
        most: longest answer in tokens.
        temperature: of sampling, 0 is greedy; None: the task names none, so the protocol's own holds.
        source: where this stands.
    """

    text: str
    option: str = "{letter}. {text}"
    listed: bool = False
    most: Whole
    temperature: Temperature | None = None
    source: str

    def fill(self, question: str, options: Sequence[str] = (), hint: str = "", published: str = "") -> str:
        """The prompt of one question; ``published``: the question as the copy has it, if that differs."""
        letters = ascii_uppercase[: len(options)]
        lines = [self.option.format(letter=letter, text=text) for letter, text in zip(letters, options, strict=True)]
        return self.text.format(
            question=question,
            published=published or question,
            options=str(lines) if self.listed else "\n".join(lines),
            hint=f"{hint} " if hint else "",
            letters=" or ".join(letters) if len(letters) < 3 else f"{', '.join(letters[:-1])}, or {letters[-1]}",
        )


class Protocol(_Strict):
    """One protocol; ``sources``: field -> where its value stands. Sides are those of areas, in pixels.

    ``repetition_penalty`` may be ``"checkpoint"``: whatever the checkpoint's generation_config.json says, its top_k
    included where the protocol samples.
    """

    name: str
    frames: Whole
    repeat_frames: bool
    newlines: Literal[1, 2]
    long_compression: Literal[4, 16]
    repetition_penalty: Annotated[float, Field(gt=0)] | Literal["checkpoint"]
    image_temperature: Temperature
    video_temperature: Temperature
    image_max_side: Whole
    low_view_side: Annotated[int, Field(ge=0)]
    video_max_side: Whole
    video_min_side: Whole
    prompts: dict[str, Prompt]
    sources: dict[str, str]

    @property
    def options(self) -> PreprocessOptions:
        """Frames, sizes and newlines as the processor takes them; ``low_view_side`` 0 means no second view."""
        video = {"max_side": self.video_max_side, "min_side": self.video_min_side}
        return PreprocessOptions(
            low=SizeRule(stride=32, base=self.low_view_side) if self.low_view_side else None,
            high=SizeRule(stride=32, max_side=self.image_max_side),
            video=SizeRule(stride=64, **video),
            video_long=SizeRule(stride=128, **video),
            frames=self.frames,
            newlines=self.newlines,
        )

    def prompt(self, benchmark: str) -> Prompt:
        """How a benchmark is asked; raises SettingsError with the nearest name for one that is not known."""
        check_known([benchmark], self.prompts, "benchmark")
        return self.prompts[benchmark]

    def generation(self, video: bool, prompt: Prompt | None = None) -> dict[str, Any]:
        """Keyword arguments of ``model.generate``; what stays with the checkpoint is left out."""
        named = prompt and prompt.temperature
        own = self.video_temperature if video else self.image_temperature
        temperature = own if named is None else named
        found: dict[str, Any] = {"do_sample": temperature > 0}
        if prompt:
            found["max_new_tokens"] = prompt.most
        if temperature:  # top_p: the scripts pass none
            found |= {"temperature": temperature, "top_p": 1.0}
        if self.repetition_penalty != CHECKPOINT:
            found["repetition_penalty"] = self.repetition_penalty
        return found

    def changed(self, **values: Any) -> "Protocol":
        """This protocol with other values, named in ``sources``. Raises SettingsError, with the nearest name."""
        check_known(values, [name for name in type(self).model_fields if name in self.sources], "protocol field")
        sources = self.sources | {name: "changed by the user" for name in values}
        return _checked({**self.model_dump(), **values, "sources": sources}, self.name)

    def described(self) -> dict[str, Any]:
        """Field -> value, as manifests and results say it."""
        return {"protocol": self.name} | {name: getattr(self, name) for name in self.sources}


@cache
def protocols() -> dict[str, Protocol]:
    """Every protocol of ``protocols.toml`` by name."""
    found = {}
    for name, content in tomllib.loads(FILE.read_text("utf-8")).items():
        entries = {field: entry for field, entry in content.items() if isinstance(entry, dict) and "value" in entry}
        values = {field: entry["value"] for field, entry in entries.items()}
        sources = {field: entry["source"] for field, entry in entries.items()}
        found[name] = _checked({**values, "name": name, "prompts": content["prompts"], "sources": sources}, name)
    return found


def protocol(name: str) -> Protocol:
    """The protocol of a name; raises SettingsError with the nearest one."""
    check_known([name], protocols(), "protocol")
    return protocols()[name]


def _checked(values: dict[str, Any], name: str) -> Protocol:
    try:
        return Protocol.model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"protocol {name}: {first_fault(error)}") from None
