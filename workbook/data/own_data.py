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
import difflib
import hashlib
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from oryx.errors import SettingsError

REQUIRED = ("file", "question", "answer")
COLUMNS = (*REQUIRED, "id", "task", "cluster", "chance", "split")
SPLITS = ("dev", "report")
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
TASK = "questions"
MOST_NAMED = 8
"""Problems of a table that its error names one by one."""


@dataclass(frozen=True)
class OwnItem:
    """One question; ``chance`` is None until the whole table is known (:func:`read_table`)."""

    id: str
    path: Path
    question: str
    answer: str
    task: str
    cluster: str
    chance: float | None
    split: str | None

    @property
    def is_video(self) -> bool:
        """Whether the file is a video, or a folder of frames."""
        return self.path.is_dir() or self.path.suffix.lower() in VIDEO_SUFFIXES


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
    except OSError as error:
        raise SettingsError(f"data: {path} cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"data: {path}: expected UTF-8 text ({error}); save the table as UTF-8") from None
    lines = _jsonl(text) if path.suffix.lower() == ".jsonl" else _csv(text, path)
    items: list[OwnItem] = []
    problems: list[str] = []
    first: dict[str, int] = {}
    for number, fields in lines:
        found = fields if isinstance(fields, str) else _item(fields, path.parent)
        if isinstance(found, OwnItem) and (earlier := first.setdefault(found.id, number)) != number:
            found = f"id {found.id!r} is that of line {earlier}; every item needs its own (column id)"
        if isinstance(found, OwnItem):
            items.append(found)
        else:
            problems.append(f"line {number}: {found}")
    if items and len({item.split is None for item in items}) > 1:
        problems.append("column split: filled in some lines only; expected dev or report in all, or no such column")
    if problems:
        more = f"\n  and {len(problems) - MOST_NAMED} more" if len(problems) > MOST_NAMED else ""
        named = "".join(f"\n  {problem}" for problem in problems[:MOST_NAMED])
        raise SettingsError(f"data: {path} has {len(problems)} problem(s):{named}{more}")
    if not items:
        raise SettingsError(f"data: {path}: expected at least one line with {', '.join(REQUIRED)}; the table is empty")
    return _with_chance(items)


def score(answer: str, truth: str, rule: str) -> float:
    """1 if the answer is right, else 0; case, accents' encoding, spaces, quotes and closing punctuation do not matter.

    ``exact``: the answer is the truth. ``contains``: its words stand somewhere in the answer, in this order and side by
    side ("a red cat" contains "cat", not "at").
    """
    given, expected = _plain(answer), _plain(truth)
    if rule == "exact":
        return float(given == expected)
    return float(re.search(rf"(?<!\w){re.escape(expected)}(?!\w)", given) is not None)


def data_hash(path: str | Path, items: list[OwnItem]) -> str:
    """One sha256 (16 hex digits) over the table and every file it names."""
    path, digest = Path(path), hashlib.sha256()
    files = {file for item in items for file in (sorted(item.path.iterdir()) if item.path.is_dir() else [item.path])}
    for file in [path, *sorted(files)]:
        if file.is_file():
            about = file.stat()
            digest.update(f"{file.name} {_file_hash(file, about.st_size, about.st_mtime_ns)}\n".encode())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=100_000)
def _file_hash(file: Path, size: int, changed: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _plain(text: str) -> str:
    text = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return text.strip("\"'`“”‘’ ").rstrip(".!?,;: ").strip("\"'`“”‘’ ") or text


def _csv(text: str, path: Path) -> Iterator[tuple[int, dict | str]]:
    header = text.partition("\n")[0]
    delimiter = max("\t;,", key=header.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        _check_columns(names, str(path))
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            fits = len(cells) == len(names)
            wrong = (
                f"expected {len(names)} cells as in the header, got {len(cells)} (quote text that holds {delimiter!r})"
            )
            yield reader.line_num, dict(zip(names, cells, strict=True)) if fits else wrong
    except csv.Error as error:
        raise SettingsError(f"data: {path}, line {reader.line_num}: not a csv ({error})") from None


def _jsonl(text: str) -> Iterator[tuple[int, dict | str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, _json_line(line)


def _json_line(line: str) -> dict | str:
    try:
        fields = json.loads(line)
    except ValueError as error:
        return f"not JSON ({error})"
    if not isinstance(fields, dict):
        return f"expected a JSON object, got {type(fields).__name__}"
    try:
        _check_columns(list(fields), "")
    except SettingsError as error:
        return str(error)
    return fields


def _check_columns(names: list[str], where: str) -> None:
    """Raises SettingsError for an unknown column (with the nearest known one), one that is missing or comes twice."""
    place = f"data: {where}: " if where else ""
    for name in names:
        if name not in COLUMNS:
            near = difflib.get_close_matches(name.lower(), COLUMNS, 1, 0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise SettingsError(f"{place}unknown column {name!r}; {hint}known: {', '.join(COLUMNS)}")
        if names.count(name) > 1:
            raise SettingsError(f"{place}column {name!r} comes twice")
    if missing := [name for name in REQUIRED if name not in names]:
        raise SettingsError(f"{place}column {missing[0]!r} is missing; expected at least {', '.join(REQUIRED)}")


def _item(fields: dict, folder: Path) -> OwnItem | str:
    """The item of a line, or what is wrong with it."""
    for name, value in fields.items():
        kinds = (str, int, float) if name == "chance" else (str, int)
        if isinstance(value, bool) or not isinstance(value, (*kinds, type(None))):
            return f"{name}: expected text, got {value!r}"
    text = {name: str(value).strip() for name, value in fields.items() if value is not None}
    for name in REQUIRED:
        if not text.get(name):
            return f"{name} is empty"
    path = folder / text["file"]
    if not path.exists():
        return f"file: there is no {path}"
    if path.is_dir() and not any(path.iterdir()):
        return f"file: {path} is an empty folder; expected a picture, a video or a folder of frames"
    chance = None
    if text.get("chance"):
        try:
            chance = float(text["chance"])
        except ValueError:
            chance = math.nan
        if not 0 <= chance <= 1:
            return f"chance: expected a number from 0 to 1, got {fields['chance']!r}"
    split = text.get("split") or None
    if split not in (None, *SPLITS):
        return f"split: expected {' or '.join(SPLITS)}, got {split!r}"
    name = text.get("id") or f"{text['file']}: {text['question']}"
    cluster = text.get("cluster") or text["file"]
    return OwnItem(name, path, text["question"], text["answer"], text.get("task") or TASK, cluster, chance, split)


def _with_chance(items: list[OwnItem]) -> list[OwnItem]:
    """The items, those without a chance with the share of their task's most frequent answer."""
    answers: dict[str, Counter] = {}
    for item in items:
        answers.setdefault(item.task, Counter())[_plain(item.answer)] += 1
    best = {task: counts.most_common(1)[0][1] / counts.total() for task, counts in answers.items()}
    return [item if item.chance is not None else replace(item, chance=best[item.task]) for item in items]
