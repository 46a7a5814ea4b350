"""Opening a model, and finding out whether released weights are at hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import oryx
from oryx.errors import CheckpointError, MissingResource
from workbook.explore.settings import Settings


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
        config, processor = self.model.config, self.model.processor
        count = sum(p.numel() for p in self.model.parameters())
        vision = config.vision_config
        return (
            f"{self.name}: {count / 1e6:.1f} M parameters on {self.model.device}; patches of {vision.patch_size} "
            f"pixels, {vision.num_hidden_layers} encoder layers, {config.text_config.num_hidden_layers} layers of "
            f"{config.text_config.model_type}, prompt form {processor.prompt!r}"
        )


def device_of(settings: Settings) -> str:
    """The device to use."""
    import torch

    return settings.device or ("cuda" if torch.cuda.is_available() else "cpu")


def open_model(settings: Settings) -> Opened:
    """The model that the settings name; the small one works on one thread.

    Raises MissingResource or CheckpointError.
    """
    import torch

    device = device_of(settings)
    if settings.model == "nano" and device == "cpu":
        # work this small is done before a second thread has started; on busy cores threads wait for each other
        torch.set_num_threads(1)
    model = oryx.load(settings.model, device=device)
    if getattr(model, "processor", None) is None:
        raise MissingResource(f"{settings.model}: a model without a tokenizer cannot be asked")
    return Opened(settings.model, model)


def open_released(settings: Settings) -> tuple[Opened | None, str]:
    """The released model and "", or None and the reason why there is none. Nothing is fetched."""
    import torch

    if settings.scale == "smoke":
        return None, "scale smoke asks the small model only"
    here = Path(settings.released)
    if not here.exists():
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(settings.released, "config.json")
        if not isinstance(found, str):
            return None, f"{settings.released} is neither a folder nor in the local Hugging Face cache"
    if not torch.cuda.is_available() and not settings.device:
        return None, f"{settings.released} is at hand, but there is no GPU; device='cpu' runs it all the same, slowly"
    try:
        model = oryx.load(settings.released, device=device_of(settings))
    except (MissingResource, CheckpointError) as error:
        return None, str(error)
    return Opened(settings.released, model), ""
