"""The crossed design of the encoder study as a picture: encoders down, inputs across, scores in the cells. No torch."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from oryx.errors import InputError
from oryx.evidence.stats import mean_score
from workbook.report.plots import STYLE
from workbook.studies.encoders.arms import ENCODERS, INPUTS


def crossed_scores(rows: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> tuple[Figure, pd.DataFrame]:
    """A panel per group of tasks: mean score with its 95 % interval, and visual tokens, of every encoder and input.

    A cell whose arm was not run is hatched, never shown as zero.
    """
    seen, found = rows[rows["condition"] == "visual"], []
    for group, tasks in groups.items():
        for encoder in ENCODERS:
            for view in INPUTS:
                arm = f"{encoder}_{view}"
                part = seen[(seen["arm"] == arm) & seen["task"].isin(list(tasks))]
                line = {"group": group, "encoder": encoder, "input": view, "n": part["item"].nunique()}
                try:
                    score = mean_score(part, arm) if len(part) else None
                except InputError:
                    score = None
                found.append(
                    {
                        **line,
                        "score": score.value if score else None,
                        "low": score.low if score else None,
                        "high": score.high if score else None,
                        "visual_tokens": part["visual_tokens"].mean() if len(part) else None,
                    }
                )
    frame = pd.DataFrame(found).astype({"score": float, "low": float, "high": float})
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.4 * len(groups) + 0.6, 2.9), layout="constrained")
        axes = figure.subplots(1, len(groups), squeeze=False)[0]
        for axis, group in zip(axes, groups, strict=True):
            mine = frame[frame["group"] == group]
            wide = mine.pivot(index="encoder", columns="input", values="score").loc[list(ENCODERS), list(INPUTS)]
            axis.set_facecolor("#eeeeee")
            axis.patch.set_hatch("///")
            axis.patch.set_edgecolor("#bbbbbb")
            shown = axis.imshow(wide.to_numpy(), vmin=0, vmax=1, cmap="cividis", aspect="auto")
            for line in mine.itertuples():
                if line.score == line.score:
                    text = f"{line.score:.2f}\n[{line.low:.2f}, {line.high:.2f}]\n{line.visual_tokens:.0f} tokens"
                    colour = "white" if line.score < 0.55 else "black"
                    place = INPUTS.index(line.input), ENCODERS.index(line.encoder)
                    axis.text(*place, text, ha="center", va="center", fontsize=7.5, color=colour)
            axis.set_xticks(range(len(INPUTS)), INPUTS)
            axis.set_yticks(range(len(ENCODERS)), ENCODERS)
            axis.set_title(f"{group} tasks", loc="left", fontsize=10)
        figure.colorbar(shown, ax=axes, label="share of right answers", shrink=0.9)
    return figure, frame
