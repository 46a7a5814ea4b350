"""From rows to verdicts, by hypotheses written down before any report run (``hypotheses.toml`` of a study).

One ``[[hypothesis]]`` has

========================  ==========================================================================================
id, study, paper          own id (``H1a.quarter.nano``), study id, id of the paper's claim (``H1a``)
statement                 the claim in words
scale                     the scale whose runs it judges; all, unless given. Smoke rehearses what is stated for nano
kind                      | ``difference``: first arm above the second
                          | ``equivalence``: the two arms differ by less than ``margin``
                          | ``order``: each arm above the one before it
                          | ``interaction``: first minus second arm is larger on ``tasks`` than on ``other_tasks``
                          | ``level``: the arm's score is above ``level``
                          | ``retention``: the arm's score on ``tasks`` is at most ``margin`` below ``other_tasks``
                          | ``contrast``: the sum of ``weights`` times the arms' scores is above 0 (main effects of a
                          | crossed design, interactions of arms)
arms, tasks               what is compared, on which tasks (each weighs the same)
other_tasks               for interaction and retention; refused elsewhere
level, weights            for level; for contrast, one number an arm; refused elsewhere
where                     row filters, field = value or list of values; ``condition = "visual"`` unless it says else
margin                    0.05 unless given: the size of a difference that matters
cluster                   the field that holds the unit of the intervals, ``cluster`` unless given
gate                      arms, tasks, where, above_chance (0.1): did they learn at all? Each arm's mean score must
                          exceed its mean chance by that much, in at least one seed
paper_value               the paper's number, "not found" unless given
========================  ==========================================================================================

Verdicts: ``supported`` (the interval lies wholly on the claimed side; equivalence: inside ±margin), ``contradicted``
(wholly on the other side; equivalence: wholly outside ±margin), ``inconclusive``, ``not learned`` (the gate failed),
``not tested`` (rows missing or over 1 % failed). With fewer than three seeds: ``direction only: as claimed | against
the claim | unclear``; of released weights, which no seed trains again, ``one model: ...``. Alpha is 0.05 / m for the m
hypotheses of a study; an order of k arms splits it over its k - 1 steps, reports the step with the smallest estimate,
and is contradicted by any step that goes down.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import BeforeValidator, Field, model_validator

from oryx.errors import InputError, RunError, SettingsError
from oryx.evidence.entries import Entry, Listed, Names, Text, read_entries
from oryx.evidence.schema import SCALES
from oryx.evidence.stats import LEAST_SEEDS, MOST_FAILED, Estimate, contrast, mean_score

ALPHA = 0.05
KINDS = {
    "difference": 2,
    "equivalence": 2,
    "order": None,
    "interaction": 2,
    "level": 1,
    "retention": 1,
    "contrast": None,
}
"""Kind -> its number of arms; None: two or more."""
VISUAL = {"condition": "visual"}
BY_SEED = ("verdict", "estimate", "low", "high")
"""What a verdict says of each seed alone."""
CLAIMED, AGAINST, UNCLEAR = "supported", "contradicted", "inconclusive"
ONE_MODEL = "one model"
DIRECTIONS = {CLAIMED: "as claimed", AGAINST: "against the claim", UNCLEAR: "unclear"}


def _visual_unless_it_says_else(value: object) -> object:
    return VISUAL | value if isinstance(value, dict) else value


Value = str | int | float | bool
Filter = Annotated[
    dict[str, Value | Annotated[list[Value], Field(min_length=1)]], BeforeValidator(_visual_unless_it_says_else)
]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Gate(Entry):
    """The easiest condition, on which every arm of a comparison must have left chance in some seed."""

    arms: Names
    tasks: Names
    where: Filter = VISUAL
    above_chance: Share = 0.1


class Hypothesis(Entry):
    """One entry of hypotheses.toml, checked; fields as at the top of this file."""

    id: Text
    study: Text
    paper: Text
    statement: Text
    scale: Literal[SCALES] | None = None
    kind: Literal[tuple(KINDS)]
    arms: Names
    tasks: Names
    other_tasks: Names = ()
    where: Filter = VISUAL
    margin: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.05
    level: Share | None = None
    weights: Annotated[tuple[Annotated[float, Field(allow_inf_nan=False)], ...], Listed] = ()
    cluster: Text = "cluster"
    gate: Gate | None = None
    paper_value: Text | int | float = "not found"

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "Hypothesis":
        count, kind = KINDS[self.kind], self.kind
        if len(self.arms) < 2 if count is None else len(self.arms) != count:
            raise ValueError(f"arms: {kind} needs {count or 'two or more'}, got {list(self.arms)}")
        owned = {"other_tasks": ("interaction", "retention"), "level": ("level",), "weights": ("contrast",)}
        for name, owners in owned.items():
            if (name in self.model_fields_set) != (kind in owners):
                word = "needs this field" if kind in owners else f"does not have it, only {' and '.join(owners)} do"
                raise ValueError(f"{name}: {kind} {word}")
        if kind == "contrast" and (len(self.weights) != len(self.arms) or not any(self.weights)):
            raise ValueError(f"weights: expected one for each of the arms, not all zero, got {list(self.weights)}")
        if shared := set(self.tasks) & set(self.other_tasks):
            raise ValueError(f"other_tasks: {sorted(shared)} are in tasks too")
        if (named := self.id.rpartition(".")[2]) in SCALES and named != self.scale:
            raise ValueError(f'id: ends in {named!r}, so expected scale = "{named}", got {self.scale!r}')
        return self


def load_hypotheses(path: str | Path) -> list[Hypothesis]:
    """The hypotheses of a file. Raises SettingsError naming the id and field of whatever is not as described above."""
    return read_entries(path, "hypothesis", Hypothesis)


def judge(
    rows: pd.DataFrame, study: str, scale: str, hypotheses: Sequence[Hypothesis], one_model: bool = False
) -> list[dict]:
    """The verdicts of a study's hypotheses on the rows of one run, in the order of the file; none if none is stated.

    ``one_model``: every arm is one model that no seed trains again, as released weights are. Each
    verdict has: id, paper, statement, scale, split, kind, verdict, estimate, low, high (None unless computed), alpha,
    n_items, n_clusters, seeds (numbers), direction_only, gate (text), reason, paper_value, and ``by_seed``: seed (as
    text) -> BY_SEED on its rows alone (a direction only), corrected as in the run.
    Seeds may differ in their weights (each trains its own from scratch); the rows of one seed may not.
    Raises RunError for rows of several splits, studies or runs, SettingsError for a study without hypotheses.
    """
    for name in ("study", "split", "settings_hash", "data_hash"):
        _check_same(rows, name, "")
    for seed, own in rows.groupby("seed"):
        _check_same(own, "weights_hash", f" in seed {seed}")
    verdicts = _judged(rows, study, scale, hypotheses)
    by_seed = {str(seed): _judged(own, study, scale, hypotheses) for seed, own in rows.groupby("seed")}
    if one_model:
        verdicts = [_of_one_model(verdict) for verdict in verdicts]
    return [
        verdict | {"by_seed": {seed: {name: own[i][name] for name in BY_SEED} for seed, own in by_seed.items()}}
        for i, verdict in enumerate(verdicts)
    ]


def _of_one_model(verdict: dict) -> dict:
    if not verdict["verdict"].startswith("direction only"):
        return verdict
    covered = f"the interval covers {verdict['n_clusters']} clusters of items, not another training"
    reason = "; ".join(filter(None, (verdict["reason"], covered)))
    return verdict | {"verdict": verdict["verdict"].replace("direction only", ONE_MODEL), "reason": reason}


def _judged(rows: pd.DataFrame, study: str, scale: str, hypotheses: Sequence[Hypothesis]) -> list[dict]:
    of_study = [entry for entry in hypotheses if entry.study == study]
    if not of_study:
        raise SettingsError(f"study {study!r} has no hypotheses")
    chosen = [entry for entry in of_study if entry.scale in (None, "nano" if scale == "smoke" else scale)]
    same = {"scale": scale, "split": rows["split"].iloc[0] if len(rows) else None}
    return [
        {"id": entry.id, "paper": entry.paper, "statement": entry.statement, **same, "kind": entry.kind}
        | _verdict(rows, entry, ALPHA / len(chosen))
        | {"paper_value": entry.paper_value}
        for entry in chosen
    ]


def _check_same(rows: pd.DataFrame, name: str, where: str) -> None:
    if (count := rows[name].nunique()) > 1:
        raise RunError(
            f"rows of {count} different {name}{where} ({sorted(rows[name].unique())}): judge one run at a time"
        )


def _verdict(rows: pd.DataFrame, entry: Hypothesis, alpha: float) -> dict:
    # All seeds of the run, not of the filtered rows: a seed that an arm lacks is missing, never dropped.
    seeds = sorted(rows["seed"].unique().tolist())
    result = {"verdict": "not tested", "estimate": None, "low": None, "high": None, "alpha": alpha, "n_items": 0}
    result |= {"n_clusters": 0, "seeds": len(seeds), "direction_only": 0 < len(seeds) < LEAST_SEEDS}
    result |= {"gate": "not reached", "reason": ""}
    try:
        used = _filtered(rows, entry.where)
        _check_complete(used, entry.arms, (*entry.tasks, *entry.other_tasks), seeds)
        passed, result["gate"] = _gate(rows, entry.gate, seeds)
        if not passed:
            return result | {"verdict": "not learned", "reason": f"gate {result['gate']}"}
        found, side, reason = _tested(used, entry, alpha)
    except InputError as error:
        return result | {"reason": str(error)}
    verdict = f"direction only: {DIRECTIONS[side]}" if result["direction_only"] else side
    numbers = {"estimate": found.value, "low": found.low, "high": found.high}
    counts = {"n_items": found.n_items, "n_clusters": found.n_clusters}
    return result | numbers | counts | {"verdict": verdict, "reason": reason}


def _tested(rows: pd.DataFrame, entry: Hypothesis, alpha: float) -> tuple[Estimate, str, str]:
    """(estimate, side, remark) of one hypothesis on its filtered rows."""
    if entry.kind == "order":
        return _order(rows, entry, alpha)
    if entry.kind == "level":
        found = mean_score(rows, entry.arms[0], entry.cluster, alpha, entry.tasks)
        return found, _side(found, entry.level), ""
    weights = [(arm, entry.tasks, w) for arm, w in zip(entry.arms, entry.weights or (1.0, -1.0), strict=False)]
    if entry.other_tasks:
        weights += [(arm, entry.other_tasks, -w) for arm, _, w in weights]
    found = contrast(rows, weights, entry.cluster, alpha)
    if entry.kind == "retention":
        return found, _side(found, -entry.margin), f"may be lower by {entry.margin:g}"
    inside = -entry.margin < found.low and found.high < entry.margin
    if entry.kind == "equivalence":
        outside = found.low > entry.margin or found.high < -entry.margin
        return found, CLAIMED if inside else AGAINST if outside else UNCLEAR, ""
    return found, _side(found), f"smaller than the margin of {entry.margin:g} either way" if inside else ""


def _order(rows: pd.DataFrame, entry: Hypothesis, alpha: float) -> tuple[Estimate, str, str]:
    pairs = list(pairwise(entry.arms))
    steps = [
        contrast(rows, [(high, entry.tasks, 1.0), (low, entry.tasks, -1.0)], entry.cluster, alpha / len(pairs))
        for low, high in pairs
    ]
    sides = {_side(step) for step in steps}
    side = AGAINST if AGAINST in sides else CLAIMED if sides == {CLAIMED} else UNCLEAR
    texts = [
        f"{low} to {high} {step.value:+.3f} [{step.low:+.3f}, {step.high:+.3f}]"
        for (low, high), step in zip(pairs, steps, strict=True)
    ]
    return min(steps, key=lambda step: step.value), side, f"steps at alpha/{len(pairs)}: {'; '.join(texts)}"


def _side(found: Estimate, level: float = 0.0) -> str:
    if found.low > level:
        return CLAIMED
    return AGAINST if found.high < level else UNCLEAR


def _check_complete(rows: pd.DataFrame, arms: Sequence[str], tasks: Sequence[str], seeds: Sequence[int]) -> None:
    """Raises InputError, the reason of "not tested", if an arm lacks a task or seed or too many of its items failed.

    Every arm is expected to have answered, in every seed, each item that any arm has on these tasks.
    """
    items = rows.loc[rows["task"].isin(tasks), ["task", "item"]].drop_duplicates()
    expected = len(items) * len(seeds)
    for arm in arms:
        own = rows[rows["arm"] == arm]
        if own.empty:
            raise InputError(f"arm {arm} has no rows")
        for task in tasks:
            if lacking := sorted(set(seeds) - set(own.loc[own["task"] == task, "seed"])):
                raise InputError(f"arm {arm} has no rows of task {task}, seeds {', '.join(map(str, lacking))}")
        answered = own["task"].isin(tasks) & own["error"].isna()
        share = (expected - int(answered.sum())) / expected
        if share > MOST_FAILED:
            raise InputError(f"{share:.1%} of the answers of arm {arm} failed or are missing, at most 1 % may")


def _gate(rows: pd.DataFrame, gate: Gate | None, seeds: Sequence[int]) -> tuple[bool, str]:
    """Whether every arm of the gate is above chance by more than asked in its best seed, and that in words."""
    if gate is None:
        return True, "none"
    used = _filtered(rows, gate.where)
    _check_complete(used, gate.arms, gate.tasks, seeds)
    used = used[used["arm"].isin(gate.arms) & used["task"].isin(gate.tasks) & used["error"].isna()]
    by_task = (used["score"] - used["chance"]).groupby([used["arm"], used["seed"], used["task"]]).mean()
    best = by_task.groupby(["arm", "seed"]).mean().groupby("arm").max()
    passed = bool((best > gate.above_chance).all())
    texts = ", ".join(f"{arm} {best[arm]:+.3f}" for arm in gate.arms)
    word = "passed" if passed else "failed"
    return passed, f"{word}: above chance in the best seed {texts}; asked more than {gate.above_chance:g}"


def _filtered(rows: pd.DataFrame, where: Mapping[str, object]) -> pd.DataFrame:
    for name, wanted in where.items():
        if name not in rows:
            raise InputError(f"rows have no field {name!r}")
        rows = rows[rows[name].isin(wanted if isinstance(wanted, list) else [wanted])]
    return rows
