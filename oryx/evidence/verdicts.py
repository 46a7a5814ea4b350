"""From rows to verdicts, by what a study stated before (:mod:`oryx.evidence.hypotheses`).

==============================  ====================================================================================
``no difference that matters``  the interval lies inside the margin, whether or not it holds zero
``supported``                   else, it lies wholly on the claimed side (equivalence: inside the margin)
``contradicted``                else, wholly on the other side (equivalence: wholly outside the margin)
``inconclusive``                all else: the run cannot tell
``not learned``                 the gate failed
``not tested``                  rows missing, or over 1 % failed
==============================  ====================================================================================

That two arms are alike (equivalence supported, no difference that matters) is said only if both learned every task of
it: above chance by LEARNED, by the mean over seeds. Two arms on the floor are alike and show nothing.

With fewer than three seeds a verdict is ``direction only:`` and ``as claimed``, ``against the claim``, ``alike on these
items`` or ``unclear``; of released weights, which no seed trains again, ``one model:`` and the same.

**Several hypotheses.** A study's claims of the paper are one family, its additions and controls a second one; each has
alpha = 0.05 divided by the number of its hypotheses at this scale. An order of k arms splits it over its k - 1 steps,
reports the step with the smallest estimate, and is contradicted by any step that goes down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise

import pandas as pd

from oryx.errors import InputError, RunError, SettingsError
from oryx.evidence.hypotheses import Hypothesis
from oryx.evidence.power import Design
from oryx.evidence.stats import LEAST_SEEDS, MOST_FAILED, Estimate, contrast, mean_score

ALPHA = 0.05
LEARNED = 0.1
"""How far above chance a task must be answered to count as learned."""
LEAST_LOGPROB = -20.0
BY_SEED = ("verdict", "estimate", "low", "high")
"""What a verdict says of each seed alone, and of each task alone."""
CLAIMED, AGAINST, ALIKE, UNCLEAR = "supported", "contradicted", "no difference that matters", "inconclusive"
ONE_MODEL = "one model"
FLOOR = "inside the margin of"
"""How the reason begins of arms that are alike and have not learned."""
DIRECTIONS = {CLAIMED: "as claimed", AGAINST: "against the claim", ALIKE: "alike on these items", UNCLEAR: "unclear"}


def judge(
    rows: pd.DataFrame, study: str, scale: str, hypotheses: Sequence[Hypothesis], one_model: bool = False
) -> list[dict]:
    """The verdicts of a study's hypotheses on the rows of one run, in the order of the file; none if none is stated.

    ``one_model``: every arm is one model that no seed trains again, as released weights are.

    Each verdict has: id, paper, statement, scale, split, kind, family, measure, margin, level, verdict, estimate, low,
    high (None unless computed), alpha, n_items, n_clusters, seeds (numbers), starts (how many different weights the
    arms of the seeds start from), direction_only, gate (text), reason, paper_value. Where several seeds were judged:
    ``smallest_effect`` (what such a run finds in four of five tries), ``seeds_needed`` (None: more seeds alone do not
    decide it), and what these come from: ``design`` and ``needs`` (:class:`oryx.evidence.power.Design`).
    ``by_task``: task -> BY_SEED on this task alone, its alpha divided by the number of tasks, where there are several.
    ``by_seed``: seed (as text) -> BY_SEED on its rows alone (a direction only), corrected as in the run.

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
    described = ("kind", "family", "measure", "margin", "level")
    return [
        {"id": entry.id, "paper": entry.paper, "statement": entry.statement, **same}
        | {name: getattr(entry, name) for name in described}
        | _verdict(rows, entry, ALPHA / sum(entry.family == other.family for other in chosen))
        | {"paper_value": entry.paper_value}
        for entry in chosen
    ]


def _check_same(rows: pd.DataFrame, name: str, where: str) -> None:
    if len(found := sorted(rows[name].unique())) > 1:
        raise RunError(f"rows of {len(found)} different {name}{where} ({found}): judge one run at a time")


def _verdict(rows: pd.DataFrame, entry: Hypothesis, alpha: float) -> dict:
    # All seeds of the run, not of the filtered rows: a seed that an arm lacks is missing, never dropped.
    seeds = sorted(rows["seed"].unique().tolist())
    result = {"verdict": "not tested", "estimate": None, "low": None, "high": None, "alpha": alpha, "n_items": 0}
    result |= {"n_clusters": 0, "seeds": len(seeds), "starts": rows["weights_hash"].nunique()}
    result |= {"direction_only": 0 < len(seeds) < LEAST_SEEDS, "gate": "not reached", "reason": ""}
    try:
        used, seeds = _used(rows, entry, seeds)
        passed, result["gate"] = _gate(rows, entry, seeds)
        if not passed:
            return result | {"verdict": "not learned", "reason": f"gate {result['gate']}"}
        found, side, reason = _tested(used, entry, alpha)
        by_task = _by_task(used, entry, alpha)
    except InputError as error:
        return result | {"reason": str(error)}
    verdict = f"direction only: {DIRECTIONS[side]}" if result["direction_only"] else side
    result |= {"estimate": found.value, "low": found.low, "high": found.high, "verdict": verdict, "reason": reason}
    result |= {"n_items": found.n_items, "n_clusters": found.n_clusters, "by_task": by_task}
    if found.parts is None:
        return result
    claimed = {"level": entry.level, "retention": -entry.margin}.get(entry.kind, 0.0)
    # What was not learned is not decided by being alike, whatever the number of seeds.
    no_margin = entry.kind in ("level", "retention") or reason.startswith(FLOOR)
    margin = None if no_margin else entry.margin
    design, effect = Design(list(found.parts), found.n_clusters, alpha), found.value - claimed
    line = entry.margin if entry.kind == "equivalence" else 0.0
    result |= {"design": asdict(design), "needs": {"effect": effect, "margin": margin, "line": line}}
    result |= {"smallest_effect": design.smallest_effect(found.n_seeds)}
    return result | {"seeds_needed": design.seeds_to_decide(**result["needs"])}


def _used(rows: pd.DataFrame, entry: Hypothesis, seeds: list[int]) -> tuple[pd.DataFrame, list[int]]:
    """The rows that a hypothesis speaks of, their score being its measure, and the seeds it is judged on."""
    tasks = (*entry.tasks, *entry.other_tasks)
    used = _filtered(_addressed(rows, entry.arms), entry.where)
    if entry.hard_for:
        first, seeds = seeds[: len(seeds) // 2], seeds[len(seeds) // 2 :]
        of_filter = used[(used["arm"] == entry.hard_for) & used["seed"].isin(first) & used["task"].isin(tasks)]
        wrong = of_filter.groupby("item")["score"].mean() < 0.5
        used = used[used["item"].isin(wrong.index[wrong]) & used["seed"].isin(seeds)]
    _check_complete(used, entry.arms, tasks, seeds)
    if entry.measure == "logprob":
        right = used["logprob"].clip(lower=LEAST_LOGPROB)
        if used.loc[used["error"].isna(), "logprob"].isna().any():
            raise InputError("rows without a log-likelihood of the true answer")
        used = used.assign(exact=used["score"], score=right)
    return used, seeds


def _addressed(rows: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Rows with those of every ``ARM@CONDITION`` among ``arms`` once more, under that name, as visual ones."""
    found = [rows]
    for name in arms:
        arm, asked, condition = name.partition("@")
        if asked:
            own = rows[(rows["arm"] == arm) & (rows["condition"] == condition)]
            found.append(own.assign(arm=name, condition="visual"))
    return pd.concat(found) if len(found) > 1 else rows


def _tested(rows: pd.DataFrame, entry: Hypothesis, alpha: float) -> tuple[Estimate, str, str]:
    """(estimate, side, remark) of one hypothesis on its filtered rows."""
    if entry.kind == "level":
        found = mean_score(rows, entry.arms[0], entry.cluster, alpha, entry.tasks)
        return found, _side(found, entry.level), ""
    if entry.kind == "order":
        found, side, reason = _order(rows, entry, alpha)
    else:
        weights = [(arm, entry.tasks, w) for arm, w in zip(entry.arms, entry.weights or (1.0, -1.0), strict=False)]
        if entry.other_tasks:
            weights += [(arm, entry.other_tasks, -w) for arm, _, w in weights]
        found = contrast(rows, weights, entry.cluster, alpha)
        if entry.kind == "retention":
            return found, _side(found, -entry.margin), f"may be lower by {entry.margin:g}"
        inside = -entry.margin < found.low and found.high < entry.margin
        side, reason = _side(found), ""
        if entry.kind == "equivalence":
            outside = found.low > entry.margin or found.high < -entry.margin
            side = CLAIMED if inside else AGAINST if outside else UNCLEAR
        elif inside:
            side = ALIKE
    if side == ALIKE or (entry.kind, side) == ("equivalence", CLAIMED):
        weak = _not_learned(rows, entry.arms, (*entry.tasks, *entry.other_tasks), LEARNED)
        if weak:
            side = UNCLEAR if entry.kind in ("equivalence", "order") else _side(found)
            return found, side, f"{FLOOR} {entry.margin:g}, but not learned: {', '.join(weak)}"
    return found, side, reason


def _order(rows: pd.DataFrame, entry: Hypothesis, alpha: float) -> tuple[Estimate, str, str]:
    pairs = list(pairwise(entry.arms))
    steps = [
        contrast(rows, [(high, entry.tasks, 1.0), (low, entry.tasks, -1.0)], entry.cluster, alpha / len(pairs))
        for low, high in pairs
    ]
    sides = {_side(step) for step in steps}
    side = AGAINST if AGAINST in sides else CLAIMED if sides == {CLAIMED} else UNCLEAR
    if all(-entry.margin < step.low and step.high < entry.margin for step in steps):
        side = ALIKE
    texts = [
        f"{low} to {high} {step.value:+.3f} [{step.low:+.3f}, {step.high:+.3f}]"
        for (low, high), step in zip(pairs, steps, strict=True)
    ]
    return min(steps, key=lambda step: step.value), side, f"steps at alpha/{len(pairs)}: {'; '.join(texts)}"


def _side(found: Estimate, level: float = 0.0) -> str:
    if found.low > level:
        return CLAIMED
    return AGAINST if found.high < level else UNCLEAR


def _by_task(rows: pd.DataFrame, entry: Hypothesis, alpha: float) -> dict[str, dict]:
    """What every task says alone, of a hypothesis that is an average over several."""
    if len(entry.tasks) < 2 or entry.other_tasks:
        return {}
    found = {}
    for task in entry.tasks:
        one, side, _ = _tested(rows, entry.model_copy(update={"tasks": (task,)}), alpha / len(entry.tasks))
        found[task] = {"verdict": side, "estimate": one.value, "low": one.low, "high": one.high}
    return found


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


def _gate(rows: pd.DataFrame, entry: Hypothesis, seeds: Sequence[int]) -> tuple[bool, str]:
    """Whether every arm of the gate is above chance by more than asked on every task of it, and that in words."""
    if (gate := entry.gate) is None:
        return True, "none"
    used = _filtered(_addressed(rows, gate.arms), entry.where | gate.where)
    used = used[used["seed"].isin(seeds)]
    _check_complete(used, gate.arms, gate.tasks, seeds)
    weak = _not_learned(used, gate.arms, gate.tasks, gate.above_chance)
    if weak:
        return False, f"failed: not above chance by {gate.above_chance:g}: {', '.join(weak)}"
    return True, f"passed: every arm above chance by {gate.above_chance:g} on {', '.join(gate.tasks)}"


def _not_learned(rows: pd.DataFrame, arms: Sequence[str], tasks: Sequence[str], above: float) -> list[str]:
    """What is not above chance by more than ``above``, by the mean over seeds: arm, task and by how much."""
    used = rows[rows["arm"].isin(arms) & rows["task"].isin(tasks) & rows["error"].isna()]
    score = used["exact"] if "exact" in used else used["score"]
    by_seed = (score - used["chance"]).groupby([used["arm"], used["task"], used["seed"]]).mean()
    mean = by_seed.groupby(["arm", "task"], sort=False).mean()
    return [f"{arm} {task} {value:+.3f}" for (arm, task), value in mean.items() if value <= above]


def _filtered(rows: pd.DataFrame, where: Mapping[str, object]) -> pd.DataFrame:
    for name, wanted in where.items():
        if name not in rows:
            raise InputError(f"rows have no field {name!r}")
        rows = rows[rows[name].isin(wanted if isinstance(wanted, list) else [wanted])]
    return rows
