"""Figures of benchmarks: ours beside the published numbers, and which letters were chosen. No torch."""

import pandas as pd

from workbook.report import plots
from workbook.studies.benchmarks.tables import scores

PROTOCOLS = ("paper", "official")
PUBLISHED = {"marker": "D", "ls": "", "ms": 7, "mfc": "none", "mec": "#222222"}
COLUMNS = 3
LETTERS = ("right", "visual", "no_visual")


@plots.styled
def beside_published(rows: pd.DataFrame, model: str) -> plots.Drawn:
    """Every benchmark: our score by each protocol with its interval, the published number, chance and no visual."""
    frame = scores(rows, model)
    names = list(dict.fromkeys(frame["benchmark"]))
    figure, (axis,) = plots.panels(1, 1, 8.5, 3.6)
    plots.points(axis, frame, "benchmark", names, PROTOCOLS, hue="protocol")
    axis.plot(names, frame.drop_duplicates("benchmark")["level"].astype(float), **PUBLISHED)
    axis.set_ylabel("score")
    others = {"published": PUBLISHED, "no_visual": plots.CROSS, "chance": plots.CHANCE}
    plots.legend(figure, [arm for arm in PROTOCOLS if arm in set(frame["protocol"])], PROTOCOLS, **others)
    return figure, frame


@plots.styled
def letters(rows: pd.DataFrame) -> plots.Drawn:
    """How often each letter is right, and how often it was chosen with the visual and without; none: no option."""
    lettered, shares = rows[rows["error"].isna() & rows.get("chosen", rows["error"]).notna()], {}
    for (name, arm), own in lettered.groupby(["benchmark", "arm"], sort=False):
        seen, blind = (own[own["condition"] == condition] for condition in LETTERS[1:])
        for what, values in zip(LETTERS, (seen["truth"], seen["chosen"], blind["chosen"]), strict=True):
            shares[f"{name}, {arm}", what] = values.replace("", "none").value_counts(normalize=True)
    frame = pd.DataFrame(shares).fillna(0.0).sort_index()
    titles = list(dict.fromkeys(title for title, _ in shares))
    rows_of, columns = -(-max(1, len(titles)) // COLUMNS), min(COLUMNS, max(1, len(titles)))
    figure, axes = plots.panels(rows_of, columns, 2.2 + 2.9 * columns, 2.7 * rows_of, sharey=True)
    for axis in axes[len(titles) :]:
        axis.set_axis_off()
    for axis, title in zip(axes, titles, strict=False):
        frame[title].plot.bar(
            ax=axis, color=[plots.GREY, *plots.COLOURS[:2]], width=0.8, legend=False, rot=0, title=title
        )
    axes[0].set_ylabel("share of answers")
    if titles:
        figure.legend([name.replace("_", " ") for name in LETTERS], loc="outside right upper")
    return figure, frame.rename_axis("letter").reset_index()
