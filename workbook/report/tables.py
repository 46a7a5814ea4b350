"""Tables for notebooks, the README and the report: numbers with intervals, and what judges them. No torch."""

from collections.abc import Mapping, Sequence

import pandas as pd

from oryx.errors import InputError
from oryx.evidence.stats import Estimate, mean_score, paired_difference, summary


def score_table(rows: pd.DataFrame, arms: Sequence[str], baseline: str) -> pd.DataFrame:
    """One line per arm and task: score, paired difference to the baseline, tokens, seconds, chance and controls.

    Controls: the same model without the picture, and the best arm that was trained without pictures.

    A difference is marked with * only if its 95 % interval (uncorrected) excludes zero; verdicts use corrected ones.
    """
    found = summary(rows)
    blind = found[found["condition"] == "no_visual"].set_index(["arm", "task"])["score"]
    unseeing = trained_blind(found)
    seen = found[(found["condition"] == "visual") & found["arm"].isin(list(arms))]
    visual = rows[rows["condition"] == "visual"]
    costs = visual.groupby(["arm", "task"])[["visual_tokens", "seconds"]].mean()
    lines = []
    for line in seen.itertuples():
        lines.append(
            {
                "task": line.task,
                "arm": line.arm,
                "score": _with_interval(line.score, line.low, line.high),
                f"minus {baseline}": _difference(visual, line.arm, baseline, line.task),
                "tokens": round(costs.loc[(line.arm, line.task), "visual_tokens"], 1),
                "ms": round(1000 * costs.loc[(line.arm, line.task), "seconds"], 1),
                "chance": round(line.chance, 2),
                "majority": round(line.majority, 2),
                "no picture": _number(blind.get((line.arm, line.task))),
                "trained blind": _number(unseeing.get(line.task)),
                "items": line.n_items,
                "seeds": line.seeds,
                "empty": line.empty,
                "failed": line.failed,
            }
        )
    table = pd.DataFrame(lines)
    order = {arm: i for i, arm in enumerate(arms)}
    tasks = {task: i for i, task in enumerate(dict.fromkeys(table["task"]))} if len(table) else {}
    return table.sort_values(
        ["task", "arm"], key=lambda c: c.map(order if c.name == "arm" else tasks), ignore_index=True
    )


def match_table(rows: pd.DataFrame) -> pd.DataFrame:
    """What arms score at another arm's resolution, which they were not trained at (condition ``at_ARM``).

    One line per task and arm: asked there, asked as it was trained, and the arm that was trained there.
    """
    asked, visual = rows[rows["condition"].str.startswith("at_")], rows[rows["condition"] == "visual"]
    lines = []
    for task, arm, condition in asked[["task", "arm", "condition"]].drop_duplicates().itertuples(index=False):
        other = condition.removeprefix("at_")
        lines.append(
            {
                "task": task,
                "trained at": arm,
                "asked at": other,
                "score": _mean(asked[asked["condition"] == condition], arm, task),
                "asked as trained": _mean(visual, arm, task),
                "the arm trained there": _mean(visual, other, task),
            }
        )
    return pd.DataFrame(lines)


def control_table(rows: pd.DataFrame, fixed: str, control: str, native: str = "native") -> pd.DataFrame:
    """Legible text against plain text, in pictures larger than S²: did the arm ``fixed`` lose pixels, or not learn?

    ``control``: the arm of the same size that was trained and asked on text that grows with the picture. An arm that
    was not run says so.
    """
    large = rows[(rows["size_bin"] == "larger") & (rows["condition"] == "visual")]
    lines = []
    for task in [t for t in dict.fromkeys(large["task"]) if t.endswith("_legible")]:
        plain = task.removesuffix("_legible")
        cells = {
            f"{native}, plain text": (native, plain),
            f"{fixed}, plain text": (fixed, plain),
            f"{control}, legible text": (control, task),
        }
        lines.append({"task": plain, **{name: _mean(large, *cell) for name, cell in cells.items()}})
    return pd.DataFrame(lines)


def verdict_table(verdicts: Sequence[Mapping]) -> pd.DataFrame:
    """One line per hypothesis: what it says, the verdict, the estimate, n, and the paper's number or "not found"."""
    return pd.DataFrame(
        [
            {
                "hypothesis": v["id"],
                "statement": v["statement"],
                "verdict": v["verdict"],
                "estimate": "" if v["estimate"] is None else _with_interval(v["estimate"], v["low"], v["high"], "+.3f"),
                "items": v["n_items"],
                "seeds": v["seeds"],
                "scale": v["scale"],
                "paper": v["paper_value"],
                "note": v["reason"],
            }
            for v in verdicts
        ]
    )


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


def trained_blind(found: pd.DataFrame) -> pd.Series:
    """Task -> the best score of an arm that never saw a picture, from a summary of rows."""
    sees = set(found.loc[found["condition"] != "no_visual", "arm"])
    return found[~found["arm"].isin(sees)].groupby("task")["score"].max()


def to_markdown(table: pd.DataFrame) -> str:
    """A GitHub table; pipes in cells are escaped."""
    rows = [list(table.columns), ["---"] * len(table.columns), *table.astype(str).values.tolist()]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def with_intervals(frame: pd.DataFrame, form: str = ".2f") -> list[str]:
    """Each line's ``score`` in words, with its interval from ``low`` to ``high`` where it has one."""
    return [_with_interval(*line, form) for line in frame[["score", "low", "high"]].itertuples(index=False)]


def _with_interval(value: float, low, high, form: str = ".2f") -> str:
    return format(value, form) if pd.isna(low) or pd.isna(high) else f"{value:{form}} [{low:{form}}, {high:{form}}]"


def _number(value) -> str:
    return "" if value is None or pd.isna(value) else f"{value:.2f}"


def _difference(rows: pd.DataFrame, arm: str, baseline: str, task: str) -> str:
    if arm == baseline:
        return ""
    try:
        found: Estimate = paired_difference(rows[rows["task"] == task], arm, baseline)
    except InputError:
        return ""
    return _with_interval(found.value, found.low, found.high, "+.3f") + ("*" if found.low > 0 or found.high < 0 else "")


def _mean(rows: pd.DataFrame, arm: str, task: str) -> str:
    if not (rows["arm"] == arm).any():
        return "not run"
    part = rows[(rows["arm"] == arm) & (rows["task"] == task)]
    try:
        found = mean_score(part, arm)
    except InputError:
        return "" if part.empty else f"{part['score'].mean():.2f}"
    return f"{_with_interval(found.value, found.low, found.high)} (n={found.n_items})"
