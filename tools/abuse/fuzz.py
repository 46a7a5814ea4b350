"""Fuzzing: each input is accepted, or refused by an error of ours; anything else is a fault."""

import importlib
import os
import random
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from oryx.errors import OryxError
from tools.abuse import mutate
from tools.abuse.deadlines import carried_out
from tools.abuse.inputs import KINDS, UNCHECKED

SECONDS = 30.0
OUTCOMES = ("accepted", "unchecked", "refused", "traceback", "wrong", "hung", "died")
FINE = OUTCOMES[:3]
FIRST_SEED = 1000
LONGEST = 4000
"""Letters that the message of a refusal may have: more is the input printed back."""
MOST_SHOWN = 6
"""Faults of a kind that are named; all are counted."""


@dataclass(frozen=True)
class Input:
    """One input of a kind: its number, which is its seed, and the value that hypothesis drew, if the kind has any."""

    kind: str
    number: int
    folder: Path
    value: Any = None


def attempt(given: Input) -> tuple[str, str]:
    """(outcome, why) of one input; for a worker process."""
    _be_quiet()
    own = Path(tempfile.mkdtemp(prefix="input-", dir=given.folder.parent))
    try:
        wrong = KINDS[given.kind].attempt(given.folder, own, random.Random(FIRST_SEED + given.number), given.value)
        return ("unchecked", "") if wrong == UNCHECKED else ("wrong", wrong) if wrong else ("accepted", "")
    except OryxError as error:
        said = str(error).replace(str(own), "").replace(str(given.folder), "")
        return ("refused", said[:200]) if len(said) <= LONGEST else ("wrong", f"a message of {len(said)} letters")
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in place if "/oryx/" in frame.filename or "/workbook/" in frame.filename] or place
        where = f"{Path(ours[-1].filename).name}, {ours[-1].name}"
        return "traceback", f"{type(error).__name__} in {where}: {str(error)[:160]}"
    finally:
        shutil.rmtree(own, ignore_errors=True)


@cache
def _be_quiet() -> None:
    """Libraries in C say what they think of damaged files on stderr, past Python."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for name in ("transformers", "oryx.model", "oryx.train.datasets", "workbook.cli"):  # not later, by a short clock
        importlib.import_module(name)
    with suppress(ImportError):
        importlib.import_module("transformers").logging.set_verbosity_error()


def table(workers: int = 2, inputs: int = 10_000, kinds: Collection[str] = tuple(KINDS)) -> dict[str, Any]:
    """Counts by kind, and the faults: what was tried and what came.

    ``inputs``: how many in all if every kind is tried; each has its share.
    """
    folder = Path(tempfile.mkdtemp(prefix="abuse-"))
    tried: list[Input] = []
    shares = sum(kind.share for kind in KINDS.values())
    try:
        for place, name in enumerate(kinds):
            kind, seeds = KINDS[name], folder / f"kind-{place}" / "seeds"
            seeds.mkdir(parents=True)
            kind.seeds(seeds)
            count = -(-kind.share * inputs // shares)
            values = mutate.examples(kind.values(), count) if kind.values else [None] * count
            tried += [Input(name, number, seeds, value) for number, value in enumerate(values)]
        answers = [
            (given, found if isinstance(found, tuple) else (found, ""))
            for given, found in carried_out(attempt, tried, SECONDS, workers, first=180)
        ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    counts = Counter((given.kind, outcome) for given, (outcome, _) in answers)
    total = Counter(outcome for _, (outcome, _) in answers)
    wrong: dict[tuple[str, str, str], list[int]] = {}
    for given, (outcome, why) in sorted(answers, key=lambda answer: answer[0].number):
        if outcome not in FINE:
            wrong.setdefault((given.kind, outcome, why), []).append(given.number)
    return {
        "summary": f"{len(answers)} inputs: " + ", ".join(f"{total[outcome]} {outcome}" for outcome in OUTCOMES),
        "inputs": len(answers),
        "counts": {kind: {o: n for o in OUTCOMES if (n := counts[kind, o])} for kind in kinds},
        "faults": [
            {"kind": kind, "outcome": outcome, "why": why, "times": len(numbers), "number": numbers[0]}
            for (kind, outcome, why), numbers in sorted(wrong.items(), key=lambda item: (item[0][0], -len(item[1])))
        ],
    }
