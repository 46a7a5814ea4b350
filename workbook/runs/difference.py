"""``python -m oryx diff A B``: what changed between two runs in settings, inputs, versions, rows, scores and verdicts.

A and B are folders: published ones (``results/<study>/<variant>``), runs (``results/runs/...``) or one seed of a run.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from oryx.errors import RunError, SettingsError
from oryx.evidence.compare import TOLERANCE, compare
from oryx.evidence.rows import ROUNDED, read_published, read_rows
from oryx.evidence.schema import TIMING, published_rows

PAIR = ["arm", "condition", "item", "seed"]
"""What names an answer in both runs; the hashes in a row's identity differ by design."""
HASHES = ("settings_hash", "weights_hash", "data_hash", "schema", "study")
PASSED_OVER = ("seeds", "source", "jobs", "limit_minutes", "results", "processes")
"""Settings that change no numbers."""
INPUTS = ("weights_hash", "data_hash", "dtype", "precision", "attention", "decoder", "prompt", "questions")
SHOWN = 8


@dataclass(frozen=True)
class Side:
    """One of the two: its folder, and the manifest of every seed; rows of other seeds are passed over."""

    folder: Path
    manifests: dict[str, dict]

    @property
    def first(self) -> dict:
        """The manifest of the first seed."""
        return next(iter(self.manifests.values()))

    @cached_property
    def rows(self) -> pd.DataFrame:
        """All rows; raises RunError if they are unreadable or the run has none yet."""
        if file := published_rows(self.folder):
            rows = read_published(file)
            return rows[rows["seed"].astype(str).isin(self.manifests)]
        files = sorted([*self.folder.glob("seed-*/arms/*/rows.jsonl"), *self.folder.glob("arms/*/rows.jsonl")])
        if not files:
            raise RunError(f"{self.folder}: no rows yet")
        return read_rows(files)

    @property
    def verdicts(self) -> dict[str, dict]:
        """Hypothesis -> verdict, empty for a run that is not finished, or one seed of it."""
        path = self.folder / "verdicts.json"
        return {v["id"]: v for v in json.loads(path.read_text())} if path.exists() else {}


def read_side(path: str | Path, seeds: Sequence[int] | None = None) -> Side:
    """The run in a folder (or beside a ``manifest.json``), or some ``seeds`` of it.

    Raises SettingsError, saying what was expected, if there is none, or if it has not these seeds.
    """
    folder = Path(path)
    folder = folder.parent if folder.name == "manifest.json" else folder
    own = folder / "manifest.json"
    files = [own] if own.exists() else sorted(folder.glob("seed-*/manifest.json"))
    if not files:
        raise SettingsError(
            f"{path}: expected a published folder, a run's folder or one of its seed-N folders; no manifest.json there"
        )
    manifests: dict[str, dict] = {}
    for file in files:
        try:
            content = json.loads(file.read_text())
            manifests |= content["seeds"] if "seeds" in content else {str(content["seed"]): content}
        except (OSError, ValueError, KeyError) as error:
            raise RunError(f"{file}: not a manifest ({type(error).__name__}: {error})") from error
    if lacking := [seed for seed in seeds or () if str(seed) not in manifests]:
        raise SettingsError(f"{path}: expected some of the seeds {', '.join(manifests)}, got {lacking[0]}")
    chosen = map(str, seeds) if seeds else manifests
    return Side(folder, {seed: manifests[seed] for seed in chosen})


def described(a: Side, b: Side) -> str:
    """All differences, for people to read. Raises SettingsError for runs of two studies: their rows have no pairs."""
    if a.first["study"] != b.first["study"]:
        raise SettingsError(f"{a.first['study']} and {b.first['study']}: runs of two studies cannot be paired")
    heads = [
        f"{name}  {side.folder}: seeds {', '.join(side.manifests)}, {len(side.rows):,} rows"
        for name, side in (("A", a), ("B", b))
    ]
    changed = made_from(a.first, b.first)
    same = [] if len(changed) else ["settings, inputs, versions, machine and code: the same"]
    return "\n".join([*heads, *same, *_table(changed), *compared(a, b), *verdicts_compared(a.verdicts, b.verdicts)])


def made_from(a: Mapping[str, Any], b: Mapping[str, Any]) -> pd.DataFrame:
    """What two manifests say differently, a line each: what (settings, inputs, ...), name, A, B."""

    def parts(manifest: Mapping[str, Any]) -> dict[str, Mapping]:
        settings = {n: v for n, v in manifest.get("settings", {}).items() if n not in PASSED_OVER}
        versions = {"python": manifest.get("python"), **manifest.get("packages", {})}
        inputs, code = ({name: manifest.get(name) for name in names} for names in (INPUTS, ("commit", "dirty")))
        hardware = manifest.get("hardware", {})
        return {"settings": settings, "inputs": inputs, "versions": versions, "machine": hardware, "code": code}

    ours, theirs = parts(a), parts(b)
    lines = [
        (what, name, ours[what].get(name, "not recorded"), theirs[what].get(name, "not recorded"))
        for what in ours
        for name in dict.fromkeys([*ours[what], *theirs[what]])
        if ours[what].get(name) != theirs[what].get(name)
    ]
    return pd.DataFrame(lines, columns=["what", "name", "A", "B"])


def differing_rows(a: Side, b: Side) -> tuple[pd.DataFrame, int, list[int]]:
    """The cells of rows of both that differ, how many pairs of rows there are, and how many rows of each have none.

    Rows pair by arm, condition, item and seed; timing and hashes do not count. The frame has the index of PAIR and
    columns (field, "A" or "B"), both missing where a row's field is the same.
    """
    seeds = set(a.rows["seed"]) & set(b.rows["seed"])
    frames = []
    for side in (a, b):
        rows = side.rows[side.rows["seed"].isin(seeds)].set_index(PAIR)
        rows = rows[[n for n in rows if n not in (*TIMING, *HASHES) and "seconds" not in n]]
        rows = rows.round(ROUNDED)  # as published rows keep them
        frames.append(rows.map(lambda value: json.dumps(value) if isinstance(value, list) else value))
    both = frames[0].index.intersection(frames[1].index)
    names = list(dict.fromkeys([*frames[0], *frames[1]]))
    left, right = (frame.loc[both].reindex(columns=names).astype(object) for frame in frames)
    without = [len(frame.index.difference(both)) for frame in frames]
    return left.compare(right, result_names=("A", "B")), len(both), without


def compared(a: Side, b: Side) -> Iterator[str]:
    """How rows and scores compare: counts, the first cells that differ, the scores outside the tolerance."""
    cells, pairs, (only_a, only_b) = differing_rows(a, b)
    yield (
        f"rows: {pairs:,} pairs (arm, condition, item, seed), {pairs - len(cells):,} the same but for timing, "
        f"{len(cells):,} differ; without a pair: {only_a:,} of A, {only_b:,} of B"
    )
    if len(cells):
        counts = cells.notna().T.groupby(level=0, sort=False).any().sum(axis=1)
        yield from _table(counts[counts > 0].rename("rows that differ").rename_axis("field").reset_index())
        first = cells.head(SHOWN).stack(level=0, future_stack=True).dropna(how="all")
        yield from _table(first.rename_axis([*PAIR, "field"]).reset_index())
    elif not (only_a or only_b):
        yield "  identical, timing aside"
    table = scores(a, b)
    yield f"scores: {int(table['same'].sum())} of {len(table)} cells the same within tolerance ({TOLERANCE})"
    apart = table[~table["same"]].rename(columns={"published": "A", "ours": "B"})
    yield from _table(apart[["arm", "condition", "task", "A", "B", "tolerance"]].round(3))


def scores(a: Side, b: Side) -> pd.DataFrame:
    """The cells of both with their tolerance, over the seeds that both have (:func:`oryx.evidence.compare.compare`)."""
    seeds = set(a.rows["seed"]) & set(b.rows["seed"])
    return compare(b.rows[b.rows["seed"].isin(seeds)], a.rows[a.rows["seed"].isin(seeds)])


def verdicts_compared(ours: Mapping[str, Mapping], theirs: Mapping[str, Mapping]) -> Iterator[str]:
    """How many verdicts (by hypothesis) are the same, and those that differ."""
    if not (ours and theirs):
        yield "verdicts: not both runs have any"
        return
    common = [name for name in ours if name in theirs]
    columns = ["verdict", "estimate", "low", "high"]
    apart = [
        {"hypothesis": name, "run": run, **{column: verdicts[name][column] for column in columns}}
        for name in common
        if ours[name]["verdict"] != theirs[name]["verdict"]
        for run, verdicts in (("A", ours), ("B", theirs))
    ]
    yield f"verdicts: {len(common) - len(apart) // 2} of {len(common)} the same"
    yield from _table(pd.DataFrame(apart))


def _table(frame: pd.DataFrame) -> list[str]:
    return [f"  {line}" for line in frame.to_string(index=False).splitlines()] if len(frame) else []
