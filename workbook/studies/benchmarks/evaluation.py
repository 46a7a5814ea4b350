"""The questions of benchmarks to a checkpoint, by one protocol."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from oryx import Video
from oryx.train.device import compute
from workbook.data.benchmarks import BENCHMARKS, BenchmarkItem, row_task
from workbook.data.protocols import Protocol
from workbook.studies.asking import Asker, Question, Way
from workbook.studies.base import Progress
from workbook.studies.benchmarks.settings import Settings

Copies = Mapping[str, Sequence[BenchmarkItem]]
"""Benchmark -> its items."""


def ask_copies(
    settings: Settings, chosen: Protocol, copies: Copies, base: dict, folder: Path, progress: Progress
) -> None:
    """Ask every item of ``copies`` with its visual and without; ``base``: what all rows share."""
    asker, batches = Asker(settings.checkpoint, compute(settings.precision)), []
    for name, items in copies.items():
        video = "video" in BENCHMARKS[name]
        ratio = 4 if video and chosen.long_compression == 4 else "auto"
        way = Way("native", ratio, chosen.options, chosen.generation(video, chosen.prompt(name)))
        questions = [question_of(name, item, chosen, settings) for item in items]
        batches += asker.batches(questions, way, base | {"benchmark": name, "protocol": chosen.name})
    asker.ask(folder, batches, progress)


def question_of(name: str, item: BenchmarkItem, chosen: Protocol, settings: Settings) -> Question:
    """An item of benchmark ``name`` as a question."""
    visual, task = item.visual, row_task(name, item)
    if isinstance(visual, Path):
        visual = Video(visual, chosen.frames, chosen.repeat_frames, **settings.decoding)
    about = {"cluster": f"{name}: {item.cluster}", "chance": item.chance, "options": item.options, "score": item.score}
    more = {"most": settings.max_new_tokens or item.most, "more": {"kind": item.task, "truths": list(item.truths)}}
    return Question(f"{name}: {item.id}", visual, item.question, item.truths[0], task, **about, **more)
