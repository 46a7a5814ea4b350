"""Local copies of public benchmarks as items to ask: the folders as their repositories publish them, archives unpacked.

``FOLDER/<benchmark>`` holds one repository; ``benchmarks.toml`` says what each consists of. A copy is read strictly
before anything is asked: a missing or mistyped column, a video that is not there or an empty table is one message that
names file and column. Where copies come from: docs/benchmarks-of-the-paper.md. No torch and no pandas in here.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import pyarrow.parquet as pq

from oryx.errors import MissingResource, SettingsError, check_known
from workbook.data.answers import RULES
from workbook.data.protocols import Prompt, Protocol

BENCHMARKS: dict[str, dict] = tomllib.loads(Path(__file__).with_name("benchmarks.toml").read_text("utf-8"))
"""Name of a benchmark -> what its copy consists of."""
KINDS = {"text": str, "number": int, "list": list, "picture": dict}
VIDEO_SUFFIXES = ("", ".mp4", ".MP4", ".mkv", ".webm", ".avi")
NOTHING = (None, "", "nan", "N/A")
Row = dict[str, Any]


@dataclass(frozen=True)
class BenchmarkItem:
    """One question of a benchmark.

    Attributes:
        id: as the benchmark numbers it.
        visual: an encoded picture, the path of a video, or that of a folder of frames.
        question: the whole prompt by the protocol.
        truths: the right answers; where there are ``options``, the letter.
        task: the benchmark's own kind of question.
        cluster: what questions have in common: the video, the scene, the picture.
        chance: expected score of guessing at random.
        rule: how an answer is scored, a name in ``workbook.data.answers.RULES``.
        most: longest answer in tokens.
    """

    id: str
    visual: bytes | Path
    question: str
    truths: tuple[str, ...]
    options: tuple[str, ...]
    task: str
    cluster: str
    chance: float
    rule: str
    most: int

    def score(self, answer: str) -> float:
        """1 if an answer is right, else 0."""
        return float(RULES[self.rule](answer, self.truths, self.options))


def read_benchmark(name: str, folder: str | Path, protocol: Protocol) -> list[BenchmarkItem]:
    """The items of the copy of benchmark ``name`` below ``folder``, asked by a protocol.

    Raises SettingsError for an unknown benchmark, a column that is missing or of another type, an empty table, an id
    that comes twice; MissingResource if there is no copy, or a video of it is missing.
    """
    check_known([name], BENCHMARKS, "benchmark")
    kind, place, prompt = BENCHMARKS[name], Path(folder) / name, protocol.prompt(name)
    if not (tables := sorted(place.glob(kind["tables"]))):
        where = f"{place} (no {kind['tables']})"
        raise MissingResource(f"{name}: expected a copy of {kind['repository']}, there is none in {where}")
    items: dict[str, BenchmarkItem] = {}
    for table in tables:
        rows = _rows(table)
        if not rows:
            raise SettingsError(f"{table}: expected at least one question, the table is empty")
        for number, row in enumerate(rows):
            where = f"{table}, row {number}"
            _check(row, kind["columns"], where)
            folder_of = kind.get("folders", {}).get(table.stem, "")
            made = _item(kind, {**row, "row": number, "file": table.stem, "folder": folder_of}, place, prompt, where)
            if items.setdefault(made.id, made) is not made:
                raise SettingsError(f"{where}: the id {made.id!r} comes twice")
    return list(items.values())


def copy_hash(items: Sequence[BenchmarkItem]) -> str:
    """One sha256 (16 hex digits) over questions and answers, the pictures, and names and sizes of the videos' files."""
    digest = hashlib.sha256()
    for item in items:
        if isinstance(item.visual, bytes):
            visual = hashlib.sha256(item.visual).hexdigest()
        else:
            files = sorted(item.visual.iterdir()) if item.visual.is_dir() else [item.visual]
            visual = " ".join(f"{file.name} {file.stat().st_size}" for file in files)
        digest.update(f"{item.id}\n{item.question}\n{item.truths}\n{visual}\n".encode())
    return digest.hexdigest()[:16]


def row_task(name: str, item: BenchmarkItem) -> str:
    """The task of a row: the benchmark, or a part of it where the published number is the mean over parts."""
    return f"{name}: {item.task}" if BENCHMARKS[name].get("average") == "tasks" else name


def _rows(table: Path) -> list[Row]:
    try:
        if table.suffix == ".parquet":
            return pq.read_table(table).to_pylist()
        found = json.loads(table.read_text("utf-8"))
    except (OSError, ValueError) as error:  # pyarrow's are ValueErrors
        raise SettingsError(f"{table}: cannot be read ({error})") from None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise SettingsError(f"{table}: expected a list of objects")
    return found


def _check(row: Row, columns: dict[str, str], where: str) -> None:
    for column, kinds in columns.items():
        if column not in row:
            raise SettingsError(f"{where}: column {column!r} is missing; expected {', '.join(columns)}")
        value = row[column]
        if not isinstance(value, tuple(KINDS[kind] for kind in kinds.split(" or "))) or value == []:
            raise SettingsError(f"{where}: column {column!r}: expected {kinds}, got {value!r}")
        if isinstance(value, list) and not all(isinstance(one, str) for one in value):
            raise SettingsError(f"{where}: column {column!r}: expected a list of texts, got {value!r}")


def _item(kind: dict, row: Row, place: Path, prompt: Prompt, where: str) -> BenchmarkItem:
    given = row[kind["options"][0]] if len(kind.get("options", ())) == 1 else [row[c] for c in kind.get("options", ())]
    options = tuple(option.strip() for option in given if option not in NOTHING)
    letters = ascii_uppercase[: len(options)]
    if all(re.match(rf"\(?{letter}[.)]", option) for letter, option in zip(letters, options, strict=True)):
        options = tuple(option.split(maxsplit=1)[-1] for option in options)  # some copies write the letters themselves
    truth = row[kind["answer"]]
    if options:
        named = options.index(truth) if truth in options else truth
        truth = letters[named : named + 1] if isinstance(named, int) else named
        if not truth or truth not in letters:
            raise SettingsError(f"{where}: column {kind['answer']!r}: no option is {row[kind['answer']]!r}")
    visual = row[kind["picture"]].get("bytes") if "picture" in kind else _video(place, kind["video"], row)
    if not visual or (isinstance(visual, Path) and not visual.exists()):
        raise MissingResource(f"{where}: there is no {visual or 'picture in column ' + kind['picture']}")
    if isinstance(visual, Path) and visual.is_dir() and not any(visual.iterdir()):
        raise MissingResource(f"{where}: expected frames in {visual}, the folder is empty")
    rule = kind.get("rule", "letter")
    for column, rules in kind.get("rules", {}).items():
        rule = rules.get(row[column], rule)
    published, hint = row["question"], row.get(kind.get("hint"))
    question = published.partition("\n(A)")[0].strip()  # some copies list the options in the question too
    return BenchmarkItem(
        id=kind["id"].format(**row),
        visual=visual,
        question=prompt.fill(question, options, "" if hint in NOTHING else hint, published),
        truths=tuple(truth) if isinstance(truth, list) else (truth,),
        options=options,
        task=kind["task"].format(**row),
        cluster=visual.stem if isinstance(visual, Path) else hashlib.sha256(visual).hexdigest()[:12],
        chance=1 / len(options) if options else 0.0,
        rule=rule,
        most=prompt.most,
    )


def _video(place: Path, tries: Sequence[str], row: Row) -> Path:
    """The first path that is there, with some suffix; the one to be expected if none is."""
    paths = [place / text.format(**row) for text in tries]
    found = (path.with_name(path.name + suffix) for path in paths for suffix in VIDEO_SUFFIXES)
    return next((path for path in found if path.exists()), paths[-1])
