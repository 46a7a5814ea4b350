"""The questions of one's own table as the studies ask them."""

from functools import partial
from pathlib import Path

from oryx import Video
from oryx.train.device import compute
from workbook.data.answers import score
from workbook.data.own_data import OwnItem
from workbook.studies.asking import Asker, Question, Way
from workbook.studies.base import Progress
from workbook.studies.own_data.settings import Settings


def question_of(item: OwnItem, settings: Settings) -> Question:
    """One line of the table as a question."""
    visual = Video(item.path, settings.frames, **settings.decoding) if item.is_video else item.path
    right = partial(score, truth=item.answer, rule=settings.score)
    about = {"task": item.task, "cluster": item.cluster, "chance": item.chance, "score": right}
    return Question(item.id, visual, item.question, item.answer, most=settings.max_new_tokens, **about)


def ask_items(settings: Settings, way: Way, base: dict, items: list[OwnItem], folder: Path, progress: Progress) -> None:
    """Ask one arm every item with its visual and without; each row is on the disk before the next visual."""
    asker = Asker(base["model"], compute(settings.precision))
    asker.ask(folder, asker.batches([question_of(item, settings) for item in items], way, base), progress)
