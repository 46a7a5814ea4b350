"""The crash matrix: every study is disturbed in every way at moments drawn by chance, and then goes on.

After a disturbance the exit code and the states must say what has happened, nobody may be left running, and rows that
were written must be there; the same command must then end with the rows and verdicts of an undisturbed run. A point
that came too late for its run is drawn again, earlier. What has been tried is kept in the folder of the work, so that a
matrix goes on where it was stopped; points of another state of the code are tried again.
"""

import hashlib
import json
import random
import shutil
import sys
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import oryx
import workbook
from oryx.evidence.rows import read_rows
from oryx.files import atomic_write_json, sha256_file
from tests.rows import same_rows
from tools.abuse.disturb import KINDS, TWO, Watched, clear
from workbook.cli import STUDIES, find_study
from workbook.runs.notebooks import CODE
from workbook.runs.shards import read_status

REPOSITORY = Path(__file__).parents[2]
SECONDS = 1800.0
"""How long a run may take before it counts as hung."""
TRIES = 4
FIRST = 3
"""By how many kinds the first point of a study is ahead of that of the study before."""
FINE = RESUMED, UNHARMED, LATE = "resumed", "unharmed", "too late"
"""Without a fault: the run went on to the same rows; it ended well although it was struck; it had ended before."""


def code_state() -> str:
    """A hash of the code that runs use."""
    folders = [Path(package.__path__[0]) for package in (oryx, workbook)] + [REPOSITORY / "notebooks"]
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in (*CODE, ".ipynb"))
    return hashlib.sha256("".join(map(sha256_file, files)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Subject:
    """A study at scale smoke, with one undisturbed run of it in ``work``; ``words`` go with every command."""

    name: str
    work: Path
    words: tuple[str, ...] = ()

    def settings(self, results: Path) -> Any:
        return find_study(self.name).settings({"scale": "smoke", "results": str(results)})

    def folder(self, results: Path) -> Path:
        """The run's folder."""
        return find_study(self.name).run_folder(self.settings(results))

    def command(self, results: Path) -> list[str]:
        """One worker at a time, so that a moment means the same on every machine."""
        words = ["run", self.name, "--scale", "smoke", "--jobs", "1", "--results", str(results), *self.words]
        return [sys.executable, "-m", "oryx", *words]

    def files(self, results: Path) -> list[Path]:
        """The rows of every arm, as far as they are there."""
        return sorted(self.folder(results).glob("seed-*/arms/*/rows.jsonl"))

    @cached_property
    def undisturbed(self) -> dict[str, Any]:
        """The run that others are held against: its ``results``, ``seen`` of its parts, bytes that it ``needs``."""
        place = self.work / "undisturbed"
        if not (place / "run.json").exists():
            shutil.rmtree(place, ignore_errors=True)
            run = Watched(self.command(place / "results"), place)
            if (code := run.ended(SECONDS)) != 0:
                raise RuntimeError(f"{self.name}: the undisturbed run ended with {code}: {run.err.read_text()[-2000:]}")
            needs = sum(4096 + path.lstat().st_blocks * 512 for path in (place / "results").rglob("*"))
            atomic_write_json(place / "run.json", {"seen": run.seen, "needs": needs})
        return {"results": place / "results", **json.loads((place / "run.json").read_text())}


@dataclass(frozen=True)
class Point:
    """One disturbance; its number is its seed."""

    study: str
    kind: str
    number: int


def attempt(point: Point, subject: Subject) -> tuple[str, str]:
    """Try a point, earlier if it comes too late; outcome and why."""
    found = LATE, ""
    for share in range(TRIES):
        chance = random.Random(f"{point.study} {point.kind} {point.number}")
        place = subject.work / f"{list(KINDS).index(point.kind)}-{point.number}"
        clear(place)
        found = _once(point.kind, subject, place, chance, 0.5**share)
        clear(place)
        if found[0] != LATE:
            break
    return found


def _once(name: str, subject: Subject, place: Path, chance: random.Random, earlier: float) -> tuple[str, str]:
    kind, whole = KINDS[name], subject.undisturbed
    with ExitStack() as stack:
        results = stack.enter_context(kind.place(place / "results", whole["needs"], chance))
        if kind.part == "kernel":  # jobs are done before there is a kernel
            for seed in subject.folder(whole["results"]).glob("seed-*"):
                shutil.copytree(seed, subject.folder(results) / seed.name)
        first, last = whole["seen"][kind.part]
        moment = chance.random() * (last - first) * earlier
        # the notebook comes after the workers: where one of them is struck it only takes time
        words = [*subject.command(results), *(["--no-notebook"] if kind.part == "worker" else [])]
        run = Watched(kind.start([*words, *kind.words(first + moment)]), place)
        runs = [run]
        if kind.strike or name == TWO:
            run.wait(SECONDS, lambda parts: kind.part in parts)
            run.wait(moment)
            if not run.wait(SECONDS, lambda parts: kind.part in parts):
                code = run.ended(SECONDS)
                return (LATE, "") if code == 0 else ("failed", f"before it was struck, with {code}: {run.last_words}")
            if name == TWO:
                runs.append(Watched(words, place / "second"))
            else:
                kind.strike(run.look()[kind.part], results)
        codes = [one.ended(SECONDS) for one in runs]
        if fault := _fault(kind.codes, codes, runs) or _dishonest(
            subject, results, codes, "--no-notebook" not in words
        ):
            return fault
        kept = {path: path.read_bytes() for path in subject.files(results)}
        kind.mend(results, chance)
        # items that found no memory are rows that say so; they are asked again when that is asked for
        again = Watched([*words, *["--retry-failed"] * failed(subject, results)], place)
        if (code := again.ended(SECONDS)) != 0:
            return "not resumed", f"after {codes[0]} with {code}: {again.last_words}"
        for path, data in kept.items():
            if not path.read_bytes().startswith(data[: data.rfind(b"\n") + 1]):
                return "rows lost", str(path.relative_to(results))
        if found := different(subject, results):
            return "other rows", found
    return (UNHARMED if 0 in codes else RESUMED), f"{codes}"


def _fault(expected: tuple[int, ...], codes: list[int | None], runs: list[Watched]) -> tuple[str, str] | None:
    """What is wrong with how runs ended."""
    for run, code in zip(runs, codes, strict=True):
        if code is None:
            return "hung", run.last_words
        if code not in (0, *expected):
            return "exit code", f"{code}, expected one of {expected}: {run.last_words}"
        if left := run.orphans():
            return "orphans", ", ".join(left)
    return None


def _dishonest(
    subject: Subject, results: Path, codes: list[int | None], notebook: bool = True
) -> tuple[str, str] | None:
    """A state that is not as it is: ``running`` though nobody is, ``done`` and not, or the other way round.

    ``notebook``: whether the run was to end with its notebook, which has a state of its own.
    """
    folder = subject.folder(results)
    states = {path: read_status(path / "status.json")["state"] for path in (folder, *folder.glob("seed-*"))}
    if "running" in states.values():
        return "state", "running, and nobody is"
    own = states.pop(folder)
    whole = own == "done" if notebook else bool(states) and set(states.values()) == {"done"}
    if 0 in codes and not whole:
        return "state", f"not done, after {codes}"
    verdicts = whole and notebook
    says_so = failed(subject, results)
    if says_so and 0 in codes:
        return "state", f"items failed, after {codes}"
    if not says_so and (whole or "done" in states.values()) and (found := different(subject, results, verdicts)):
        return "state", f"done, and {found}"
    return None


def failed(subject: Subject, results: Path) -> bool:
    """Whether an item became a row with an error."""
    files = subject.files(results)
    return bool(files) and bool(read_rows(files)["error"].notna().any())


def different(subject: Subject, results: Path, verdicts: bool = True) -> str:
    """What differs from the undisturbed run, in one line."""
    there, wanted = (read_rows(subject.files(place)) for place in (results, subject.undisturbed["results"]))
    found = same_rows(there, wanted)
    if not found and verdicts:
        texts = {
            (subject.folder(place) / "verdicts.json").read_text() for place in (results, subject.undisturbed["results"])
        }
        found = ["verdicts differ"] * (len(texts) > 1)
    return " ".join(found).splitlines()[0] if found else ""


def table(
    workers: int, points: int, work: Path, studies: Collection[str] = tuple(STUDIES), words: Collection[str] = ()
) -> dict[str, Any]:
    """Counts by study and kind, and the faults.

    ``points``: of every study; the kinds take turns, and every study begins with others. Points that were tried before
    with the same code count too.
    """
    code, here = code_state(), [name for name, kind in KINDS.items() if kind.works()]
    subjects = {name: Subject(name, work / code / name.rpartition(":")[2], tuple(words)) for name in studies}
    wanted = [
        Point(study, here[(number + FIRST * place) % len(here)], number)
        for number in range(points)
        for place, study in enumerate(studies)
    ]
    record = work / code / "points.jsonl"
    record.parent.mkdir(parents=True, exist_ok=True)
    lines = map(json.loads, record.read_text().splitlines() if record.exists() else ())
    found = {Point(**line["point"]): (line["outcome"], line["why"]) for line in lines}

    def once(point: Point) -> None:
        outcome, why = found[point] = attempt(point, subjects[point.study])
        with record.open("a") as file:
            file.write(json.dumps({"point": asdict(point), "outcome": outcome, "why": why}) + "\n")

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda subject: subject.undisturbed, subjects.values()))
        list(pool.map(once, [point for point in wanted if point not in found]))
    counts = Counter((point.study, point.kind, outcome) for point, (outcome, _) in found.items())
    total = Counter(outcome for outcome, _ in found.values())
    return {
        "summary": f"{len(found)} points: " + ", ".join(f"{count} {outcome}" for outcome, count in total.items()),
        "points": len(found),
        "code": code,
        "not_here": [name for name in KINDS if name not in here],
        "counts": {
            study: {name: {o: n for o in total if (n := counts[study, name, o])} for name in here} for study in studies
        },
        "faults": [
            {**asdict(point), "outcome": outcome, "why": why}
            for point, (outcome, why) in found.items()
            if outcome not in FINE
        ],
    }
