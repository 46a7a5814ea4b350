"""The slope of a difference over the size of the model, its table, its figure and where it comes from."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy import special

from benchmarks.results import deliver
from oryx.files import atomic_write_json
from workbook.report.plots import COLOURS, marks, panels, save_figure, styled
from workbook.runs.provenance import git_state, now, versions


def slopes_of(points: pd.DataFrame) -> pd.DataFrame:
    """Of every study the change of its difference with a doubling of the parameters, and its 95 % t interval.

    A least-squares line through the sizes for each seed; the interval is that of the mean of the seeds' slopes.
    """
    found = []
    for study, own in points[points["seed"] != "all"].groupby("study", sort=False):
        wide = own.pivot(index="seed", columns="parameters", values="difference")
        each = np.polyfit(np.log2(wide.columns.to_numpy(float)), wide.to_numpy().T, 1)[0]
        spread = each.std(ddof=1) / len(each) ** 0.5 if len(each) > 1 else np.nan
        half = special.stdtrit(max(1, len(each) - 1), 0.975) * spread
        found.append({"study": study, "sizes": len(wide.columns), "seeds": len(each), "slope": each.mean(),
                      "low": each.mean() - half, "high": each.mean() + half})  # fmt: skip
    return pd.DataFrame(found)


@styled
def figure_of(points: pd.DataFrame) -> Figure:
    """A panel a study: the difference over the parameters, all seeds with their interval and each by itself."""
    studies = list(points["study"].unique())
    figure, axes = panels(1, len(studies), 3.4 * len(studies), 3.0)
    for axis, study in zip(axes, studies, strict=True):
        own = points[points["study"] == study]
        whole, single = own[own["seed"] == "all"], own[own["seed"] != "all"]
        axis.axhline(0, color="#888888", lw=0.8, zorder=0)
        axis.plot(single["parameters"], single["difference"], ls="", marker="x", ms=4, color="#777777")
        marks(axis, whole["parameters"], whole, "difference", color=COLOURS[0], marker="o")
        axis.set_xscale("log", base=2)
        axis.set_xticks(whole["parameters"], [f"{n / 1e6:.2f}M" for n in whole["parameters"]])
        axis.minorticks_off()
        axis.set(title=f"{whole['first'].iloc[0]} - {whole['second'].iloc[0]}", xlabel="parameters that differ")
    axes[0].set_ylabel("difference of scores")
    return figure


def table(points: pd.DataFrame, slopes: pd.DataFrame, facts: dict[str, Any]) -> str:
    """Differences and slopes as Markdown, with what they rest on."""
    towers = "; ".join(
        f"{size} has {'a tower of its own' if part['own_tower'] else 'the shipped tower, frozen'}"
        for size, part in facts["parts"].items()
    )
    lines = [
        f"`{facts['command']}`: split dev, seeds {', '.join(map(str, facts['seeds']))}, torch {torch.__version__}; "
        f"{towers}.",
        "",
        "| arms | size | parameters that differ | scores | a guess without looking | difference [95 %] | items |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in points[points["seed"] == "all"].itertuples():
        scores, interval = f"{one.score_0:.2f}, {one.score_1:.2f}", f"[{one.low:+.3f}, {one.high:+.3f}]"
        cells = [f"{one.first} - {one.second}", one.size, f"{one.parameters:,}", scores, f"{one.chance:.2f}"]
        lines.append(f"| {' | '.join([*cells, f'{one.difference:+.3f} {interval}', str(one.items)])} |")
    lines += ["", "| study | sizes | seeds | change of the difference with twice the parameters [95 %] | width |",
              "| --- | --- | --- | --- | --- |"]  # fmt: skip
    for one in slopes.itertuples():
        interval = f"[{one.low:+.3f}, {one.high:+.3f}] | {one.high - one.low:.3f}" if one.seeds > 1 else "| none"
        lines.append(f"| {one.study} | {one.sizes} | {one.seeds} | {one.slope:+.3f} {interval} |")
    return "\n".join(lines)


def report(points: pd.DataFrame, facts: dict[str, Any], out: Path, docs: Path | None) -> pd.DataFrame:
    """Write ``out`` with the endings csv (points), png, svg and json (slopes, provenance); returns the slopes."""
    slopes = slopes_of(points)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure_of(points), points, out.parent, out.name)
    commit, dirty = git_state()
    found = {"commit": commit, "dirty": dirty, "written": now(), "packages": versions(), **facts}
    found |= {"slopes": slopes.astype(object).where(slopes.notna(), None).to_dict("records")}
    atomic_write_json(out.with_suffix(".json"), found)
    deliver(found, table(points, slopes, facts), None, docs, "size-series")
    return slopes
