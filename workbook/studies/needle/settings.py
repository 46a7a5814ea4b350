"""Settings of study 4. No torch."""

from typing import ClassVar, Literal

from workbook.runs.settings import VideoSettings, read_presets, setting
from workbook.studies.needle.arms import ARMS, SMALL


class Settings(VideoSettings):
    """What a run of this study depends on."""

    hashed_as: ClassVar[str] = "oryx.studies.needle_in_a_haystack"

    arms: tuple[Literal[tuple(ARMS)], ...] = setting(SMALL, "arms to train and ask")
    lengths: tuple[int, ...] = setting((16, 50, 100, 200, 400, 800, 1600), "frames in a video", least=8)
    beyond: tuple[int, ...] = setting(
        (3200, 6400, 14400), "longer videos, for the main arm only: where does it break?", least=8
    )
    beyond_frames: int = setting(16000, "frames of all videos of a cell beyond the grid, about; at least one", least=1)
    depths: tuple[float, ...] = setting(
        (0.0, 0.25, 0.5, 0.75, 1.0), "place of the needle: 0 first, 1 last frame", least=0
    )
    trials: int = setting(50, "needles per cell", least=1)
    haystacks: int = setting(40, "haystacks that trials draw from", least=1)
    haystack_frames: int = setting(1600, "frames in a haystack file; longer videos go on in the next file", least=8)
    video: str = setting(
        "", "a long video of your own to hide the needles in, instead of the haystacks; one video gives no verdict"
    )
    audit: int = setting(1, "trials of each of nine cells that are asked again as complete files", least=0)
    train_steps: int = setting(500, "training steps of the retrieval arms", least=1)
    oracle_steps: int = setting(1500, "training steps of the oracle", least=1)
    train_tokens: int = setting(1920, "most video tokens in a training step", least=1)
    longest: int = setting(400, "frames in the longest training clip at 16x; at 4x as many tokens", least=17)
    most_clips: int = setting(48, "most clips in a training step", least=1)
    learning_rate: float = setting(1e-3, "peak learning rate")
    frame_side: int = setting(32, "side of the square haystack frames in pixels; the nano reader's is 32", least=32)
    frame_rule: Literal["released", "as_drawn"] = setting(
        "released",
        "scale paper: size rule of the released scripts, or frame_side itself in steps of 64",
        added_later=True,
    )
    context: int | None = setting(
        None, "scale paper: tokens to be read at least, by scaled positions; null: as the model states", True, 1, True
    )
    rope_scaling: Literal["yarn", "dynamic"] = setting(
        "yarn", "yarn scales positions at every length, dynamic only where they do not suffice", added_later=True
    )
    checkpoint: str = setting("", "scale paper: released weights, a folder or a repository name")
    processes: int = setting(
        1, "scale paper: processes that share the questions, each on a GPU of its own", counts=False, least=1
    )
    panel: Literal["paired"] = setting("paired", "needles: the same at every length and in every arm; the only choice")

    presets = read_presets(__file__)

    @property
    def trains_shared(self) -> bool:
        """Every seed has a reader of its own, of which that of seed 0 ships."""
        return self.seeds != (0,) or super().trains_shared
