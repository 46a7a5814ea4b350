"""Released weights asked about local copies of public benchmarks: what studies 1 and 3 share at scale ``paper``.

Nothing is trained. Beside its score every item has the same model's answer without the visual; a released model is one
training, so intervals cover clusters of items (pictures, videos) and nothing else. No torch until something is asked.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oryx.errors import MissingResource, OryxError, SettingsError, check_known
from workbook.data.protocols import Protocol, protocol
from workbook.runs.settings import StudySettings, setting
from workbook.studies.base import Progress

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

    @property
    def protocol_used(self) -> Protocol:
        """The protocol by its name; raises SettingsError for an unknown one."""
        return protocol(self.protocol)


@lru_cache(maxsize=8)
def _read(name: str, folder: str, asked_by: str) -> "tuple[BenchmarkItem, ...]":
    from workbook.data.benchmarks import read_benchmark

    return tuple(read_benchmark(name, folder, protocol(asked_by)))


def items_of(settings: ReleasedSettings) -> "dict[str, tuple[BenchmarkItem, ...]]":
    """Benchmark -> its items; errors as of :func:`workbook.data.benchmarks.read_benchmark`."""
    return {name: _read(name, settings.data, settings.protocol)[: settings.items] for name in settings.benchmarks}


def check(settings: ReleasedSettings, known: Iterable[str]) -> None:
    """Raises, before any work, for missing or unusable weights and copies, or benchmarks that are not ``known``."""
    if not (settings.checkpoint and settings.data):
        raise MissingResource(
            "scale 'paper' asks released weights about public benchmarks: -p checkpoint=FOLDER (or a repository name) "
            f"-p data=FOLDER with local copies of {', '.join(settings.benchmarks)}; "
            f"got checkpoint={settings.checkpoint!r}, data={settings.data!r}"
        )
    if settings.from_scratch:
        raise SettingsError("from_scratch: nothing is trained at scale 'paper'")
    if not settings.benchmarks:
        raise SettingsError(f"benchmarks: expected at least one of {', '.join(known)}")
    check_known(settings.benchmarks, list(known), "benchmark of this study")
    items_of(settings)
    hashes(settings)


def hashes(settings: ReleasedSettings) -> dict[str, str]:
    """sha256 over the checkpoint's files, and over questions, pictures and videos of the copies."""
    from oryx.model.loading import checkpoint_hash
    from workbook.data.benchmarks import copy_hash

    items = [item for own in items_of(settings).values() for item in own]
    return {"weights_hash": checkpoint_hash(settings.checkpoint), "data_hash": copy_hash(items)}


def plan(settings: ReleasedSettings, arms: list[str]) -> dict[str, Any]:
    """What a run would do, for people to read: nothing is trained."""
    found = {"arms": ", ".join(arms), "seeds": list(settings.seeds), "trained": "nothing: one released model is asked"}
    with suppress(OryxError):  # what is missing the check says
        from oryx.model.loading import resolve

        counts = {name: len(items) for name, items in items_of(settings).items()}
        found["questions of an arm, asked with and without the visual"] = counts
        weights = sum(path.stat().st_size for path in resolve(settings.checkpoint).iterdir())
        found["weights, GB as stored, for each arm at once"] = round(weights / 1e9, 1)
    return found


def describe(settings: ReleasedSettings) -> dict[str, Any]:
    """What the manifest says beyond settings and hashes: number format and protocol; prompts are in the rows."""
    return {"dtype": "bfloat16 on a GPU, else float32", **settings.protocol_used.described()}


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

    used = settings.protocol_used
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
