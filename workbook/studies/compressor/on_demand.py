"""Ratio, resolution and frames traded against tokens, seconds and memory: cells, frontier, recommendation. No torch."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from workbook.report.plots import MARKERS, OKABE_ITO, STYLE
from workbook.studies.compressor.plots import KINDS

BUDGETS = (64, 128, 256, 512, 1024, 2048)
"""Visual tokens."""

COSTS = {"visual_tokens": "visual tokens", "seconds_a_film": "seconds a film", "held_mb": "MB held for a film"}
CLOSE = 0.02
"""Cells whose score is this near to the best are as good: the one with the fewest tokens is recommended."""

CELL = ["ratio", "input_side", "frames"]


def on_demand_rows(rows: pd.DataFrame, arm: str = "on_demand") -> pd.DataFrame:
    """Answers about long films at every ratio, picture size and number of frames; films asked in every cell alone."""
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


def on_demand_figure(rows: pd.DataFrame, kinds: Sequence[str] = KINDS) -> tuple[Figure, pd.DataFrame]:
    """Score against tokens, seconds and memory; colour: ratio, marker: size of the pictures; the step frontier."""
    frame = cells(on_demand_rows(rows), kinds)
    ratios, sides = sorted(frame["ratio"].unique()), sorted(frame["input_side"].unique())
    frames = sorted(frame["frames"].unique())
    if frame.empty:
        figure = Figure(figsize=(5, 0.5))
        figure.text(0, 0.5, "nothing to draw: no film was asked about on demand", fontsize=9, va="center")
        return figure, frame
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 3.9), layout="constrained")
        axes = figure.subplots(1, len(COSTS), sharey=True)
        for axis, (cost, label) in zip(axes, COSTS.items(), strict=True):
            best = frontier(frame, cost)
            axis.step(best[cost], best["score"], where="post", color="#888888", lw=1.2, label="step frontier")
            for line in frame.itertuples():
                colour = OKABE_ITO[ratios.index(line.ratio) % len(OKABE_ITO)]
                size = 3.5 + 2.2 * frames.index(line.frames)
                marker = MARKERS[sides.index(line.input_side) % len(MARKERS)]
                axis.plot(getattr(line, cost), line.score, marker, ms=size, color=colour, mfc="none", mew=1.3)
            axis.set_xscale("log", base=2 if cost == "visual_tokens" else 10)
            axis.set_xlabel(label)
            axis.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
            if cost != "visual_tokens":
                axis.xaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
                axis.xaxis.set_minor_formatter(NullFormatter())
        axes[0].set_ylabel("share of right answers")
        for i, ratio in enumerate(ratios):
            axes[-1].plot([], [], "o", mfc="none", color=OKABE_ITO[i % len(OKABE_ITO)], label=f"{ratio}x")
        for i, side in enumerate(sides):
            axes[-1].plot([], [], MARKERS[i % len(MARKERS)], mfc="none", color="#444444", label=f"{side:g} px")
        for i, count in enumerate(frames):
            axes[-1].plot([], [], "o", mfc="none", color="#444444", ms=3.5 + 2.2 * i, label=f"{count} frames")
        handles, labels = axes[-1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", fontsize=8)
    return figure, frame


def recommendation(rows: pd.DataFrame, kinds: Sequence[str] = KINDS, budgets: Sequence[int] = BUDGETS) -> pd.DataFrame:
    """For this question and this budget of tokens: which ratio, picture size and frames?

    Chosen on half of the films, scored on the other half, so that the score is not flattered by the choice. The best
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
                    "films": second["cluster"].nunique(),
                    "seeds": second["seed"].nunique(),
                }
            )
    return pd.DataFrame(lines)


def auto_choice(fitting: pd.DataFrame) -> pd.Series:
    """What the rule of ``compression="auto"`` takes among cells that fit a budget: as many frames as fit, then the
    largest pictures, then the lowest ratio."""
    return fitting.sort_values(["frames", "input_side", "ratio"], ascending=[False, False, True]).iloc[0]


def ratio_regret(rows: pd.DataFrame, kinds: Sequence[str] = KINDS, budgets: Sequence[int] = BUDGETS) -> pd.DataFrame:
    """For films of given size and frames: the lowest ratio that fits against the best one that fits, mean over them."""
    frame, lines = cells(on_demand_rows(rows), kinds), []
    for budget in budgets:
        losses = []
        for _, own in frame[frame["visual_tokens"] <= budget].groupby(["input_side", "frames"]):
            lowest = own.sort_values("ratio").iloc[0]
            losses.append(own["score"].max() - lowest["score"])
        if losses:
            lines.append({"tokens at most": budget, "films' shapes": len(losses), "mean loss": np.mean(losses),
                          "largest loss": np.max(losses)})  # fmt: skip
    return pd.DataFrame(lines).round(3)
