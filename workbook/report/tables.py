"""Tables for notebooks, the README and the report: numbers with intervals, and what judges them. No torch.

Pages are made from templates: sentences stand in ``templates/*.md.j2``, values come in by name.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from oryx.errors import InputError
from oryx.evidence.stats import paired_difference, score_of, summary
from workbook.report.names import with_names

NOT_FOUND = "not found"
"""Of a number of the paper that no public source gives."""
COUNTED = ("alone", "items", "clusters", "seeds", "could find")
"""What :func:`counted` says of a verdict."""
TEMPLATES = Path(__file__).with_name("templates")
TAG = re.compile("<(?=[a-zA-Z/!?])")


def score_table(rows: pd.DataFrame, arms: Sequence[str], baseline: str) -> pd.DataFrame:
    """One line per arm and task: score, paired difference to the baseline, tokens, seconds, chance and controls.

    Controls: the same model without the picture, and the best arm that was trained without pictures.

    A difference is marked with * only if its 95 % interval (uncorrected) excludes zero; verdicts use corrected ones.
    """
    found, visual, keys = summary(rows), rows[rows["condition"] == "visual"], ["task", "arm"]
    seen, blind = (found[found["condition"] == name].set_index(keys) for name in ("visual", "no_visual"))
    order = [key for key in product(dict.fromkeys(seen.index.get_level_values("task")), arms) if key in seen.index]
    seen = seen.loc[order].join(visual.groupby(keys)[["visual_tokens", "seconds"]].mean())
    unseeing = seen.index.get_level_values("task").to_series(seen.index).map(trained_blind(rows))
    table = {
        "score": with_intervals(seen),
        f"minus {baseline}": [_difference(visual[visual["task"] == task], arm, baseline) for task, arm in seen.index],
        "tokens": seen["visual_tokens"].round(1),
        "ms": (1000 * seen["seconds"]).round(1),
        **seen[["chance", "majority"]].round(2),
        "no picture": blind["score"].reindex(seen.index).map(_number),
        "trained blind": unseeing.map(_number),
        "items": seen["n_items"],
        **seen[["seeds", "empty", "failed"]],
    }
    return pd.DataFrame(table, index=seen.index).reset_index()


def match_table(rows: pd.DataFrame) -> pd.DataFrame:
    """What arms score at another arm's resolution, which they were not trained at (condition ``at_ARM``).

    One line per task and arm: asked there, asked as it was trained, and the arm that was trained there.
    """
    visual, lines = rows[rows["condition"] == "visual"], []
    for (task, arm, condition), asked in rows.groupby(["task", "arm", "condition"], sort=False):
        if condition.startswith("at_"):
            other = condition.removeprefix("at_")
            cells = [_mean(asked, arm, task), _mean(visual, arm, task), _mean(visual, other, task)]
            lines.append([task, arm, other, *cells])
    names = ["task", "trained at", "asked at", "score", "asked as trained", "the arm trained there"]
    return pd.DataFrame(lines, columns=names)


def control_table(rows: pd.DataFrame, fixed: str, control: str, native: str = "native") -> pd.DataFrame:
    """Legible text against plain text, in pictures larger than S²: did the arm ``fixed`` lose pixels, or not learn?

    ``control``: the arm of the same size that was trained and asked on text that grows with the picture. An arm that
    was not run says so.
    """
    large = rows[(rows["size_bin"] == "larger") & (rows["condition"] == "visual")]
    legible = [task for task in dict.fromkeys(large["task"]) if task.endswith("_legible")]
    plain = [task.removesuffix("_legible") for task in legible]
    columns = {"task": plain}
    for arm, text, tasks in ((native, "plain", plain), (fixed, "plain", plain), (control, "legible", legible)):
        columns[f"{arm}, {text} text"] = [_mean(large, arm, task) for task in tasks]
    return pd.DataFrame(columns)


def verdict_table(verdicts: Sequence[Mapping]) -> pd.DataFrame:
    """One line per hypothesis: what it says, the verdict, the estimate, what it rests on, and what could be found.

    The paper's number stands beside if there is any; where none is known, no column says so line by line.
    """
    lines = [
        {"hypothesis": v["id"], "statement": v["statement"], "verdict": v["verdict"], "estimate": estimate_text(v)}
        | counted(v)
        | {"scale": v["scale"], "paper": v["paper_value"], "note": with_names(v["reason"])}
        for v in verdicts
    ]
    names = ["hypothesis", "statement", "verdict", "estimate", *COUNTED, "scale", "paper", "note"]
    frame = pd.DataFrame(lines, columns=names)
    return frame if (frame["paper"] != NOT_FOUND).any() else frame.drop(columns="paper")


def counted(verdict: Mapping) -> dict[str, str | int]:
    """What a verdict rests on: in how many tasks it holds alone, items, clusters, seeds, and what it could have found.

    ``could find``: the smallest effect found in four of five such runs, and, of an inconclusive one, how many seeds
    would decide if what was estimated is the truth.
    """
    tasks, seeds = verdict.get("by_task", {}), str(verdict["seeds"])
    sides = [each["verdict"] for each in tasks.values()]
    against = f", {sides.count('contradicted')} against" if "contradicted" in sides else ""
    if verdict["seeds"] > 1 and verdict.get("starts"):
        seeds += ", one start" if verdict["starts"] == 1 else ", own starts"
    least, needed = verdict.get("smallest_effect"), verdict.get("seeds_needed")
    could = "" if least is None else f"{least:.3f}" if least < 1 else "nothing"
    if could and verdict["verdict"] == "inconclusive":
        could += f"; {needed} seeds would decide" if needed else "; more seeds would not decide"
    alone = f"{sides.count('supported')} of {len(sides)} tasks{against}" if sides else ""
    return dict(zip(COUNTED, (alone, verdict["n_items"], verdict["n_clusters"], seeds, could), strict=True))


def answer_table(rows: pd.DataFrame, arms: Sequence[str], only_wrong: bool = False) -> pd.DataFrame:
    """What every arm answered to every item, one line each; a failed item shows its error.

    ``only_wrong``: items that some arm answered wrongly or failed on. ``no picture``: the first arm's blind control.
    """
    shown = rows["answer"].where(rows["error"].isna(), "failed: " + rows["error"].fillna("").astype(str))
    rows = rows.assign(shown=shown)
    seen = rows[(rows["condition"] == "visual") & rows["arm"].isin(list(arms)) & (rows["seed"] == rows["seed"].min())]
    if only_wrong:
        seen = seen[seen["item"].isin(set(seen.loc[~(seen["score"] == 1), "item"]))]
    table = seen.pivot(index=["task", "item", "question", "truth"], columns="arm", values="shown")
    blind = rows[(rows["condition"] == "no_visual") & (rows["arm"] == arms[0])].drop_duplicates("item")
    table = table.reindex(columns=list(arms)).reset_index()
    table["no picture"] = table["item"].map(blind.set_index("item")["shown"])
    return table.rename_axis(columns=None)


def trained_blind(rows: pd.DataFrame) -> pd.Series:
    """Task -> the best mean score of an arm that never saw a picture."""
    sees = set(rows.loc[rows["condition"] != "no_visual", "arm"])
    return rows[~rows["arm"].isin(sees)].groupby(["task", "arm"])["score"].mean().groupby("task").max()


def with_intervals(frame: pd.DataFrame, form: str = ".2f") -> list[str]:
    """Each line's ``score`` in words, with its interval from ``low`` to ``high`` where it has one."""
    return [interval_text(*line, form) for line in frame[["score", "low", "high"]].itertuples(index=False)]


def interval_text(value: float, low: float, high: float, form: str = ".2f") -> str:
    """``0.31 [0.26, 0.36]``, or the value alone where there is no interval."""
    return format(value, form) if pd.isna(low) or pd.isna(high) else f"{value:{form}} [{low:{form}}, {high:{form}}]"


def estimate_text(verdict: Mapping) -> str:
    """``+0.313 [+0.265, +0.362]`` (a level without signs), or nothing where there is no estimate."""
    if verdict["estimate"] is None:
        return ""
    form = ".3f" if verdict.get("kind") == "level" else "+.3f"
    return interval_text(verdict["estimate"], verdict["low"], verdict["high"], form)


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.2f}"


def _difference(rows: pd.DataFrame, arm: str, baseline: str) -> str:
    if arm == baseline:
        return ""
    try:
        found = paired_difference(rows, arm, baseline)
    except InputError:
        return ""
    return interval_text(found.value, found.low, found.high, "+.3f") + "*" * (found.low > 0 or found.high < 0)


def _mean(rows: pd.DataFrame, arm: str, task: str) -> str:
    own = rows[rows["arm"] == arm]
    if own.empty:
        return "not run"
    part = own[own["task"] == task]
    found = score_of(part)
    return f"{interval_text(found['score'], found['low'], found['high'])} (n={found['n']})" if len(part) else ""


def render(name: str, **values: Any) -> str:
    """The template ``name`` filled with ``values``, as text without surrounding blank lines.

    Raises jinja2.UndefinedError for a value that the template needs and was not given.
    """
    return _ENVIRONMENT.get_template(name).render(values).strip()


def as_table(lines: pd.DataFrame | Sequence[dict]) -> str:
    """A Markdown table of a frame or of dictionaries, pipes and what would be HTML escaped; a missing value is an empty
    cell."""
    frame = pd.DataFrame(lines, dtype=object)
    frame = frame.where(frame.notna(), "").astype(str)
    rows = [list(frame), ["---"] * len(frame.columns), *frame.values.tolist()]
    text = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    return TAG.sub(r"\\<", text) if len(frame) else "*None.*"


def span(values: Sequence[float]) -> str:
    """The smallest and the largest of ``values``, ``0.40 to 0.75``; one number where they are equal."""
    low, high = min(values), max(values)
    return f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_ENVIRONMENT.filters.update(table=as_table, span=span, estimate=estimate_text)
