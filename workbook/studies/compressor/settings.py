"""Settings of study 3. No torch."""

from typing import ClassVar, Literal

from workbook.runs.settings import VideoSettings, read_panels, setting
from workbook.studies.compressor.arms import ARMS, PANELS
from workbook.studies.public.settings import PublicSettings, public_presets


class Settings(VideoSettings, PublicSettings):
    """What a run of this study depends on."""

    hashed_as: ClassVar[str] = "oryx.studies.pooling_vs_dynamic_compression"

    panel: Literal[tuple(PANELS)] = setting(
        "default",
        "default: four arms; arms: every arm; ratios: sides 1 to 5; judged: larger pictures, more videos; "
        "on_demand: ratio x resolution x frames",
    )
    arms: tuple[Literal[tuple(ARMS)], ...] = setting((), "arms to train and ask; none: the panel's")
    ratios: tuple[int, ...] = setting((), "compression ratios beside 1; none: the panel's", least=1)
    side: int = setting(0, "side of the pictures in pixels, a multiple of 8; 0: the panel's", least=0)
    short_stories: int = setting(80, "held-out videos of 8 frames", least=1)
    long_stories: int = setting(48, "held-out videos of 24 frames", least=1)
    on_demand_stories: int = setting(24, "videos of each further cell of the on-demand panel", least=1)
    start_steps: int = setting(900, "steps of the start that all arms share, uncompressed", least=1)
    train_steps: int = setting(1000, "steps of every arm at its ratios", least=1)
    tokens: int = setting(1600, "tokens of a training step, text included, about", least=100)
    learning_rate: float = setting(1e-3, "peak learning rate")
    bank_signs: int = setting(1500, "signs of each colour to train on", least=1)
    bank_cards: int = setting(60, "other cards of each colour to train on", least=1)
    bank_paths: int = setting(150, "moving icons of each direction to train on", least=1)
    bank_photos: int = setting(170, "photographs to train on", least=1)
    frames: int = setting(32, "scales small and paper: frames of a video; on demand: at 4x", least=1, added_later=True)
    on_demand_side: int = setting(256, "scale paper: middle side on demand, in pixels", least=64, added_later=True)

    presets, panels = public_presets(__file__), read_panels(__file__)
