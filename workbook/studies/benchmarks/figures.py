"""Figures of benchmarks: ours beside the published numbers, and which letters were chosen. No torch."""

from dataclasses import replace

import pandas as pd

from workbook.report import plots
from workbook.studies.benchmarks.tables import scores

PROTOCOLS = ("paper", "official")
COLUMNS = 3
LETTERS = ("right", "visual", "no_visual")


def beside_published(rows: pd.DataFrame, model: str) -> plots.Drawn:
    """Every benchmark: our score by each protocol with its interval, the published number, chance and no visual."""
    frame = scores(rows, model)
    published = frame.drop_duplicates("benchmark").set_index("benchmark")["level"].astype(float)
    shown = frame.assign(group=frame["benchmark"], arm=frame["protocol"])
    drawn = plots.dot_panels(shown, PROTOCOLS, "on benchmark", line=("published", published))
    return replace(drawn, frame=frame)


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
    figure, axes = plots.grid(titles, COLUMNS, 2.9, 2.7, (2.2, 0.4), sharey=True)
    for axis, title in zip(axes, titles, strict=True):
        frame[title].plot.bar(ax=axis, color=[plots.GREY, *plots.COLOURS[:2]], width=0.8, legend=False, rot=0)
    figure.supylabel("share of answers", fontsize=9)
    if titles:
        figure.legend([name.replace("_", " ") for name in LETTERS], loc="outside right center")
    words = "How often each letter is right, and is chosen with the visual and without."
    return plots.titled(figure, frame.rename_axis("letter").reset_index(), words)
