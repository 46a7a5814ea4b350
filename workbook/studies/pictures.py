"""What the studies on pictures share: arms, and items drawn once a seed. No torch."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

from oryx.processing.sizes import Partition, Resolution
from workbook.data.items import ItemCache
from workbook.data.pictures import PictureSizes
from workbook.studies.base import Progress, S, Study

ITEM_JOBS = ("items_training", "items_evaluation")
"""Jobs that draw the items that all arms of a seed read."""


@dataclass(frozen=True)
class Evaluation:
    """One pass over held-out items: which tasks, how pictures reach the encoder, with or without the picture."""

    condition: str
    tasks: Sequence[str]
    resolution: Resolution | Partition | None
    visual: bool = True


@dataclass(frozen=True)
class PictureArm:
    """What an arm is trained on and asked. Arms differ in what pictures look like when they reach the encoder.

    ``mixture``: task -> weight; ``frozen`` keeps the encoder as it is and its features in memory.
    """

    resolution: Resolution | Partition | None
    mixture: dict[str, float]
    sizes: PictureSizes
    evaluations: Sequence[Evaluation]
    warmup: int = 100
    frozen: bool = True


class PictureStudy(Study[S]):
    """A study whose arms all train on the same pictures in the same order, and answer the same held-out items."""

    text_tasks: ClassVar[tuple[str, ...]]
    object_tasks: ClassVar[tuple[str, ...]]
    usual_arm: ClassVar[str]
    """An arm whose training items most arms share."""
    facts: ClassVar[dict[str, Any]] = {
        "dtype": "as precision says",
        "attention": "one picture at a time (exact path); the variable-length kernel on a GPU",
        "decoder": "none: stills",
        "prompt": "<visual>QUESTION\\n",
    }

    @abstractmethod
    def picture_arm(self, settings: Any, arm: str) -> PictureArm:
        """What an arm is trained on and asked."""

    def prepare(self, settings: Any, seed: int) -> list[list[str]]:
        """The items that all arms of a seed read, and beside them the shared weights."""
        return [[*chain(*super().prepare(settings, seed)), *ITEM_JOBS]]

    def count(self, settings: Any, task: str) -> int:
        """Held-out items of a task."""
        return settings.object_items if task in self.object_tasks else settings.text_items

    def write_items(self, settings: Any, job: str, seed: int, folder: Path, progress: Progress) -> None:
        """Draw the training items that most arms share, or all held-out ones, into the seed's cache."""
        cache, arms = items_of(folder), [self.picture_arm(settings, arm) for arm in self.arms(settings)]
        if job == ITEM_JOBS[0]:
            usual = self.picture_arm(settings, self.usual_arm)
            cache.training(seed, settings.train_items, usual.mixture, usual.sizes)
            return
        asked = {(task, arm.sizes) for arm in arms for evaluation in arm.evaluations for task in evaluation.tasks}
        for done, (task, sizes) in enumerate(sorted(asked, key=str), 1):
            cache.evaluation(task, settings.split, self.count(settings, task), sizes)
            progress("draw", done, len(asked))


def items_of(job_folder: Path) -> ItemCache:
    """Where the jobs of a seed keep their common items: beside the folder that holds their own."""
    return ItemCache(job_folder.parents[1] / "items")
