"""What the studies on pictures share: what an arm is trained on and asked. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from oryx.processing.sizes import Partition, Resolution
from workbook.data.pictures import PictureSizes
from workbook.runs.settings import StudySettings, setting

FACTS = {
    "dtype": "as precision says",
    "attention": "one picture at a time (exact path); the variable-length kernel on a GPU",
    "decoder": "none: stills",
    "prompt": "<visual>QUESTION\\n",
}
"""What manifests say of a study on pictures; each row has its question."""


class PictureSettings(StudySettings):
    """What a run of a study on pictures depends on, whatever its arms."""

    train_items: int = setting(4000, "training pictures per seed", least=1)
    train_steps: int = setting(400, "training steps of every arm", least=1)
    batch: int = setting(32, "pictures in a step", least=1)
    learning_rate: float = setting(5e-4, "peak learning rate")
    text_items: int = setting(150, "evaluation items of each text task", least=1)
    object_items: int = setting(300, "evaluation items of each object task", least=1)


@dataclass(frozen=True)
class PictureArm:
    """What an arm is trained on and asked. Arms differ in what pictures look like when they reach the encoder.

    ``mixture``: task -> weight; ``also``: further (condition, task, resolution) that it is asked; ``frozen`` keeps the
    encoder as it is and its features in memory.
    """

    resolution: Resolution | Partition | None
    mixture: dict[str, float]
    sizes: PictureSizes
    also: Sequence[tuple[str, str, Resolution]] = ()
    warmup: int = 100
    frozen: bool = True

    def passes(self) -> list[tuple[str, str, Resolution | Partition | None]]:
        """(condition, task, resolution) of all that it is asked: its tasks as it was trained, and without picture."""
        ways = {"visual": self.resolution} if self.resolution else {}
        ways |= {"no_visual": None}
        return [*((condition, task, view) for condition, view in ways.items() for task in self.mixture), *self.also]
