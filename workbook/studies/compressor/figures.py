"""Figures of the connector study. Each comes with the DataFrame behind it. No torch but in :func:`twice_at_1x`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from oryx.grids import uniform_indices
from oryx.processing.video import read_frames
from workbook.data import corpora
from workbook.data.stories import COARSE, FINE, SIZE
from workbook.report import plots
from workbook.studies.compressor.arms import ARMS, CLIP_FRAMES, PATCH, STORY
from workbook.studies.compressor.cells import story
from workbook.studies.compressor.settings import Settings
from workbook.studies.compressor.tables import COSTS, cell_scores, frontier, kinds_of, on_demand_rows, shifts

MEASURES = {
    "shift_cka": ("CKA with the tokens at 1x", 1.0),
    "shift_mean": ("distance of the means\n(standard deviations)", 0.0),
    "shift_variance": ("variance over that at 1x", 1.0),
    "shift_rank_share": ("effective rank over that at 1x", 1.0),
}
"""Field of a shift row -> what it is called, and its value if nothing shifts."""
GROUPS = {"fine": FINE, "coarse": COARSE}
SHOWN = 8
"""Frames of a video in a row."""
LEAST_WEIGHT = 2**-6
"""Weights below this one look the same."""


def score_by_ratio(rows: pd.DataFrame, arms: Sequence[str], groups: plots.Groups = GROUPS) -> plots.Drawn:
    """Score over compression ratio, a panel per group of questions; dashes mark chance, crosses the blind control."""
    labels = {ratio: f"{ratio}x" for ratio in sorted(rows["ratio"].unique())}
    titles = {
        name if tuple(kinds) == (name,) else f"{name} questions: {', '.join(kinds)}": kinds
        for name, kinds in groups.items()
    }
    return plots.score_by_bin(rows, arms, titles, tuple(ARMS), "ratio", labels, "{}", "kind")


@plots.styled
def score_by_kind(rows: pd.DataFrame, arms: Sequence[str]) -> plots.Drawn:
    """A panel per ratio: each arm's score on each question with its 95 % interval; dashes mark chance."""
    ratios = sorted(rows["ratio"].unique())
    frame = plots.group_scores(rows, arms, {kind: (kind,) for kind in kinds_of(rows)}, "ratio", ratios, "kind")
    figure, axes = plots.panels(len(ratios), 1, 10, 2.5 * len(ratios), sharex=True)
    for axis, (ratio, own) in zip(axes, frame.groupby("ratio"), strict=True):
        plots.points(axis, own, "group", list(frame["group"].unique()), tuple(ARMS))
        axis.set_title(plots.title_of(f"{ratio}x", own), loc="left", fontsize=10)
        axis.set_ylabel("right answers")
    plots.legend(figure, frame["arm"].unique(), tuple(ARMS), chance=plots.CHANCE, no_video=plots.CROSS)
    return figure, frame


@plots.styled
def shift_figure(rows: pd.DataFrame, arms: Sequence[str]) -> plots.Drawn:
    """A panel per measure: each arm at its start (crosses) and trained (dots), a colour for each ratio."""
    frame = shifts(rows, arms).sort_values(["ratio", "when"])
    drawn = frame.assign(ratio=frame["ratio"].map("{}x".format), arm=pd.Categorical(frame["arm"], arms))
    drawn["arm"] = drawn["arm"].cat.remove_unused_categories()
    figure, axes = plots.panels(1, len(MEASURES), 11, 1.3 + 0.3 * drawn["arm"].nunique(), sharey=True)
    for axis, (name, (label, still)) in zip(axes, MEASURES.items(), strict=True):
        axis.axvline(still, color="#888888", lw=0.8)
        sns.scatterplot(
            drawn, x=name, y="arm", hue="ratio", style="when", markers={"start": "X", "trained": "o"}, s=40,
            palette=list(plots.COLOURS[: drawn["ratio"].nunique()]), legend=name == "shift_cka", ax=axis,
        )  # fmt: skip
        axis.set(xlabel=label, ylabel="")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    axes[0].get_legend().remove()
    return figure, frame


@plots.styled
def on_demand_figure(rows: pd.DataFrame) -> plots.Drawn:
    """Score against tokens, seconds and memory; colour: ratio, marker: size of the pictures; the step frontier."""
    frame = cell_scores(on_demand_rows(rows))
    if frame.empty:
        return Figure(figsize=(1, 0.1)), frame
    drawn = frame.assign(
        compression=frame["ratio"].map("{:g}x".format), picture=frame["input_side"].map("{:g} px".format)
    )
    style = {"hue": "compression", "style": "picture", "size": "frames", "sizes": (18, 90), "alpha": 0.8}
    style["palette"] = list(plots.COLOURS[: drawn["compression"].nunique()])
    figure, axes = plots.panels(1, len(COSTS), 11, 3.9, sharey=True)
    for axis, (cost, label) in zip(axes, COSTS.items(), strict=True):
        best = frontier(frame, cost)
        axis.step(best[cost], best["score"], where="post", color="#888888", lw=1.2, label="step frontier")
        sns.scatterplot(drawn, x=cost, y="score", legend="full", ax=axis, **style)
        axis.set_xscale("log", base=2)
        axis.set(xlabel=label, ylabel="share of right answers")
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:.2g}" if value < 10 else f"{value:.0f}")
        handles = axis.get_legend_handles_labels()
        axis.get_legend().remove()
    figure.legend(*handles, loc="outside right upper", fontsize=8)
    return figure, frame


def equal_tokens(rows: pd.DataFrame) -> plots.Drawn:
    """Of released weights asked on demand: score over the side of frames, a curve per ratio, a panel per benchmark.

    Every cell has as many frames as cost about the same visual tokens, which the frame holds.
    """
    own = rows[rows["arm"] == "on_demand"]
    if own.empty:
        return Figure(figsize=(1, 0.1)), own
    ratios = [f"{ratio}x" for ratio in sorted(own["ratio"].unique())]
    sides = {side: f"{side:g} px" for side in sorted(own["input_side"].unique())}
    groups = {name: (name,) for name in dict.fromkeys(own["kind"])}
    shown = own.assign(arm=own["ratio"].map("{:g}x".format))
    return plots.score_by_bin(shown, ratios, groups, ratios, "input_side", sides, "{}", "kind")


def gallery(settings: Settings) -> Figure:
    """Frames of held-out files, decoded, with what is asked about them; last some frames of a long one."""
    shown = []
    for index, length in enumerate(("short", "short", "short", "long")):
        made = story(settings, length, index)
        text = ", ".join(f"{kind}: {answer}" for kind, answer in made.facts.items())
        frames = read_frames(made.path, uniform_indices(made.frames, SHOWN))
        shown.append((f"{made.frames} frames. {text}", frames))
    return plots.strips(shown, 10, 1.5)


def film_frames(settings: Settings, name: str) -> np.ndarray:
    """The frames behind the attention maps of a video: ``story`` or the id of a real clip; (T, H, W, 3)."""
    if name == "story":
        made = story(settings, "short", STORY)
        return read_frames(made.path, range(made.frames))
    clip = next(clip for clip in corpora.clips() if clip.id == name)
    return read_frames(clip.path, uniform_indices(clip.frames, CLIP_FRAMES), SIZE)


def attention_figure(settings: Settings, maps: pd.DataFrame) -> plots.Drawn:
    """Frames of each video, and below them the weight of every token over the uniform one, a row per ratio.

    1 (the middle of the scale) means: as much as pooling gives. The scale is logarithmic, the same everywhere, and cut
    at what one token in a hundred exceeds. ``maps``: a line for each row of a map, see :mod:`.probes`.
    """
    weights = maps.set_index(["film", "ratio", "frame", "row"]).clip(lower=LEAST_WEIGHT).map(np.log2)
    limit = max(0.1, float(weights.abs().stack().quantile(0.99)))
    shown = []
    for film, own in weights.groupby("film", sort=False):
        shown.append((film, film_frames(settings, film)))
        for ratio, grids in own.groupby("ratio"):
            tokens = [grid.dropna(axis=1).to_numpy() for _, grid in grids.groupby("frame")]
            shown.append((f"{ratio}x", [one.repeat(PATCH, 0).repeat(PATCH, 1) for one in tokens]))
    figure = plots.strips(shown, 8, 1, cmap=plots.MAP, vmin=-limit, vmax=limit)
    bar = plots.colour_bar(figure, figure.axes, "weight over the uniform one", (-limit, limit), shrink=0.5)
    ticks = [-limit, 0, limit]
    bar.set_ticks(ticks, labels=[f"{2**tick:.2f}" for tick in ticks])
    return figure, maps


def twice_at_1x() -> pd.DataFrame:
    """Connectors with random weights on random tokens at side 1: output over input, smallest and largest ratio."""
    import torch

    from oryx.model.config import OryxConfig
    from oryx.model.connectors import build_compressor

    torch.manual_seed(0)
    x, lines = torch.randn(1, 16, 64), []
    for name in dict.fromkeys(arm.connector for arm in ARMS.values()):
        vision = {"hidden_size": 64, "num_attention_heads": 1}
        connector = build_compressor(OryxConfig(vision_config=vision, compressor_dim=16, compressor=name))
        if "output" not in name:  # value and output maps start as the identity; random ones are no factor
            connector.apply(lambda part: [torch.nn.init.normal_(own) for own in part.parameters(recurse=False)])
        ratio = (connector(x, (1, 16), 1)[0] / x).detach()
        lines.append({"connector": name, "smallest ratio": float(ratio.min()), "largest ratio": float(ratio.max())})
    return pd.DataFrame(lines)
