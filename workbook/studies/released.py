"""Released weights asked about local copies of public benchmarks: what studies 1 and 3 share at scale ``paper``.

Nothing is trained. Beside its score every item has the same model's answer without the visual; a released model is one
training, so intervals cover clusters of items (pictures, videos) and nothing else. No torch until something is asked.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from oryx.errors import MissingResource, OryxError, SettingsError, check_known
from workbook.data.protocols import protocol
from workbook.runs.settings import StudySettings, setting
from workbook.studies.base import Progress, Study

if TYPE_CHECKING:
    from workbook.data.benchmarks import BenchmarkItem
    from workbook.studies.asking import Question, Way


class ReleasedSettings(StudySettings):
    """What a study's run at scale ``paper`` depends on, whatever its arms."""

    checkpoint: str = setting("", "scale paper: released weights, a folder or a repository name", added_later=True)
    data: str = setting("", "scale paper: folder of the benchmarks' local copies", added_later=True)
    benchmarks: tuple[str, ...] = setting((), "scale paper: public benchmarks", added_later=True)
    protocol: str = setting("paper", "scale paper: how benchmarks are asked, paper or official", added_later=True)
    items: int | None = setting(
        None, "scale paper: ask the first so many items of each benchmark; null: all", least=1, added_later=True
    )


R = TypeVar("R", bound=ReleasedSettings)


@lru_cache(maxsize=8)
def _read(name: str, folder: str, asked_by: str) -> "tuple[BenchmarkItem, ...]":
    from workbook.data.benchmarks import read_benchmark

    return tuple(read_benchmark(name, folder, protocol(asked_by)))


def items_of(settings: ReleasedSettings) -> "dict[str, tuple[BenchmarkItem, ...]]":
    """Benchmark -> its items; errors as of :func:`workbook.data.benchmarks.read_benchmark`."""
    return {name: _read(name, settings.data, settings.protocol)[: settings.items] for name in settings.benchmarks}


class ReleasedStudy(Study[R]):
    """A study of trainings that asks released weights about ``known`` benchmarks at scale ``paper``."""

    known: ClassVar[tuple[str, ...]]
    released_scales = ("paper",)

    def check(self, settings: R) -> None:
        """As every study's; at scale paper also raises for weights, copies or benchmarks that cannot be used."""
        super().check(settings)
        if settings.scale != "paper":
            return
        if not (settings.checkpoint and settings.data):
            raise MissingResource(
                "scale 'paper' asks released weights about public benchmarks: -p checkpoint=FOLDER (or a repository "
                f"name) -p data=FOLDER with local copies of {', '.join(settings.benchmarks)}; "
                f"got checkpoint={settings.checkpoint!r}, data={settings.data!r}"
            )
        if settings.from_scratch:
            raise SettingsError("from_scratch: nothing is trained at scale 'paper'")
        check_known(settings.benchmarks, self.known, "benchmark of this study")
        if not settings.benchmarks:
            raise SettingsError(f"benchmarks: expected at least one of {', '.join(self.known)}")
        self.hashes(settings)

    def groups(self, settings: R) -> Mapping[str, Sequence[str]]:
        """As every study's; at scale paper each benchmark alone."""
        return {name: (name,) for name in settings.benchmarks} if settings.scale == "paper" else self.task_groups

    def hashes(self, settings: R) -> dict[str, str]:
        """As every study's; at scale paper over the checkpoint's files, and over the copies as they are asked."""
        if settings.scale != "paper":
            return super().hashes(settings)
        from oryx.model.loading import checkpoint_hash
        from workbook.data.benchmarks import copy_hash

        items = [item for own in items_of(settings).values() for item in own]
        return {"weights_hash": checkpoint_hash(settings.checkpoint), "data_hash": copy_hash(items)}

    def describe(self, settings: R) -> dict[str, Any]:
        """As every study's; at scale paper with the protocol. Every prompt is in the rows."""
        used = protocol(settings.protocol).described() | {"dtype": "bfloat16 on a GPU, else float32"}
        return self.facts | (used if settings.scale == "paper" else {})

    def plan(self, settings: R) -> dict[str, Any]:
        """As every study's; at scale paper what one model is asked."""
        if settings.scale != "paper":
            return super().plan(settings)
        found = {"arms": ", ".join(self.arms(settings)), "trained": "nothing: one released model is asked"}
        with suppress(OryxError):  # what is missing the check says
            counts = {name: len(items) for name, items in items_of(settings).items()}
            found["questions of each way of asking, and as many without the visual"] = counts
        return found


def question(
    name: str,
    item: "BenchmarkItem",
    visual: Any,
    way: str = "",
    suffix: str = "",
    more: Mapping[str, Any] | None = None,
) -> "Question":
    """An item of a benchmark as a question: every benchmark is one task, ``kind`` is its own kind of question.

    ``way`` is added to the item's id, ``suffix`` to the task, where an arm asks an item in several ways.
    """
    from workbook.studies.asking import Question

    where = {"task": name + suffix, "cluster": f"{name}/{item.cluster}", "more": {"kind": item.task, **(more or {})}}
    how = {"chance": item.chance, "score": item.score, "options": item.options, "most": item.most}
    return Question(f"{name}/{item.id}{way}", visual, item.question, item.truths[0], **where, **how)


def way(settings: ReleasedSettings, name: str, video: bool, **more: Any) -> "Way":
    """How the protocol asks a benchmark; ``more``: resolution and compression."""
    from workbook.studies.asking import Way

    used = protocol(settings.protocol)
    return Way(options=used.options, generation=used.generation(video, used.prompt(name)), **more)


def ask(
    settings: ReleasedSettings,
    asked: "Iterable[tuple[list[Question], Way]]",
    base: dict,
    folder: Path,
    progress: Progress,
    change: Callable[[Any], None] = lambda model: None,
) -> None:
    """Ask an arm what is missing in ``folder``; ``change``: what is done to the loaded model first."""
    from oryx.train.device import compute
    from workbook.studies.asking import Asker

    asker = Asker(settings.checkpoint, compute(settings.precision), change)
    base = base | {"split": settings.split, "protocol": settings.protocol}
    batches = [batch for questions, how in asked for batch in asker.batches(questions, how, base)]
    asker.ask(folder, batches, progress)
