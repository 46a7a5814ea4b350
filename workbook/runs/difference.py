"""``python -m oryx diff A B``: what changed between two runs in settings, inputs, versions, rows, scores and verdicts.

A and B are folders: published ones (``results/<study>/<variant>``), runs (``results/runs/...``) or one seed of a run.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from oryx.errors import RunError, SettingsError
from oryx.evidence.rows import ROUNDED, read_published, read_rows
from oryx.evidence.schema import TIMING, published_rows
from workbook.runs.compare import TOLERANCE, by_chance, compare

PAIR = ["arm", "condition", "item", "seed"]
"""What names an answer in both runs; the hashes in a row's identity differ by design."""
HASHES = ("settings_hash", "weights_hash", "data_hash", "schema", "study")
COMPARED = (
    *("settings", "settings_hash", "weights_hash", "data_hash", "dtype", "precision", "attention", "decoder", "prompt"),
    *("questions", "python", "packages", "hardware", "commit", "dirty"),
)
"""What of two manifests is compared, but for settings that change no numbers."""
JUDGED = ["verdict", "estimate", "low", "high"]
"""What of two verdicts is compared."""
PASSED_OVER = [f"settings.{name}" for name in ("seeds", "source", "jobs", "limit_minutes", "results", "processes")]


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
    def verdicts(self) -> list[dict]:
        """Its verdicts, none for a run that is not finished, or one seed of it."""
        path = self.folder / "verdicts.json"
        try:
            found = _read(path) if path.exists() else []
            if len({one["id"] for one in found}) < len(found):
                raise ValueError("an id stands there twice")
            if not all(isinstance(one["verdict"], str) and set(JUDGED) <= set(one) for one in found):
                raise ValueError(f"a verdict is a text, with {', '.join(JUDGED[1:])}")
            return found
        except (ValueError, TypeError, KeyError) as error:
            raise RunError(f"{path}: not a list of verdicts ({error!r})") from error


def read_side(path: str | Path, seeds: Sequence[str] | None = None) -> Side:
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
            content = _read(file)
            found = content["seeds"] if "seeds" in content else {str(content["seed"]): content}
            if not all(isinstance(one, dict) and isinstance(one["study"], str) for one in found.values()):
                raise ValueError("expected an object for every seed, with the study's name")
            manifests |= found
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{file}: not a manifest ({type(error).__name__}: {error})") from error
    if lacking := [seed for seed in seeds or () if seed not in manifests]:
        raise SettingsError(f"{path}: expected some of the seeds {', '.join(manifests)}, got {lacking[0]}")
    return Side(folder, {seed: manifests[seed] for seed in seeds or manifests})


def _read(file: Path) -> Any:
    """Of a file of json; ValueError also for halves of characters, which json can state and tables cannot hold."""
    content = json.loads(file.read_text())
    json.dumps(content, ensure_ascii=False).encode()
    return content


def described(a: Side, b: Side) -> str:
    """All differences, for people to read. Raises SettingsError for runs of two studies: their rows have no pairs."""
    _same_study(a, b)
    heads = [f"{s.folder}: seeds {', '.join(s.manifests)}, {len(s.rows):,} rows" for s in (a, b)]
    made = _table(made_from(a.first, b.first)) or ["settings, inputs, versions, machine and code: the same"]
    rows, _ = compared(a, b)
    return "\n".join([f"A  {heads[0]}", f"B  {heads[1]}", *made, *rows, *verdicts_compared(a.verdicts, b.verdicts)])


def differences(a: Side, b: Side) -> dict[str, Any]:
    """The same for programs, as plain data: what the runs were made from, counts of rows, every score, verdicts.

    Raises SettingsError for runs of two studies.
    """
    _same_study(a, b)
    counts, _, scores = _paired(a, b)
    found = {"made_from": made_from(a.first, b.first), "scores": scores.rename(columns={"published": "A", "ours": "B"})}
    sides = {name: {"folder": str(s.folder), "seeds": list(s.manifests)} for name, s in (("A", a), ("B", b))}
    plain = {name: json.loads(frame.to_json(orient="records")) for name, frame in found.items()}
    return sides | plain | {"rows": counts, "verdicts": {"A": a.verdicts, "B": b.verdicts}}


def _same_study(a: Side, b: Side) -> None:
    if a.first["study"] != b.first["study"]:
        raise SettingsError(f"{a.first['study']} and {b.first['study']}: runs of two studies cannot be paired")


def made_from(a: Mapping[str, Any], b: Mapping[str, Any]) -> pd.DataFrame:
    """What two manifests say differently of settings, inputs, versions, machine and code, a line each: what, A, B."""
    flat = [pd.json_normalize({name: manifest.get(name) for name in COMPARED}) for manifest in (a, b)]
    both = pd.concat(flat, keys=["A", "B"]).droplevel(1).T.drop(index=PASSED_OVER, errors="ignore").astype(object)
    both = both.where(both.notna(), "not recorded").rename_axis("what").reset_index()
    return both[[ours != theirs for ours, theirs in zip(both["A"], both["B"], strict=True)]]


def compared(a: Side, b: Side) -> tuple[list[str], pd.DataFrame]:
    """How rows and scores compare over the seeds of both, in words: counts, the first cells that differ, the scores
    outside the tolerance; and every score (:func:`workbook.runs.compare.compare`).

    Rows pair by arm, condition, item and seed; timing and hashes do not count.
    """
    counts, cells, scores = _paired(a, b)
    same = counts["pairs"] - counts["differing"]
    lines = [
        "rows: {pairs:,} pairs (arm, condition, item, seed), {same:,} the same but for timing, {differing:,} differ; "
        "without a pair: {only_a:,} of A, {only_b:,} of B".format(same=same, **counts)
    ]
    if len(cells):
        changed = cells.stack(level=0, future_stack=True).dropna(how="all").rename_axis([*PAIR, "field"]).reset_index()
        lines += _table(changed["field"].value_counts().rename("rows that differ").reset_index())
        lines += _table(changed.head(8))
    elif not (counts["only_a"] or counts["only_b"]):
        lines.append("  identical, timing aside")
    lines.append(f"scores: {scores['same'].sum()} of {len(scores)} cells the same within tolerance ({TOLERANCE}); "
                 f"{by_chance(scores)}")  # fmt: skip
    apart = scores[~scores["same"]].rename(columns={"published": "A", "ours": "B"})
    return [*lines, *_table(apart[["arm", "condition", "task", "A", "B", "tolerance"]].round(3))], scores


def _paired(a: Side, b: Side) -> tuple[dict[str, int], pd.DataFrame, pd.DataFrame]:
    """Counts of rows, the cells of pairs that differ (A beside B), and every score."""
    seeds = set(a.rows["seed"]) & set(b.rows["seed"])
    ours, theirs = (side.rows[side.rows["seed"].isin(seeds)] for side in (a, b))
    frames = []
    for rows in (ours, theirs):
        rows = rows.set_index(PAIR).drop(columns=[*TIMING, *HASHES], errors="ignore").filter(regex="^(?!.*seconds)")
        frames.append(rows.map(lambda value: json.dumps(value) if isinstance(value, list) else value))
    pairs = frames[0].index.intersection(frames[1].index)
    names = list(dict.fromkeys([*frames[0], *frames[1]]))
    left, right = (frame.loc[pairs].reindex(columns=names).astype(object) for frame in frames)
    for name in {*ROUNDED} & {*names}:  # published rows are rounded: one unit of the last digit is no difference
        right[name] = right[name].mask((left[name] - right[name]).abs() < 1.01 * 10.0 ** -ROUNDED[name], left[name])
    cells = left.compare(right, result_names=("A", "B"))
    only_a, only_b = (len(frame.index.difference(pairs)) for frame in frames)
    counts = {"pairs": len(pairs), "differing": len(cells), "only_a": only_a, "only_b": only_b}
    return counts, cells, compare(theirs, ours)


def verdicts_compared(ours: Sequence[Mapping], theirs: Sequence[Mapping]) -> list[str]:
    """How many verdicts are the same, and those that differ."""
    if not (ours and theirs):
        return ["verdicts: not both runs have any"]
    frames = {side: pd.DataFrame(found).set_index("id")[JUDGED] for side, found in (("A", ours), ("B", theirs))}
    both = pd.concat(frames, axis=1, join="inner")
    apart = both[both["A", "verdict"] != both["B", "verdict"]].stack(level=0, future_stack=True).reset_index()
    return [f"verdicts: {len(both) - len(apart) // 2} of {len(both)} the same", *_table(apart)]


def _table(frame: pd.DataFrame) -> list[str]:
    return [f"  {line}" for line in frame.to_string(index=False).splitlines()] if len(frame) else []
