"""Tables of the connector study: scores and the shift of features by ratio, and what is best on demand. No torch."""

from collections.abc import Sequence

import pandas as pd

from workbook.data.stories import QUESTIONS
from workbook.report.plots import group_scores
from workbook.report.tables import with_intervals

BUDGETS = (64, 128, 256, 512, 1024, 2048)
"""Visual tokens."""

COSTS = {"visual_tokens": "visual tokens", "seconds_a_film": "seconds per video", "held_mb": "MB held per video"}
CLOSE = 0.02
"""Cells whose score is this near to the best are as good: the one with the fewest tokens is recommended."""

CELL = ["ratio", "input_side", "frames"]
MEASURES = ["shift_cka", "shift_mean", "shift_variance", "shift_rank", "shift_full_rank"]


def kinds_of(rows: pd.DataFrame) -> tuple[str, ...]:
    """The study's questions; of released weights the benchmarks that they were asked about."""
    return tuple(QUESTIONS) if rows["kind"].isin(QUESTIONS).any() else tuple(dict.fromkeys(rows["kind"]))


def scores(rows: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Mean score of every arm and ratio over all questions, which weigh the same, with its text."""
    found = group_scores(rows, arms, {"all": kinds_of(rows)}, "ratio", sorted(rows["ratio"].unique()), "kind")
    return found.assign(text=with_intervals(found, ".3f"), name=found["ratio"].map("{}x".format))


def shifts(rows: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Mean shift of each arm and ratio, at the start and trained; each video and seed weighs the same."""
    part = rows[rows["condition"].isin(["shift_start", "shift_trained"]) & rows["arm"].isin(list(arms))]
    part = part.assign(when=part["condition"].str.removeprefix("shift_"))
    found = part.groupby(["arm", "ratio", "when"], sort=False)[MEASURES].mean().reset_index()
    return found.assign(shift_rank_share=found["shift_rank"] / found["shift_full_rank"])


def reason_table(rows: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Per arm and ratio: how far the features shift, beside the score. The reason predicts that they go together."""
    cka = shifts(rows, arms).pivot(index=["arm", "ratio"], columns="when", values="shift_cka").map("{:.3f}".format)
    found = scores(rows, arms).join(cka, on=["arm", "ratio"], how="inner")
    names = {"name": "ratio", "start": "CKA at the start", "trained": "CKA trained", "text": "score"}
    return found[["arm", *names]].drop(columns="ratio", errors="ignore").rename(columns=names).reset_index(drop=True)


def length_table(rows: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Mean score and tokens of short and of long videos, a line per arm and ratio."""
    found = pd.concat([scores(own, arms).assign(length=length) for length, own in rows.groupby("length")])
    found["tokens"] = found["visual_tokens"].map("{:.0f}".format)
    wide = found.pivot(index=["arm", "ratio"], columns="length", values=["text", "tokens"]).fillna("")
    wide.columns = [length if value == "text" else f"tokens, {length}" for value, length in wide]
    return wide.reindex(arms, level="arm").rename(index="{}x".format, level="ratio").reset_index()


def sharing_table(rows: pd.DataFrame) -> pd.DataFrame:
    """One shared model for all ratios against one model per ratio, at equal steps: what does sharing cost?"""
    found = scores(rows, list(dict.fromkeys(rows["arm"])))
    found["connector"] = found["arm"].str.partition("_only_")[0]
    only = found["arm"] != found["connector"]
    both = found[only].merge(found[~only], on=["connector", "ratio", "name"], suffixes=("", "_shared"))
    names = {"name": "ratio", "text_shared": "one model for all", "text": "this ratio only"}
    costs = (both["score"] - both["score_shared"]).map("{:+.3f}".format)
    return both[["connector", *names]].rename(columns=names).assign(**{"sharing costs": costs})


def on_demand_rows(rows: pd.DataFrame, arm: str = "on_demand") -> pd.DataFrame:
    """Answers about long videos at every ratio, picture size and number of frames; videos asked in every cell alone."""
    part = rows[(rows["arm"] == arm) & (rows["length"] == "long") & rows["error"].isna()]
    part = part[(part["condition"] == "visual") | part["condition"].str.startswith("at_")]
    if part.empty:
        return part
    asked = part.drop_duplicates(["cluster", *CELL])["cluster"].value_counts()
    return part[part["cluster"].isin(asked.index[asked == asked.max()])]


def rows_to_show(rows: pd.DataFrame, published: Sequence[pd.DataFrame]) -> tuple[pd.DataFrame, str]:
    """The rows of a run if it asked on demand, else the first published ones that did; and a sentence saying which."""
    for found, words in ((rows, "This run's rows."), *((other, "The published rows.") for other in published)):
        if len(on_demand_rows(found)):
            return found, words
    return rows, 'Neither this run nor a published one has these rows: run with `panel="on_demand"`.'


def cell_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per cell: mean score (each question weighs the same), tokens, seconds and memory of a film.

    ``seconds_a_film``: decoding, encoding, reading and one answer.
    """
    part = rows.assign(seconds_a_film=rows["seconds"] + rows.get("encode_seconds", 0), held_mb=rows["held_kb"] / 1024)
    score = part.groupby([*CELL, "kind"])["score"].mean().groupby(CELL).mean()
    return pd.concat([score, part.groupby(CELL)[list(COSTS)].mean()], axis=1).reset_index()


def recommendation(rows: pd.DataFrame) -> pd.DataFrame:
    """For this question and this budget of tokens: which ratio, picture size and frames?

    Chosen on half of the videos, scored on the other half, so that the score is not flattered by the choice. The best
    cell within the budget; of those within CLOSE of it, the one with the fewest tokens. ``auto``: what the rule of
    ``compression="auto"`` would take, as many frames as fit, then the largest pictures, then the lowest ratio, scored
    on the same half.
    """
    part, lines = on_demand_rows(rows), []
    part = part.assign(chosen_on=part["cluster"].rank(method="dense") % 2 == 1)
    about = {"videos": part.loc[~part["chosen_on"], "cluster"].nunique(), "seeds": part["seed"].nunique()}
    for kind in [*QUESTIONS, "all"]:
        own = part if kind == "all" else part[part["kind"] == kind]
        first, second = own[own["chosen_on"]], own[~own["chosen_on"]]
        chosen_on, scored_on = cell_scores(first), cell_scores(second).set_index(CELL)["score"].round(3)
        for budget in BUDGETS:
            fitting = chosen_on[chosen_on["visual_tokens"] <= budget]
            if fitting.empty:
                continue
            good = fitting[fitting["score"] >= fitting["score"].max() - CLOSE]
            best = good.sort_values("visual_tokens").iloc[0]
            auto = fitting.sort_values(["frames", "input_side", "ratio"], ascending=[False, False, True]).iloc[0]
            line = {"question": kind, "tokens at most": budget, "recommended": _words(best)}
            line |= {"tokens": int(best["visual_tokens"]), "score": scored_on[tuple(best[CELL])]}
            lines.append(line | {"auto": _words(auto), "auto's score": scored_on[tuple(auto[CELL])], **about})
    return pd.DataFrame(lines)


def ratio_regret(rows: pd.DataFrame) -> pd.DataFrame:
    """For videos of given size and frames: the lowest ratio that fits against the best that fits, mean over them."""
    frame, lines = cell_scores(on_demand_rows(rows)).sort_values("ratio"), []
    for budget in BUDGETS:
        shapes = frame[frame["visual_tokens"] <= budget].groupby(["input_side", "frames"])["score"]
        losses = shapes.max() - shapes.first()
        line = {"tokens at most": budget, "videos' shapes": len(losses)}
        lines.append(line | {"mean loss": losses.mean(), "largest loss": losses.max()})
    return pd.DataFrame(lines).dropna().round(3)


def _words(cell: pd.Series) -> str:
    return "{:g}x, {:g} px, {:g} frames".format(*cell[CELL])
