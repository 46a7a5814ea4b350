"""Tasks of lmms-eval on local files: items of the studies, and copies of public benchmarks.

Items are drawn from the shipped data, split dev, and asked in whole sentences, so that any model of the harness can be
asked them. The tables that name them are those of the study of one's own data too (``workbook/data/own_data.py``).
"""

import json
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from oryx.errors import InputError, MissingResource
from oryx.files import atomic_write_text
from workbook.data.benchmarks import BENCHMARKS
from workbook.data.items import OBJECT_TASKS, evaluation_items, kinds
from workbook.data.needles import make_trial
from workbook.data.pictures import PictureSizes
from workbook.data.stories import chance, make_story

TASKS = Path(__file__).with_name("tasks")
PHRASES = tomllib.loads((TASKS / "phrases.toml").read_text("utf-8"))
HARNESS = tomllib.loads((TASKS / "benchmarks.toml").read_text("utf-8"))
PICTURE_SIZES = PictureSizes(side=192, patch=32)
FRAMES, FRAME_SIZE = 32, (128, 128)
"""Of videos that hide a needle."""

Asked = tuple[Path, str, str, str, str, str, float]
"""File, question, answer, id, task, cluster and chance of an item."""


def pictures(folder: Path, count: int) -> Iterator[Asked]:
    """Items of study 1, ``count`` of each task; the pictures are written into ``folder``."""
    for task, phrase in PHRASES["pictures"].items():
        known = ", ".join(kinds(task)) if task in OBJECT_TASKS and "{answers}" in phrase else ""
        for number, item in enumerate(evaluation_items(task, "dev", count, PICTURE_SIZES)):
            item.picture.save(path := folder / f"{task}_{number}.png")
            question = phrase.format(short=item.question, answers=known)
            yield path, question, item.answer, item.id, task, item.cluster, item.chance


def films(folder: Path, count: int) -> Iterator[Asked]:
    """Every question of ``count`` short films, as of study 3."""
    for story in (make_story(folder, "dev", "short", index) for index in range(count)):
        for kind, answer in story.facts.items():
            question, name = PHRASES["films"][kind], f"{story.id}/{kind}"
            yield story.path, question, answer, name, kind, story.id, chance(kind, "dev")


def needles(folder: Path, count: int) -> Iterator[Asked]:
    """``count`` videos of each kind of needle, as of study 4, from the first frame to the last."""
    questions = tomllib.loads((TASKS.parents[1] / "studies" / "needle" / "phrases.toml").read_text("utf-8"))
    for variant, index in ((one, i) for one in ("number", "picture", "change") for i in range(count)):
        trial = make_trial("dev", variant, FRAMES, index / max(1, count - 1), index, FRAME_SIZE)
        path, needle, cluster = trial.file(folder).path, trial.needle, f"haystack {trial.haystack}"
        yield path, questions[needle.question], needle.answer, trial.id, variant, cluster, needle.chance


def write_items(folder: Path, count: int) -> list[str]:
    """Write items into ``folder``, of each study a table and a task; the names of the tasks."""
    for draw in (pictures, films, needles):
        name, lines = draw.__name__, []
        (folder / name).mkdir(parents=True, exist_ok=True)
        for path, *rest in draw(folder / name, count):
            row = zip(("question", "answer", "id", "task", "cluster", "chance"), rest, strict=True)
            lines.append(json.dumps({"file": path.relative_to(folder).as_posix(), **dict(row)}) + "\n")
        atomic_write_text(folder / f"{name}.jsonl", "".join(lines))
        given = {"lmms_eval_specific_kwargs": {"default": {"folder": str(folder)}}}
        _write_task(folder, f"oryx_{name}", TASKS / "items.yaml", "json", {"test": f"{name}.jsonl"}, **given)
    return ["oryx_pictures", "oryx_films", "oryx_needles"]


def write_local_tasks(copies: Path) -> list[str]:
    """For each copy of a public benchmark under ``copies`` a task that is the harness's own but for where its questions
    are; the names of the tasks.

    Raises MissingResource without the harness, InputError without any copy.
    """
    if (harness := find_spec("lmms_eval")) is None:
        raise MissingResource("lmms-eval is not installed here: see docs/lmms-eval.md")
    tables = {name: f"{name}/{BENCHMARKS[name]['tables']}" for name in HARNESS}
    found = {name: files for name, files in tables.items() if any(copies.glob(files))}
    if not found:
        raise InputError(f"{copies}: expected one of {', '.join(tables.values())}; there is none")
    for name, files in found.items():
        own = Path(harness.submodule_search_locations[0], "tasks", HARNESS[name]["task"])
        _write_task(copies, f"{name}_local", own, "parquet", {HARNESS[name]["split"]: files})
    return [f"{name}_local" for name in found]


def _write_task(folder: Path, name: str, own: Path, kind: str, files: dict[str, str], **more: Any) -> None:
    data = {"data_files": {split: str(folder / file) for split, file in files.items()}}
    task = {"include": str(own), "task": name, "dataset_path": kind, "dataset_kwargs": data, **more}
    atomic_write_text(folder / f"{name}.yaml", "".join(f"{key}: {json.dumps(value)}\n" for key, value in task.items()))
