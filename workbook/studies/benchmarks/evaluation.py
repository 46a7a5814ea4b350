"""The questions of benchmarks to a checkpoint, by one protocol."""

from collections.abc import Iterator

from oryx import Video
from workbook.data.benchmarks import BENCHMARKS, BenchmarkItem, row_task
from workbook.data.protocols import Protocol
from workbook.studies.asking import Question, Way
from workbook.studies.benchmarks.settings import Settings
from workbook.studies.released import Items, question, way


def asked(settings: Settings, used: Protocol, copies: Items) -> Iterator[tuple[list[Question], Way]]:
    """Every item of ``copies`` as a protocol asks it."""

    def shown(item: BenchmarkItem) -> bytes | Video:
        if isinstance(item.visual, bytes):
            return item.visual
        return Video(item.visual, used.frames, used.repeat_frames, **settings.decoding)

    for name, items in copies.items():
        at_4x = "video" in BENCHMARKS[name] and used.long_compression == 4
        own = {"most": settings.max_new_tokens, "benchmark": name}
        questions = [
            question(name, item, shown(item), task=row_task(name, item), truths=list(item.truths), **own)
            for item in items
        ]
        yield questions, way(used, name, compression=4 if at_4x else "auto")
