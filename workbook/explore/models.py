"""Parameters of notebook 00, opening a model, and finding out whether released weights are at hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from huggingface_hub import try_to_load_from_cache

import oryx
from oryx.errors import CheckpointError, MissingResource
from oryx.train.device import compute
from workbook.runs.settings import StudySettings, setting


class Settings(StudySettings):
    """Which model is opened and what it is shown. No training: of the fields that all studies share, ``scale`` and
    ``results`` count here."""

    model: str = setting("nano", "'nano', a folder, or a repository of the authors (a GPU is wanted for those)")
    released: str = setting("THUdyh/Oryx-7B", "released weights that the case studies are repeated with, if at hand")
    file: str = setting("", "a picture or video of one's own; empty: shipped examples")
    device: str = setting("", "cpu or cuda; empty: cuda where there is one")
    videos: int = setting(6, "held-out videos that the case studies ask about", least=1)

    presets: ClassVar[dict[str, dict]] = {"smoke": {"videos": 2}}


@dataclass(frozen=True)
class Opened:
    """A model with its name; the notebook shows this line."""

    name: str
    model: Any

    @property
    def small(self) -> bool:
        """Whether it is the shipped small model, which answers single words."""
        return self.name == "nano"

    def __repr__(self) -> str:
        count, patch = sum(p.numel() for p in self.model.parameters()), self.model.config.vision_config.patch_size
        return f"{self.name}: {count / 1e6:.1f} M parameters on {self.model.device}; patches of {patch} pixels"


def open_model(name: str, device: str = "") -> Opened:
    """The model of a name, on the GPU where there is one and nothing else is said.

    Raises MissingResource or CheckpointError.
    """
    model = oryx.load(name, device=device or compute().device)
    if getattr(model, "processor", None) is None:
        raise MissingResource(f"{name}: a model without a tokenizer cannot be asked")
    return Opened(name, model)


def open_released(settings: Settings) -> tuple[Opened | None, str]:
    """The released model and "", or None and the reason why there is none. Nothing is fetched."""
    name = settings.released
    if settings.scale == "smoke":
        return None, "scale smoke asks the small model only"
    if not Path(name).exists() and not isinstance(try_to_load_from_cache(name, "config.json"), str):
        return None, f"{name} is neither a folder nor in the local Hugging Face cache"
    if compute().device.type == "cpu" and not settings.device:
        return None, f"{name} is at hand, but there is no GPU; device='cpu' runs it all the same, slowly"
    try:
        return open_model(name, settings.device), ""
    except (MissingResource, CheckpointError) as error:
        return None, str(error)
