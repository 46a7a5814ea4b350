"""Released weights asked about local copies of public benchmarks: what studies 1, 3 and the benchmarks' own share.

Nothing is trained. Beside its score every item has the same model's answer without the visual; a released model is one
training, so intervals cover clusters of items (pictures, videos) and nothing else. No torch until something is asked.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from PIL import Image

from oryx.errors import MissingResource, OryxError, SettingsError, check_known
from oryx.processing.sizes import Partition, Resolution
from workbook.data.items import size_fields
from workbook.data.protocols import Protocol, protocol
from workbook.runs.settings import StudySettings, setting
from workbook.studies.base import Progress, Study

if TYPE_CHECKING:
    from workbook.data.benchmarks import BenchmarkItem
    from workbook.studies.asking import Question, Way


class ReleasedSettings(StudySettings):
    """What a study's run at scale ``paper`` depends on, whatever its arms."""

    checkpoint: str = setting("", "scale paper: released weights, a folder or a repository name", added_later=True)
    data: str = setting("", "scales small and paper: folder of the benchmarks' local copies", added_later=True)
    benchmarks: tuple[str, ...] = setting((), "scales small and paper: public benchmarks", added_later=True)
    protocol: str = setting(
        "paper", "scales small and paper: how benchmarks are asked, paper or official", added_later=True
    )
    items: int | None = setting(
        None,
        "scales small and paper: ask the first so many items of each benchmark; null: all",
        least=1,
        added_later=True,
    )


R = TypeVar("R", bound=StudySettings)


Items = Mapping[str, "tuple[BenchmarkItem, ...]"]
"""Benchmark -> its items."""


@lru_cache(maxsize=8)
def _read(name: str, folder: str, asked_by: str) -> "tuple[BenchmarkItem, ...]":
    from workbook.data.benchmarks import read_benchmark

    return tuple(read_benchmark(name, folder, protocol(asked_by)))


def items_of(settings: StudySettings, asked_by: str = "") -> Items:
    """Benchmark -> its items by a protocol, that of the settings unless it is named.

    Errors as of :func:`workbook.data.benchmarks.read_benchmark`.
    """
    asked_by = asked_by or settings.protocol
    return {name: _read(name, settings.data, asked_by)[: settings.items] for name in settings.benchmarks}


class ReleasedStudy(Study[R]):
    """A study that asks released weights about ``known`` benchmarks, at scale ``paper`` unless it says otherwise.

    ``copy_scales``: where it asks about copies of benchmarks, whatever weights.
    """

    known: ClassVar[tuple[str, ...]]
    released_scales = copy_scales = ("paper",)

    def copies(self, settings: R) -> dict[str, Items]:
        """Protocol -> the items that a run asks by it; the settings' own protocol."""
        return {settings.protocol: items_of(settings)}

    def check(self, settings: R) -> None:
        """As every study's; of released weights also raises for weights, copies or benchmarks that cannot be used."""
        super().check(settings)
        if settings.scale not in self.copy_scales:
            return
        if settings.scale in self.released_scales and not (settings.checkpoint and settings.data):
            raise MissingResource(
                f"scale {settings.scale!r} asks released weights about public benchmarks: -p checkpoint=FOLDER (or a "
                f"repository name) -p data=FOLDER with local copies of {', '.join(settings.benchmarks)}; "
                f"got checkpoint={settings.checkpoint!r}, data={settings.data!r}"
            )
        if settings.from_scratch:
            raise SettingsError(f"from_scratch: no weights are shipped for scale {settings.scale!r}")
        check_known(settings.benchmarks, self.known, "benchmark of this study")
        if not settings.benchmarks:
            raise SettingsError(f"benchmarks: expected at least one of {', '.join(self.known)}")
        self.hashes(settings)

    def groups(self, settings: R) -> Mapping[str, Sequence[str]]:
        """As every study's; of released weights each benchmark alone."""
        asked = {name: (name,) for name in settings.benchmarks}
        return asked if settings.scale in self.copy_scales else self.task_groups

    def hashes(self, settings: R) -> dict[str, str]:
        """As every study's; of released weights over the checkpoint's files, and over the copies as they are asked."""
        if settings.scale not in self.copy_scales:
            return super().hashes(settings)
        from oryx.model.loading import checkpoint_hash

        return {"weights_hash": checkpoint_hash(settings.checkpoint), "data_hash": self.copies_hash(settings)}

    def copies_hash(self, settings: R) -> str:
        """Over the copies as they are asked."""
        from workbook.data.benchmarks import copy_hash

        return copy_hash([item for own in self.copies(settings).values() for items in own.values() for item in items])

    def describe(self, settings: R) -> dict[str, Any]:
        """As every study's; of released weights with the protocol. Every prompt is in the rows."""
        used = protocol(settings.protocol).described() | {"dtype": "bfloat16 on a GPU, else float32"}
        return self.facts | (used if settings.scale in self.copy_scales else {})

    def plan(self, settings: R) -> dict[str, Any]:
        """As every study's; of released weights what one model is asked."""
        if settings.scale not in self.released_scales:
            return super().plan(settings)
        found = {"arms": ", ".join(self.arms(settings)), "trained": "nothing: one released model is asked"}
        with suppress(OryxError):  # what is missing the check says
            copies, *_ = self.copies(settings).values()
            counts = {name: len(items) for name, items in copies.items()}
            found["questions of each way of asking, and as many without the visual"] = counts
            found["jobs"] = super().plan(settings)["jobs"]
        return found


def question(
    name: str, item: "BenchmarkItem", visual: Any, way: str = "", task: str = "", most: int | None = None, **more: Any
) -> "Question":
    """An item of a benchmark as a question: every benchmark is one task, ``kind`` is its own kind of question.

    ``way`` is added to the item's id where an arm asks an item in several ways; ``task`` and ``most``, if given, are
    taken instead of the benchmark's; ``more``: further fields of its rows.
    """
    from workbook.studies.asking import Question

    where = {"task": task or name, "cluster": f"{name}/{item.cluster}", "more": {"kind": item.task, **more}}
    how = {"chance": item.chance, "score": item.score, "options": item.options, "most": most or item.most}
    return Question(f"{name}/{item.id}{way}", visual, item.question, item.truths[0], **where, **how)


def about(picture: bytes, side: int) -> dict:
    """What a row says of a picture: its size, and where that lies relative to S²."""
    width, height = Image.open(io.BytesIO(picture)).size
    return size_fields(height, width, width * height / side**2)


def way(used: Protocol, name: str, **more: Any) -> "Way":
    """How a protocol asks a benchmark; ``more``: resolution and compression, or ``options`` of one's own."""
    from workbook.data.benchmarks import BENCHMARKS
    from workbook.studies.asking import Way

    generation = used.generation("video" in BENCHMARKS[name], used.prompt(name))
    return Way(**{"options": used.options, "generation": generation, **more})


def picture_questions(settings: R, view: Resolution | Partition | None) -> "Iterator[tuple[list[Question], Way]]":
    """Every benchmark of pictures, shown in one view by the options of the model that is asked; None: at own size."""
    for name, items in items_of(settings).items():
        questions = [question(name, item, item.visual, **about(item.visual, settings.side)) for item in items]
        yield questions, way(protocol(settings.protocol), name, options=None, resolution=view or "native")


def ask(
    settings: StudySettings,
    asked: "Iterable[tuple[list[Question], Way]]",
    base: dict,
    folder: Path,
    progress: Progress,
    change: Callable[[Any], None] = lambda model: None,
    conditions: Sequence[str] = ("visual", "no_visual"),
) -> None:
    """Ask an arm what is missing in ``folder``; ``change``: what is done to the loaded model first.

    ``base``: the fields that all rows share, the protocol among them. ``conditions``: as of
    :meth:`workbook.studies.asking.Asker.batches`.
    """
    from oryx.train.device import compute
    from workbook.studies.asking import Asker

    asker = Asker(settings.checkpoint, compute(settings.precision), change)
    base = base | {"split": settings.split}
    batches = [batch for questions, how in asked for batch in asker.batches(questions, how, base, conditions)]
    asker.ask(folder, batches, progress)
