"""What is published under ``results/``: every run with its verdicts, also seed by seed, and where runs disagree.

Read from the folders alone (no torch, no study code): ``verdicts.json``, ``manifest.json`` and the rows.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import workbook
from oryx.errors import RunError
from oryx.evidence import stats, verdicts
from oryx.evidence.schema import PUBLISHED as ROWS
from oryx.evidence.verdicts import Hypothesis, judge_seeds, load_hypotheses
from oryx.files import atomic_write_json, sha256_file

if TYPE_CHECKING:
    import pandas as pd

HYPOTHESES = sorted(Path(workbook.__path__[0], "studies").glob("*/hypotheses.toml"))
READ = ("arm", "condition", "item", "seed", "split", "task", "cluster", "score", "chance", "error")
"""Fields that verdicts need, beside those that hypotheses filter by."""
NOT_TESTED = "not tested"
AS_CLAIMED, AGAINST = "as claimed", "against the claim"


@dataclass(frozen=True)
class Published:
    """One published run: ``results/<study>/<variant>/``; ``variant`` is the scale, and what differs from its preset."""

    folder: Path
    verdicts: list[dict]
    manifest: dict

    @property
    def study(self) -> str:
        """Study id."""
        return self.folder.parent.name

    @property
    def variant(self) -> str:
        """Scale, and settings that differ from its preset: ``nano,encoder=trained``."""
        return self.folder.name

    @property
    def scale(self) -> str:
        """The scale alone."""
        return self.variant.partition(",")[0]

    @property
    def place(self) -> str:
        """``study/variant``, the folder below ``results``."""
        return f"{self.study}/{self.variant}"

    @property
    def seeds(self) -> list[str]:
        """The seeds, as the manifest names them."""
        return list(self.manifest["seeds"])

    @property
    def first(self) -> dict:
        """The manifest of the first seed; what all seeds share stands here too."""
        return next(iter(self.manifest["seeds"].values()))

    @property
    def command(self) -> str:
        """The command line that runs it again."""
        return self.first["reproduce"]

    @property
    def weights(self) -> str:
        """Where the weights came from that training started with."""
        settings = self.first.get("settings", {})
        if settings.get("from_scratch"):
            return "trained by this run"
        if settings.get("checkpoint"):
            return f"released: {settings['checkpoint']}"
        shared = f"shipped ({self.first.get('weights_hash', 'hash not recorded')})"
        return f"{shared}, encoder {settings['encoder']}" if "encoder" in settings else shared

    def rows(self, *names: str) -> "pd.DataFrame":
        """These fields of every row; a field that no row has is left out. Raises RunError if they are unreadable."""
        from oryx.evidence.rows import read_published

        return read_published(self.folder / ROWS, names)

    @cached_property
    def by_seed(self) -> dict[str, dict[int, dict]]:
        """Hypothesis -> seed -> its verdict on the rows of that seed alone; empty where no rows are published."""
        return verdicts_by_seed(self)

    def verdict(self, name: str) -> dict | None:
        """The verdict on a hypothesis, None if this run has none."""
        return next((v for v in self.verdicts if v["id"] == name), None)

    @property
    def versions(self) -> str:
        """The version of torch that the run was made with."""
        packages = self.first.get("packages")
        return f"torch {packages['torch']}" if packages else "versions not recorded"

    @property
    def files(self) -> dict[str, Path]:
        """What it is called -> a published file; not every run has every file."""
        names = {"rows": ROWS, "table": "table.csv", "manifest": "manifest.json", "notebook": "notebook.ipynb"}
        return {what: self.folder / name for what, name in names.items()}

    def figures(self) -> list[Path]:
        """The published pictures, by name."""
        return sorted((self.folder / "figures").glob("*.png"))


def published(results: str | Path) -> list[Published]:
    """Every published run below ``results``, studies by name, the default run of a study first.

    Raises RunError naming a folder whose verdicts or manifest cannot be read.
    """
    found = []
    for path in sorted(Path(results).glob("*/*/verdicts.json"), key=lambda p: (p.parts[-3], p.parts[-2])):
        if path.parts[-3] == "runs" or path.parts[-2].startswith("."):
            continue
        try:
            manifest = json.loads((path.parent / "manifest.json").read_text())
            found.append(Published(path.parent, json.loads(path.read_text()), manifest))
        except (OSError, ValueError) as error:
            raise RunError(f"{path.parent}: not a whole published run ({error})") from error
    return found


@cache
def all_hypotheses() -> tuple[Hypothesis, ...]:
    """What the workbook's studies state, study by study."""
    return tuple(entry for path in HYPOTHESES for entry in load_hypotheses(path))


def verdicts_by_seed(run: Published) -> dict[str, dict[int, dict]]:
    """Hypothesis -> seed -> the verdict on that seed's rows; empty where the run has no rows or no hypotheses.

    Judging takes seconds a run, so what was found is kept in ``results/runs/cache`` under the sha256 of the rows, the
    hypotheses and the code that judges them; the file may be deleted at any time.
    """
    path = run.folder / ROWS
    chosen = [entry for entry in all_hypotheses() if entry.study == run.study]
    if not path.exists() or not chosen:
        return {}
    made_from = (path, *HYPOTHESES, Path(verdicts.__file__), Path(stats.__file__))
    key = hashlib.sha256(" ".join([run.scale, *map(sha256_file, made_from)]).encode()).hexdigest()
    kept = run.folder.parents[1] / "runs" / "cache" / f"verdicts-by-seed-{key[:16]}.json"
    with suppress(OSError, ValueError):
        return {name: {int(s): v for s, v in seeds.items()} for name, seeds in json.loads(kept.read_text()).items()}
    fields = sorted({name for entry in chosen for where in _filters(entry) for name in where} - set(READ))
    rows = run.rows(*READ, *fields)
    asked = {c for entry in chosen for where in _filters(entry) for c in _as_list(where.get("condition", "visual"))}
    found = judge_seeds(rows[rows["condition"].isin(asked)], run.study, run.scale, chosen)
    with suppress(RunError):  # a folder that cannot be written costs seconds, nothing else
        atomic_write_json(kept, found, indent=None)
    return found


def _filters(entry: Hypothesis) -> list[Mapping[str, object]]:
    return [entry.where, *([entry.gate.where] if entry.gate else [])]


def _as_list(value: object) -> list:
    return value if isinstance(value, list) else [value]


def direction(verdict: dict) -> str:
    """Which way the evidence points: ``as claimed``, ``against the claim``, ``unclear``, or why there is none."""
    text = verdict["verdict"].removeprefix("direction only: ")
    return {"supported": AS_CLAIMED, "contradicted": AGAINST, "inconclusive": "unclear"}.get(text, text)


def leaning(verdict: dict, hypothesis: Hypothesis | None) -> str:
    """The side of the point estimate alone, whatever its interval: ``+`` as claimed, ``-`` against, ``?`` none."""
    value = verdict["estimate"]
    if value is None or hypothesis is None:
        return "?"
    if hypothesis.kind == "equivalence":
        return "+" if abs(value) < hypothesis.margin else "-"
    limit = {"level": hypothesis.level, "retention": -hypothesis.margin}.get(hypothesis.kind, 0.0)
    return "+" if value > limit else "-"


@dataclass(frozen=True)
class Disagreement:
    """A hypothesis on which seeds of one run, or runs of different weights and settings, do not say the same."""

    id: str
    statement: str
    between: str
    said: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """Who says what, in words."""
        return "; ".join(f"{who}: {what}" for who, what in self.said)


def disagreements(runs: Sequence[Published]) -> list[Disagreement]:
    """Where verdicts differ between runs of one study and scale, and where estimates of seeds change sides.

    Runs that do not test a hypothesis do not count. Among seeds the side of the point estimate is compared, if the
    seeds lie further apart than the margin: below it a change of sign does not matter.
    """
    known = {entry.id: entry for entry in all_hypotheses()}
    found = []
    for run in runs:
        for name, seeds in run.by_seed.items():
            sides = {seed: leaning(verdict, known.get(name)) for seed, verdict in seeds.items()}
            values = [v["estimate"] for v in seeds.values() if v["estimate"] is not None]
            margin = known[name].margin if name in known else 0.0
            if {"+", "-"} <= set(sides.values()) and max(values) - min(values) > margin:
                said = tuple((f"seed {seed}", _said(verdict)) for seed, verdict in seeds.items())
                statement = next(iter(seeds.values()))["statement"]
                found.append(Disagreement(name, statement, f"seeds of {run.place}", said))
    for study, scale in sorted({(run.study, run.scale) for run in runs}):
        same = [run for run in runs if (run.study, run.scale) == (study, scale)]
        for name in dict.fromkeys(v["id"] for run in same for v in run.verdicts):
            said = [(run.variant, run.verdict(name)) for run in same]
            said = [(who, v) for who, v in said if v is not None and v["verdict"] != NOT_TESTED]
            if len({v["verdict"] for _, v in said}) > 1:
                words = tuple((who, f"{v['verdict']} {_said(v)}") for who, v in said)
                found.append(Disagreement(name, said[0][1]["statement"], f"runs of {study}", words))
    return found


def estimate_text(verdict: dict) -> str:
    """``+0.313 [+0.265, +0.362]`` (a level without signs), or nothing where there is no estimate."""
    if verdict["estimate"] is None:
        return ""
    if verdict.get("kind") == "level":
        return f"{verdict['estimate']:.3f} [{verdict['low']:.3f}, {verdict['high']:.3f}]"
    return f"{verdict['estimate']:+.3f} [{verdict['low']:+.3f}, {verdict['high']:+.3f}]"


def _said(verdict: dict) -> str:
    return estimate_text(verdict) or verdict["verdict"]
