"""A table of one's own questions: csv or jsonl of file, question, answer. Read strictly, before anything is asked.

One line is one question about one picture or video. Columns:

========  ======================================================================================================
file      picture, video or folder of frames; relative paths start at the table's own folder
question  what is asked
answer    the expected answer
id        name of the item; ``FILE: QUESTION`` unless given
task      items of one task are averaged first, and tasks weigh the same; ``questions`` unless given
cluster   what items have in common (one scene, one document); the file unless given. Intervals count clusters
chance    expected score of the best guess without looking, 0 to 1; unless given, the share of the most frequent
          answer of the task
split     ``dev`` or ``report``, if some items are kept apart for the final run; without it all items are asked
========  ======================================================================================================

A csv separates its columns by commas, semicolons or tabs. No torch and no pandas in here.
"""

import csv
import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from oryx.errors import SettingsError, did_you_mean, shortened
from oryx.files import atomic_write_text, sha256_file
from workbook.data.answers import plain
from workbook.data.items import evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.data.stories import QUESTIONS, chance, make_story

REQUIRED = ("file", "question", "answer")
COLUMNS = (*REQUIRED, "id", "task", "cluster", "chance", "split")
MOVING = (".gif", ".mpeg", ".mpg")
"""What Pillow calls pictures too."""
EXPECTED = {"chance": "a number from 0 to 1", "split": "dev or report"}
"""What a field holds that is no text."""

PICTURES, VIDEOS = 8, 4
"""What the example holds: pictures of each of two tasks, and videos."""

MOST_NAMED = 8
"""Problems of a table that its error names one by one."""


class OwnItem(BaseModel):
    """One question; ``chance`` is None until the whole table is known (:func:`read_table`)."""

    model_config = ConfigDict(frozen=True, coerce_numbers_to_str=True)

    id: str
    path: Path
    question: str
    answer: str
    task: str = "questions"
    cluster: str
    chance: float | None = Field(None, ge=0, le=1)
    split: Literal["dev", "report"] | None = None

    @property
    def is_video(self) -> bool:
        """Whether the file is a video, or a folder of frames."""
        return is_video_file(self.path)

    def visual(self, **video: Any) -> Any:
        """As ``model.ask`` takes it; ``video``: how a video is shown."""
        from oryx import Video  # here, not above: it needs torch

        return Video(self.path, **video) if self.is_video else self.path


def read_table(path: str | Path) -> list[OwnItem]:
    """The items of a table in its order.

    Raises SettingsError naming every line that cannot be used, and why: an unknown or missing column, an empty field, a
    file that is not there, an id or question that comes twice, a chance or split that is none; or a table that is
    missing, empty, not UTF-8 or neither csv nor jsonl.
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".tsv", ".jsonl"):
        raise SettingsError(f"data: expected a file that ends in .csv, .tsv or .jsonl, got {str(path)!r}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"data: {path} cannot be read ({error}); expected text: save the table as UTF-8") from None
    lines = _jsonl(text) if path.suffix.lower() == ".jsonl" else _csv(text, path)
    items: list[OwnItem] = []
    problems: list[str] = []
    first: dict[str, int] = {}
    for number, fields in lines:
        found = fields if isinstance(fields, str) else _item(fields, path.parent)
        if isinstance(found, str):
            problems.append(f"line {number}: {found}")
        elif (earlier := first.setdefault(found.id, number)) != number:
            named = f"id {found.id!r} is that of line {earlier}"
            problems.append(f"line {number}: {named}; every item needs its own (column id)")
        else:
            items.append(found)
    if items and len({item.split is None for item in items}) > 1:
        problems.append("column split: filled in some lines only; expected dev or report in all, or no such column")
    if problems:
        more = f"\n  and {len(problems) - MOST_NAMED} more" if len(problems) > MOST_NAMED else ""
        named = "".join(f"\n  {problem}" for problem in problems[:MOST_NAMED])
        raise SettingsError(f"data: {path} has {len(problems)} problem(s):{named}{more}")
    if not items:
        raise SettingsError(f"data: {path}: expected at least one line with {', '.join(REQUIRED)}; the table is empty")
    answers: defaultdict[str, Counter] = defaultdict(Counter)
    for item in items:
        answers[item.task][plain(item.answer)] += 1
    best = {task: counts.most_common(1)[0][1] / counts.total() for task, counts in answers.items()}
    return [item if item.chance is not None else item.model_copy(update={"chance": best[item.task]}) for item in items]


def data_hash(path: str | Path, items: list[OwnItem]) -> str:
    """One sha256 (16 hex digits) over the table and every file it names."""
    path, digest = Path(path), hashlib.sha256()
    files = {file for item in items for file in (sorted(item.path.iterdir()) if item.path.is_dir() else [item.path])}
    for file in [path, *sorted(files)]:
        if file.is_file():
            digest.update(f"{file.name} {sha256_file(file)}\n".encode())
    return digest.hexdigest()[:16]


def _csv(text: str, path: Path) -> Iterator[tuple[int, dict | str]]:
    header = text.partition("\n")[0]
    delimiter = max("\t;,", key=header.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        if problem := _column_problem(names):
            raise SettingsError(f"data: {path}: {problem}")
        for cells in reader:
            if len(cells) == len(names) and any(map(str.strip, cells)):
                yield reader.line_num, dict(zip(names, cells, strict=True))
            elif any(map(str.strip, cells)):
                wrong = f"expected {len(names)} cells as in the header, got {len(cells)}"
                yield reader.line_num, f"{wrong} (quote text that holds {delimiter!r})"
    except csv.Error as error:
        raise SettingsError(f"data: {path}, line {reader.line_num}: not a csv ({error})") from None


def _jsonl(text: str) -> Iterator[tuple[int, dict | str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            if line.strip():
                fields = json.loads(line)
                kind = f"expected a JSON object, got {type(fields).__name__}"
                yield number, (_column_problem(list(fields)) or fields) if isinstance(fields, dict) else kind
        except ValueError as error:
            yield number, f"not JSON ({error})"


def _column_problem(names: list[str]) -> str | None:
    """Which column is unknown (with the nearest known one), comes twice or is missing; None if none is."""
    for name in names:
        if name not in COLUMNS:
            return f"unknown column {name!r}; {did_you_mean(name.lower(), COLUMNS)}known: {', '.join(COLUMNS)}"
        if names.count(name) > 1:
            return f"column {name!r} comes twice"
    missing = [name for name in REQUIRED if name not in names]
    return f"column {missing[0]!r} is missing; expected at least {', '.join(REQUIRED)}" if missing else None


def _item(fields: dict, folder: Path) -> OwnItem | str:
    """The item of a line, or what is wrong with it."""
    stripped = {name: value.strip() if isinstance(value, str) else value for name, value in fields.items()}
    given = {name: value for name, value in stripped.items() if value not in ("", None)}
    if empty := [name for name in REQUIRED if name not in given]:
        return f"{empty[0]} is empty"
    file = str(given.pop("file"))
    path = folder / file
    if not os.path.exists(path):  # pathlib raises OSError for names that no file can have
        return f"file: there is no {shortened(path)}"
    if path.is_dir() and not any(path.iterdir()):
        return f"file: {path} is an empty folder; expected a picture, a video or a folder of frames"
    try:
        return OwnItem(**{"id": f"{file}: {given['question']}", "path": path, "cluster": file, **given})
    except ValidationError as error:
        wrong = error.errors()[0]
        name = wrong["loc"][0]
        return f"{name}: expected {EXPECTED.get(name, 'text')}, got {wrong['input']!r}"


def is_video_file(path: Path) -> bool:
    """Whether a file is to be read as a video, or is a folder of frames: by its suffix, if it is none of a picture."""
    suffix = path.suffix.lower()
    return path.is_dir() or suffix in MOVING or suffix not in ("", *Image.registered_extensions(), ".heic", ".heif")


def write_example(folder: Path) -> Path:
    """A small table to start from, with its pictures and videos, in ``folder``; returns the table's path.

    Drawn from the shipped data, split dev, unless it is there: numbers and icons as pictures, short videos of a moving
    icon as MP4 files.
    """
    import pandas as pd  # here, not above: workers need no frames

    table = folder / "own_data.csv"
    if table.exists():
        return table
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for task in ("number", "icon"):
        for i, item in enumerate(evaluation_items(task, "dev", PICTURES, PictureSizes())):
            item.picture.convert("RGB").save(folder / f"{task}_{i}.png")
            lines.append([f"{task}_{i}.png", item.question, item.answer, task, item.cluster, f"{item.chance:.4g}"])
    for i in range(VIDEOS):
        story = make_story(folder, "dev", "short", i)
        name = story.path.relative_to(folder).as_posix()
        by_chance = f"{chance('move', 'dev'):.4g}"
        lines.append([name, QUESTIONS["move"], story.facts["move"], "video", f"video {i}", by_chance])
    columns = ["file", "question", "answer", "task", "cluster", "chance"]
    text = pd.DataFrame(lines, columns=columns).to_csv(index=False, lineterminator="\n")
    atomic_write_text(table, text)  # last: a table that is there names files that are there
    return table
