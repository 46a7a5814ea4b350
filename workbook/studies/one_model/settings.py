"""Settings of the study of one model for everything. No torch."""

from typing import ClassVar

from workbook.runs.settings import StudySettings, read_presets, setting


class Settings(StudySettings):
    """What a run of this study depends on."""

    hashed_as: ClassVar[str] = "oryx.studies.one_model"

    ratios: tuple[int, ...] = setting((1, 4, 16), "compression ratios of pictures, videos and scenes", least=1)
    text_items: int = setting(150, "pictures of each task with text", least=1)
    object_items: int = setting(300, "pictures of each task with objects", least=1)
    short_stories: int = setting(80, "held-out synthetic videos of 8 frames", least=1)
    long_stories: int = setting(48, "held-out synthetic videos of 24 frames", least=1)
    video_sides: tuple[int, ...] = setting(
        (32, 64), "sides of the frames in pixels: study 3's, and what the model's own rule makes of the files", least=8
    )
    scenes: int = setting(120, "scenes of several views", least=1)
    needle_lengths: tuple[int, ...] = setting((16, 50), "frames around a needle", least=8)
    needle_trials: int = setting(20, "needles of each depth", least=1)
    needle_ratios: tuple[int, ...] = setting((4, 16), "compression ratios of videos with a needle", least=1)
    train_steps: int = setting(3600, "training steps from scratch", least=1)

    presets = read_presets(__file__)
