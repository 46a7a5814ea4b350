"""Study 5 on released weights: ScanQA's scenes with and without marks painted into their frames, one frame, or nothing.

Nothing is trained. What a released model was trained with, marks or none, is not found; ``marked`` asks how it answers
where they are there. Frames with marks are the user's: a second folder with the same files, scene by scene.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from oryx import Video
from oryx.errors import MissingResource, SettingsError
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.visuals import frame_files
from workbook.data.benchmarks import BenchmarkItem
from workbook.data.protocols import protocol
from workbook.studies.asking import Question, Way
from workbook.studies.base import Progress
from workbook.studies.released import Items, ask, items_of, question, way
from workbook.studies.spatial.settings import Settings


def scenes(settings: Settings, marked: bool = False) -> Items:
    """Benchmark -> its items, with the frames of the folder ``marked`` if wanted.

    Raises MissingResource for a scene without a folder of frames, SettingsError for one whose marked frames are not the
    files that it has without marks.
    """
    found = items_of(settings)
    for item in (item for items in found.values() for item in items):
        if not item.visual.is_dir():
            raise MissingResource(f"data: expected a folder of frames for scene {item.cluster}, got {item.visual}")
    if not marked:
        return found
    return {name: tuple(_marked(item, settings.marked) for item in items) for name, items in found.items()}


def asked(settings: Settings, arm: str) -> Iterator[tuple[list[Question], Way]]:
    """Every benchmark as an arm asks it; ``single_view`` is the frame in the middle of a scene."""
    used = protocol(settings.protocol)

    def shown(item: BenchmarkItem) -> Video:
        if arm == "single_view":
            return Video((_middle(item.visual),))
        return Video(item.visual, used.frames, used.repeat_frames)

    for name, items in scenes(settings, arm == "marked").items():
        questions = [question(name, item, shown(item), truths=list(item.truths)) for item in items]
        yield questions, way(used, name, compression=settings.ratio)


def run_arm(settings: Settings, arm: str, folder: Path, base: dict, progress: Progress) -> None:
    """Ask one arm; an interrupted run resumes from ``folder``."""
    change = {"change": blinded} if arm == "blind" else {}
    ask(settings, asked(settings, arm), base | {"protocol": settings.protocol}, folder, progress, **change)


def blinded(model: OryxForConditionalGeneration) -> None:
    """Every token of a picture becomes zero, as in the arm that is trained blind; the text's stay."""
    model.vision_tower.register_forward_hook(lambda _, __, seen: replace(seen, tokens=torch.zeros_like(seen.tokens)))


def _marked(item: BenchmarkItem, folder: str) -> BenchmarkItem:
    with_marks = Path(folder) / item.visual.name
    if not with_marks.is_dir():
        raise MissingResource(f"marked: expected frames of scene {item.visual.name} in {with_marks}, it is no folder")
    if odd := sorted(_names(item.visual) ^ _names(with_marks)):
        lacking = item.visual if odd[0] in _names(with_marks) else with_marks
        said = f"expected the same frames in {item.visual} and {with_marks}; {lacking} lacks {odd[0]}"
        raise SettingsError(f"marked: {said}")
    return replace(item, visual=with_marks)


@cache
def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.iterdir())


@cache
def _middle(folder: Path) -> Path:
    files = frame_files(folder)
    return files[len(files) // 2]
