"""Tables of the connector study, and the cells behind its on-demand figure. No torch."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from workbook.data.stories import QUESTIONS
from workbook.report.plots import group_scores

KINDS = tuple(QUESTIONS)

BUDGETS = (64, 128, 256, 512, 1024, 2048)
"""Visual tokens."""

COSTS = {"visual_tokens": "visual tokens", "seconds_a_film": "seconds a video", "held_mb": "MB held for a video"}
CLOSE = 0.02
"""Cells whose score is this near to the best are as good: the one with the fewest tokens is recommended."""

CELL = ["ratio", "input_side", "frames"]


def scores(rows: pd.DataFrame, arms: Sequence[str], ratios: Sequence[int], kinds: Sequence[str]) -> pd.DataFrame:
    """Mean score of every arm and ratio over ``kinds`` of questions, which weigh the same, with its text."""
    found = group_scores(rows, arms, {"all": kinds}, "ratio", ratios, "kind")
    return found.assign(text=[f"{line.score:.3f} [{line.low:.3f}, {line.high:.3f}]" for line in found.itertuples()])


def shifts(rows: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Mean shift of each arm and ratio, at the start and trained; each video and seed weighs the same."""
    names = ("shift_cka", "shift_mean", "shift_variance", "shift_rank", "shift_full_rank")
    part = rows[rows["condition"].isin(["shift_start", "shift_trained"]) & rows["arm"].isin(list(arms))]
    part = part.assign(when=part["condition"].str.removeprefix("shift_"))
    found = part.groupby(["arm", "ratio", "when"], sort=False)[list(names)].mean().reset_index()
    return found.assign(shift_rank_share=found["shift_rank"] / found["shift_full_rank"])


def reason_table(
    rows: pd.DataFrame, arms: Sequence[str], ratios: Sequence[int], kinds: Sequence[str] = KINDS
) -> pd.DataFrame:
    """Per arm and ratio: how far the features shift, beside the score. The reason predicts that they go together."""
    cka = shifts(rows, arms).pivot(index=["arm", "ratio"], columns="when", values="shift_cka")
    found = scores(rows, arms, ratios, kinds).join(cka, on=["arm", "ratio"], how="inner")
    columns = {"start": "CKA at the start", "trained": "CKA trained"}
    cells = {name: found[column].map("{:.3f}".format) for column, name in columns.items() if column in found}
    ratio = found["ratio"].map("{}x".format)
    return pd.DataFrame({"arm": found["arm"], "ratio": ratio, **cells, "score": found["text"]}).reset_index(drop=True)


def length_table(rows: pd.DataFrame, arms: Sequence[str], kinds: Sequence[str] = KINDS) -> pd.DataFrame:
    """Mean score of short and of long videos, per arm and ratio; empty where long videos are not asked."""
    lengths = list(dict.fromkeys(rows["length"]))
    ratios = sorted(rows["ratio"].unique())
    found = {length: scores(rows[rows["length"] == length], arms, ratios, kinds) for length in lengths}
    lines = []
    for arm in arms:
        for ratio in sorted(rows.loc[rows["arm"] == arm, "ratio"].unique()):
            line = {"arm": arm, "ratio": f"{ratio}x"}
            for length, frame in found.items():
                own = frame[(frame["arm"] == arm) & (frame["ratio"] == ratio)]
                line[length] = "".join(own["text"])
                line[f"tokens, {length}"] = "".join(own["visual_tokens"].map("{:.0f}".format))
            lines.append(line)
    return pd.DataFrame(lines)


def sharing_table(rows: pd.DataFrame, kinds: Sequence[str] = KINDS) -> pd.DataFrame:
    """One shared model for all ratios against one model per ratio, at equal steps: what does sharing cost?"""
    lines = []
    for name in dict.fromkeys(rows["arm"]):
        shared, only, ratio = name.partition("_only_")
        if only and shared in set(rows["arm"]):
            found = scores(rows, [shared, name], [int(ratio[:-1])], kinds).set_index("arm")
            gap = found.loc[name, "score"] - found.loc[shared, "score"]
            line = {"connector": shared, "ratio": ratio, "one model for all": found.loc[shared, "text"]}
            lines.append(line | {"this ratio only": found.loc[name, "text"], "sharing costs": f"{gap:+.3f}"})
    return pd.DataFrame(lines, columns=["connector", "ratio", "one model for all", "this ratio only", "sharing costs"])


def on_demand_rows(rows: pd.DataFrame, arm: str = "on_demand") -> pd.DataFrame:
    """Answers about long videos at every ratio, picture size and number of frames; videos asked in every cell alone."""
    part = rows[(rows["arm"] == arm) & (rows["length"] == "long") & rows["error"].isna()]
    part = part[(part["condition"] == "visual") | part["condition"].str.startswith("at_")]
    if part.empty:
        return part
    asked = part.groupby("cluster")[CELL].apply(lambda one: len(one.drop_duplicates()))
    return part[part["cluster"].isin(asked.index[asked == asked.max()])]


def rows_to_show(rows: pd.DataFrame, published: Sequence[pd.DataFrame]) -> tuple[pd.DataFrame, str]:
    """The rows of a run if it asked on demand, else the first published ones that did; and a sentence saying which."""
    for found, words in ((rows, "This run's rows."), *((other, "The published rows.") for other in published)):
        if len(on_demand_rows(found)):
            return found, words
    return rows, 'Neither this run nor a published one has these rows: run with `panel="on_demand"`.'


def cells(rows: pd.DataFrame, kinds: Sequence[str] = KINDS) -> pd.DataFrame:
    """One line per cell: mean score over ``kinds`` (each weighs the same), tokens, seconds and memory of a film.

    ``seconds_a_film``: decoding, encoding, reading and one answer.
    """
    part = rows[rows["kind"].isin(list(kinds))]
    if part.empty:
        return pd.DataFrame(columns=[*CELL, "score", *COSTS])
    part = part.assign(seconds_a_film=part["seconds"] + part["encode_seconds"], held_mb=part["held_kb"] / 1024)
    score = part.groupby([*CELL, "kind"])["score"].mean().groupby(CELL).mean()
    costs = part.groupby(CELL)[list(COSTS)].mean()
    return pd.concat([score, costs], axis=1).reset_index()


def frontier(frame: pd.DataFrame, cost: str) -> pd.DataFrame:
    """The cells that no cheaper cell matches, cheapest first."""
    ordered = frame.sort_values([cost, "score"], ascending=[True, False])
    return ordered[ordered["score"] > ordered["score"].cummax().shift(fill_value=-1)]


def recommendation(rows: pd.DataFrame, kinds: Sequence[str] = KINDS, budgets: Sequence[int] = BUDGETS) -> pd.DataFrame:
    """For this question and this budget of tokens: which ratio, picture size and frames?

    Chosen on half of the videos, scored on the other half, so that the score is not flattered by the choice. The best
    cell within the budget; of those within CLOSE of it, the one with the fewest tokens. ``auto``: what the rule of
    ``compression="auto"`` would take (:func:`auto_choice`), scored on the same half.
    """
    part = on_demand_rows(rows)
    films = sorted(part["cluster"].unique())
    first, second = (part[part["cluster"].isin(films[i::2])] for i in (0, 1))
    lines = []
    for kind in [*kinds, "all"]:
        own = list(kinds) if kind == "all" else [kind]
        chosen_on, scored_on = cells(first, own), cells(second, own).set_index(CELL)
        for budget in budgets:
            fitting = chosen_on[chosen_on["visual_tokens"] <= budget]
            if fitting.empty:
                continue
            good = fitting[fitting["score"] >= fitting["score"].max() - CLOSE]
            best = good.sort_values("visual_tokens").iloc[0]
            auto = auto_choice(fitting)
            lines.append(
                {
                    "question": kind,
                    "tokens at most": budget,
                    "ratio": f"{int(best['ratio'])}x",
                    "picture": f"{int(best['input_side'])} px",
                    "frames": int(best["frames"]),
                    "tokens": int(best["visual_tokens"]),
                    "score": round(scored_on.loc[tuple(best[CELL]), "score"], 3),
                    "auto": f"{int(auto['ratio'])}x, {int(auto['input_side'])} px, {int(auto['frames'])} frames",
                    "auto's score": round(scored_on.loc[tuple(auto[CELL]), "score"], 3),
                    "videos": second["cluster"].nunique(),
                    "seeds": second["seed"].nunique(),
                }
            )
    return pd.DataFrame(lines)


def auto_choice(fitting: pd.DataFrame) -> pd.Series:
    """What the rule of ``compression="auto"`` takes among cells that fit a budget: as many frames as fit, then the
    largest pictures, then the lowest ratio."""
    return fitting.sort_values(["frames", "input_side", "ratio"], ascending=[False, False, True]).iloc[0]


def ratio_regret(rows: pd.DataFrame, kinds: Sequence[str] = KINDS, budgets: Sequence[int] = BUDGETS) -> pd.DataFrame:
    """For videos of given size and frames: the lowest ratio that fits against the best that fits, mean over them."""
    frame, lines = cells(on_demand_rows(rows), kinds), []
    for budget in budgets:
        losses = []
        for _, own in frame[frame["visual_tokens"] <= budget].groupby(["input_side", "frames"]):
            lowest = own.sort_values("ratio").iloc[0]
            losses.append(own["score"].max() - lowest["score"])
        if losses:
            lines.append({"tokens at most": budget, "videos' shapes": len(losses), "mean loss": np.mean(losses),
                          "largest loss": np.max(losses)})  # fmt: skip
    return pd.DataFrame(lines).round(3)
