"""Settings of scale ``small``, and what a job is trained through. No torch."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from oryx.grids import SizeRule
from oryx.processing.options import PreprocessOptions
from oryx.processing.sizes import Partition, Resolution
from workbook.runs.settings import VideoSettings, read_presets, setting
from workbook.studies.released import ReleasedSettings

SMALL, OWN_TOWER = "small", "oryxvit"
"""The scale; the job of a seed that makes an OryxViT of ``siglip``."""
STAGES, STEPS = ("pretrain", "align", "sft", "joint"), (4000, 500, 2000, 2000)
"""In their order, and for how many steps each is trained."""


def public_presets(module: str, scales: tuple[str, ...] = (SMALL,)) -> dict[str, dict]:
    """The presets beside a module, those of ``scales`` with the public parts and records of ``public.toml``."""
    found, shared = read_presets(module), tomllib.loads(Path(__file__).with_name("public.toml").read_text("utf-8"))
    return found | {scale: shared | found[scale] for scale in scales}


class PublicSettings(ReleasedSettings):
    """What a study's run at scale ``small`` depends on, whatever its arms."""

    siglip: str = setting("", "scale small: public SigLIP or SigLIP 2, or an OryxViT of ours", added_later=True)
    language_model: str = setting("", "scale small, and study 2 at paper: public language model", added_later=True)
    pretrain: tuple[str, ...] = setting((), "scale small: records that make OryxViT; none: as it is", added_later=True)
    align: tuple[str, ...] = setting((), "scale small: records for the projector alone", added_later=True)
    sft: tuple[str, ...] = setting((), "scale small: records with pictures", added_later=True)
    joint: tuple[str, ...] = setting((), "scale small: records with pictures and videos", added_later=True)
    stage_steps: tuple[int, int, int, int] = setting(STEPS, "scale small: steps by stage", least=1, added_later=True)
    stage_batch: int = setting(64, "scale small: records in a step", least=1, added_later=True)
    accumulate: int = setting(16, "scale small: pieces of a step, for less memory", counts=False, least=1)
    longest: int = setting(8192, "scale small: most tokens of a record", least=64, added_later=True)
    most_side: int = setting(1024, "scale small: native pictures up to this² pixels", least=32, added_later=True)
    tera: float = setting(312.0, "plan: bfloat16 peak of the GPU, 10¹² operations a second", counts=False, least=1)
    price: float = setting(2.0, "plan: US dollars for an hour of the GPU", counts=False, least=0)

    @property
    def options(self) -> PreprocessOptions:
        """How pictures and videos are prepared: by the released rules, without the second view, no larger than set."""
        return PreprocessOptions(low=None, high=SizeRule(stride=32, max_side=self.most_side))

    @property
    def video(self) -> dict[str, Any]:
        """How records show videos: as a study on videos asks about them, else as the model's options say."""
        return {"frames": self.frames, **self.decoding} if isinstance(self, VideoSettings) else {}


P = TypeVar("P", bound=PublicSettings)


@dataclass(frozen=True)
class Course:
    """How a job comes to its model.

    Attributes:
        stages: names of :data:`STAGES` in order.
        view: how pictures reach the encoder, in training and when asked; None: at their own size.
        tower: the job whose tower it has; "": that of ``siglip``.
        start: the job whose whole model it goes on from; "": from the parts.
        connector, factor: as of :func:`workbook.stages.videos.with_connector`.
        sides: as of :class:`oryx.train.stages.StagePlan`.
        seeing: False: every visual is left out of the records, and none is shown.
    """

    stages: tuple[str, ...]
    view: Resolution | Partition | None = None
    tower: str = ""
    start: str = ""
    connector: str = "dynamic"
    factor: int = 2
    sides: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    seeing: bool = True
