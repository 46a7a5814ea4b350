"""``python -m oryx diff A B``: what changed between two runs in settings, inputs, versions, rows, scores and verdicts.

A and B are folders: published ones (``results/<study>/<variant>``), runs (``results/runs/...``) or one seed of a run.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oryx.errors import RunError, SettingsError

if TYPE_CHECKING:
    import pandas as pd

PAIR = ["arm", "condition", "item", "seed"]
"""What names an answer in both runs; the hashes in a row's identity differ by design."""
PACKED = "rows.parquet"
PASSED_OVER = ("seeds", "source", "jobs", "limit_minutes", "results", "processes")
"""Settings that change no numbers."""
INPUTS = ("weights_hash", "data_hash", "dtype", "attention", "decoder", "prompt", "questions")
SHOWN = 8


@dataclass(frozen=True)
class Side:
    """One of the two: its folder, and the manifest of every seed."""

    folder: Path
    manifests: dict[str, dict]

    @property
    def packed(self) -> bool:
        """Whether these are published rows, which keep four decimals."""
        return (self.folder / PACKED).exists()

    @property
    def first(self) -> dict:
        """The manifest of the first seed."""
        return next(iter(self.manifests.values()))

    @cached_property
    def rows(self) -> "pd.DataFrame":
        """All rows; raises RunError if they are unreadable or the run has none yet."""
        from oryx.evidence.rows import read_published, read_rows

        if self.packed:
            return read_published(self.folder / PACKED)
        files = sorted([*self.folder.glob("seed-*/arms/*/rows.jsonl"), *self.folder.glob("arms/*/rows.jsonl")])
        if not files:
            raise RunError(f"{self.folder}: no rows yet")
        return read_rows(files)

    @property
    def verdicts(self) -> dict[str, dict]:
        """Hypothesis -> verdict, empty for a run that is not finished, or one seed of it."""
        path = self.folder / "verdicts.json"
        return {v["id"]: v for v in json.loads(path.read_text())} if path.exists() else {}


def read_side(path: str | Path) -> Side:
    """The run in a folder (or beside a ``manifest.json``); raises SettingsError, saying what was expected, if none."""
    folder = Path(path)
    folder = folder.parent if folder.name == "manifest.json" else folder
    files = [folder / "manifest.json"] if (folder / "manifest.json").exists() else []
    files = files or sorted(folder.glob("seed-*/manifest.json"))
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
    return Side(folder, manifests)


def tell(a: Side, b: Side) -> str:
    """All differences, for people to read. Raises SettingsError for runs of two studies: their rows have no pairs."""
    if a.first["study"] != b.first["study"]:
        raise SettingsError(f"{a.first['study']} and {b.first['study']}: runs of two studies cannot be paired")
    lines = [f"{name}  {side.folder}: seeds {', '.join(side.manifests)}, {len(side.rows):,} rows" for name, side in
             (("A", a), ("B", b))]  # fmt: skip
    for title, found in made_from(a.first, b.first).items():
        lines.append(f"{title}: {'the same' if not found else ''}".rstrip())
        lines += [f"  {text}" for text in found]
    return "\n".join([*lines, *rows_told(paired(a, b)), *scores_told(a, b), *verdicts_told(a.verdicts, b.verdicts)])


def made_from(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[str]]:
    """What two manifests say differently: settings, inputs, versions, machine, code; one sentence a difference."""
    settings = [
        text
        for text in _changes(a.get("settings", {}), b.get("settings", {}))
        if text.partition(":")[0] not in PASSED_OVER
    ]
    versions = (
        {"python": a.get("python"), **a.get("packages", {})},
        {"python": b.get("python"), **b.get("packages", {})},
    )
    inputs = [{name: side.get(name) for name in INPUTS} for side in (a, b)]
    code = [{"commit": side.get("commit"), "uncommitted changes": side.get("dirty")} for side in (a, b)]
    return {
        "settings": settings,
        "weights, data and form": _changes(*inputs),
        "versions": _changes(*versions),
        "machine": _changes(a.get("hardware", {}), b.get("hardware", {})),
        "code": _changes(*code),
    }


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    names = list(dict.fromkeys([*a, *b]))
    return [f"{name}: {_value(a, name)} -> {_value(b, name)}" for name in names if a.get(name) != b.get(name)]


def _value(values: Mapping[str, Any], name: str) -> str:
    return json.dumps(values[name], ensure_ascii=False) if values.get(name) is not None else "not recorded"


@dataclass(frozen=True)
class Paired:
    """Rows of two runs put side by side: how many pairs, how many differ and in which fields, and what has no pair."""

    pairs: int
    differing: int
    fields: dict[str, int]
    only_a: int
    only_b: int
    examples: list[str]

    @property
    def same(self) -> bool:
        """Whether every row has a pair and nothing but timing differs."""
        return not (self.differing or self.only_a or self.only_b)


def paired(a: Side, b: Side) -> Paired:
    """Pairs rows by arm, condition, item and seed and compares every field but timing and hashes."""
    from oryx.evidence.rows import ROUNDED, TIMING

    seeds = set(a.rows["seed"]) & set(b.rows["seed"])
    frames = [side.rows[side.rows["seed"].isin(seeds)].set_index(PAIR) for side in (a, b)]
    both = frames[0].index.intersection(frames[1].index)
    left, right = (frame.loc[both] for frame in frames)
    hashes = ("settings_hash", "weights_hash", "data_hash", "schema", "study")
    names = [n for n in dict.fromkeys([*left, *right]) if n not in (*TIMING, *hashes) and "seconds" not in n]
    differ = {}
    for name in names:
        x, y = (_comparable(frame, name, both, a.packed or b.packed, ROUNDED) for frame in (left, right))
        unequal = ~((x == y) | (x.isna() & y.isna()))
        if unequal.any():
            differ[name] = unequal
    anywhere = sum(differ.values()) > 0 if differ else None
    examples = []
    for key in both[anywhere.to_numpy()][:SHOWN] if differ else []:
        what = ", ".join(f"{n} {_cell(left, n, key)} -> {_cell(right, n, key)}" for n, u in differ.items() if u[key])
        examples.append(f"{key[0]}, {key[1]}, {key[2]}, seed {key[3]}: {what}")
    counted = {name: int(unequal.sum()) for name, unequal in differ.items()}
    missing = [len(frame.index.difference(both)) for frame in frames]
    return Paired(len(both), int(anywhere.sum()) if differ else 0, counted, *missing, examples)


def _cell(frame: "pd.DataFrame", name: str, key: tuple) -> str:
    value = frame[name].get(key) if name in frame else None
    return repr(value.item() if hasattr(value, "item") else value)


def _comparable(frame: "pd.DataFrame", name: str, index: Any, packed: bool, rounded: Iterable[str]) -> "pd.Series":
    import pandas as pd

    if name not in frame:
        return pd.Series(None, index=index, dtype=object)
    column = frame[name]
    if column.dtype == float:
        return column.round(4) if packed and name in rounded else column
    # lists (sizes) cannot be compared as they are
    return column.map(lambda v: json.dumps(v) if isinstance(v, list | tuple) else v)


def rows_told(found: Paired) -> list[str]:
    """How the rows compare, in words."""
    lines = [
        f"rows: {found.pairs:,} pairs (arm, condition, item, seed), {found.pairs - found.differing:,} the same but for "
        f"timing, {found.differing:,} differ; without a pair: {found.only_a:,} of A, {found.only_b:,} of B"
    ]
    if found.fields:
        lines.append("  fields that differ: " + ", ".join(f"{name} {count:,}" for name, count in found.fields.items()))
    lines += [f"  {example}" for example in found.examples]
    if found.differing > len(found.examples):
        lines.append(f"  ... and {found.differing - len(found.examples):,} more")
    return lines


def scores_told(a: Side, b: Side) -> list[str]:
    """The cells (arm, condition, task) whose scores differ by more than sampling error."""
    from oryx.evidence.compare import TOLERANCE, compare

    table = compare(b.rows, a.rows)
    apart = table[~table["same"]]
    lines = [f"scores: {len(table) - len(apart)} of {len(table)} cells the same within tolerance ({TOLERANCE})"]
    lines += [
        f"  {c.arm}, {c.condition}, {c.task}: {c.published:.3f} -> {c.ours:.3f} (tolerance {c.tolerance:.3f})"
        for c in apart.itertuples()
    ]
    return lines


def verdicts_told(a: Mapping[str, dict], b: Mapping[str, dict]) -> list[str]:
    """The hypotheses whose verdicts differ."""
    if not (a and b):
        return ["verdicts: not both runs have any"]
    common = [name for name in a if name in b]
    apart = [name for name in common if a[name]["verdict"] != b[name]["verdict"]]
    lines = [f"verdicts: {len(common) - len(apart)} of {len(common)} the same"]
    return lines + [f"  {name}: {_verdict(a[name])} -> {_verdict(b[name])}" for name in apart]


def _verdict(verdict: dict) -> str:
    if verdict["estimate"] is None:
        return verdict["verdict"]
    return f"{verdict['verdict']} {verdict['estimate']:+.3f} [{verdict['low']:+.3f}, {verdict['high']:+.3f}]"
