"""Settings of study 5. No torch."""

from typing import Literal

from workbook.runs.settings import read_presets, setting
from workbook.studies.released import ReleasedSettings
from workbook.studies.spatial.arms import ARMS


class Settings(ReleasedSettings):
    """What a run of this study depends on."""

    arms: tuple[Literal[tuple(ARMS)], ...] = setting(tuple(ARMS), "arms to train and ask")
    train_rooms: int = setting(600, "rooms to train on, the first so many", least=1)
    rooms: int = setting(160, "held-out rooms to ask about, the first so many", least=1)
    drawings: int = setting(4, "times that the marks of a training room are drawn anew", least=1)
    ratio: int = setting(4, "compression ratio of the views", least=1)
    train_steps: int = setting(1200, "training steps of every arm", least=1)
    first: float = setting(0.3, "share of the steps, the first ones, with questions about one view alone", least=0)
    tokens: int = setting(1600, "tokens of a training step, text included, about", least=100)
    questions: int = setting(8, "most questions about a room in a training step", least=1)
    learning_rate: float = setting(1e-3, "peak learning rate")
    marked: str = setting(
        "", "scale paper: folder of the scenes' frames with marks painted in; '': not asked", added_later=True
    )

    presets = read_presets(__file__)
