"""Figures of the connector study. Each comes with the DataFrame behind it. No torch but in :func:`twice_at_1x`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from oryx.evidence.stats import score_of
from oryx.grids import uniform_indices
from oryx.processing.video import read_frames
from workbook.data import corpora
from workbook.data.stories import SIZE
from workbook.report import plots, seen
from workbook.report.names import name_of
from workbook.studies.compressor.arms import ARMS, CLIP_FRAMES, PATCH, STORY
from workbook.studies.compressor.cells import story
from workbook.studies.compressor.settings import Settings
from workbook.studies.compressor.tables import CELL, COSTS, cell_scores, kinds_of, on_demand_rows, shifts

MEASURES = {
    "shift_cka": ("similarity to the tokens at 1x\n(linear centred kernel alignment)", 1),
    "shift_variance": ("variance over that at 1x", 1),
    "shift_rank_share": ("effective rank over that at 1x", 1),
    "shift_mean": ("distance of the means\n(standard deviations)", 0),
}
"""Field of a shift row -> what it is called, and its value if nothing shifts."""
SHOWN = 8
"""Frames of a video in a row."""
LEAST_WEIGHT = 2**-6
"""Weights below this one look the same."""


def score_by_ratio(rows: pd.DataFrame, arms: Sequence[str], groups: plots.Groups) -> plots.Drawn:
    """Score over compression ratio, a row of panels per group of questions, with the mean tokens of a video."""
    tokens = rows[rows["condition"] == "visual"].groupby("ratio")["visual_tokens"].mean()
    labels = {ratio: f"{ratio}x ({count:,.0f} tokens)" for ratio, count in tokens.items()}
    return plots.score_by_bin(rows, arms, groups, tuple(ARMS), "ratio", labels, "kind")


def score_by_kind(rows: pd.DataFrame, arms: Sequence[str]) -> plots.Drawn:
    """Score on each question, a row of panels per ratio."""
    ratios = {f"{ratio}x": (ratio,) for ratio in sorted(rows["ratio"].unique())}
    return plots.score_by_bin(rows, arms, ratios, tuple(ARMS), "kind", {kind: kind for kind in kinds_of(rows)}, "ratio")


@plots.styled
def shift_figure(rows: pd.DataFrame, arms: Sequence[str]) -> plots.Drawn:
    """A panel per measure: each arm and ratio before training and after; what keeps features nearest to the
    uncompressed ones is on top."""
    frame = shifts(rows, arms)
    wide = frame.pivot(index=["arm", "ratio"], columns="when", values=list(MEASURES))
    wide = wide.sort_values(("shift_cka", "trained"), ascending=False, kind="stable")
    names = [f"{name_of(arm)}, {ratio}x" for arm, ratio in wide.index]
    ratios = sorted(frame["ratio"].unique())
    styles = [plots.style_of(ratio, ratios) | {"marker": "o"} for _, ratio in wide.index]
    figure, axes = plots.panels(1, len(MEASURES), 12.5, 1.4 + 0.2 * len(wide), sharey=True)
    for axis, (name, (label, still)) in zip(axes, MEASURES.items(), strict=True):
        own = wide[name].assign(low=wide[name].min(axis=1), high=wide[name].max(axis=1))
        plots.forest(axis, own, names, styles, "trained")
        axis.plot(own["start"], range(len(own)), **plots.CROSS)
        axis.axvline(still, color=plots.DARK, lw=1)
        axis.set(xlabel=f"{label}\n(nothing shifts: {still})", xlim=(0, None if not still else 1.05))
    plots.legend(figure, [], (), before_training=plots.CROSS, trained={"marker": "o", "ls": "", "color": plots.GREY})
    likeness = frame[frame["when"] == "trained"].assign(low=np.nan, high=np.nan, chance=np.nan)
    words = seen.best(
        likeness.rename(columns={"shift_cka": "score"}), "ratio", "at ratio", "nearest to the tokens at 1x"
    )
    return plots.titled(figure, frame, words)


@plots.styled
def on_demand_figure(rows: pd.DataFrame) -> plots.Drawn:
    """Score against tokens, seconds and memory: every cell pale, with name and interval those that no cell of fewer
    tokens reaches; grey: the step frontier of each cost."""
    rows = on_demand_rows(rows)
    frame = cell_scores(rows)
    if frame.empty:
        return plots.Drawn(Figure(figsize=(1, 0.1)), frame)
    best = seen.frontier(frame, "visual_tokens").reset_index(drop=True)
    cells = dict(list(rows.assign(task=rows["kind"]).groupby(CELL)))
    found = pd.DataFrame([score_of(cells[cell]) for cell in best[CELL].itertuples(index=False, name=None)])
    best = best.join(found[["low", "high"]])
    names = ["{:g}x, {:g} px, {:g} frames".format(*cell) for cell in best[CELL].itertuples(index=False)]
    figure, axes = plots.panels(1, len(COSTS), 12, 4.4, sharey=True)
    for axis, (cost, label) in zip(axes, COSTS.items(), strict=True):
        steps = seen.frontier(frame, cost)
        axis.step(steps[cost], steps["score"], where="post", color=plots.GREY, lw=1)
        axis.plot(frame[cost], frame["score"], "o", ms=4, color="#cccccc")
        plots.marks(axis, best[cost], best, "score", ls="", marker="o", color=plots.COLOURS[0])
        axis.set_xscale("log", base=2)
        axis.set(xlabel=label, ylim=(0, None))
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:.2g}" if value < 10 else f"{value:.0f}")
    for name, at, score in zip(names, best["visual_tokens"], best["score"], strict=True):
        place = {"xytext": (-5, 1), "textcoords": "offset points", "ha": "right", "fontsize": 7}
        axes[0].annotate(name, (at, score), **place)
    axes[0].set(ylabel="share of right answers", xlim=(frame["visual_tokens"].min() / 16, None))
    words = seen.cheapest(best.assign(group="on demand", arm=names))
    return plots.titled(figure, frame, words)


def equal_tokens(rows: pd.DataFrame) -> plots.Drawn:
    """Of released weights asked on demand: score over the side of frames, a curve per ratio, a panel per benchmark.

    Every cell has as many frames as cost about the same visual tokens, which the frame holds.
    """
    own = rows[rows["arm"] == "on_demand"]
    ratios = [f"{ratio}x" for ratio in sorted(own["ratio"].unique())]
    sides = {side: f"{side:g} px" for side in sorted(own["input_side"].unique())}
    groups = {name: (name,) for name in dict.fromkeys(own["kind"])}
    shown = own.assign(arm=own["ratio"].map("{:g}x".format))
    return plots.score_by_bin(shown, ratios, groups, ratios, "input_side", sides, "kind")


def gallery(settings: Settings) -> Figure:
    """Frames of held-out files, decoded, with what is asked about them; last some frames of a long one."""
    shown = []
    for index, length in enumerate(("short", "short", "short", "long")):
        made = story(settings, length, index)
        text = ", ".join(f"{kind}: {answer}" for kind, answer in made.facts.items())
        frames = read_frames(made.path, uniform_indices(made.frames, SHOWN))
        shown.append((f"{made.frames} frames. {text}", frames))
    return plots.strips(shown, 7, 1.15)


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
    figure = plots.strips(shown, 7.5, 1, cmap=plots.MAP, vmin=-limit, vmax=limit)
    label = "weight that the dynamic compressor gives a token,\nover that of plain pooling"
    bar = plots.colour_bar(figure, figure.axes, label, (-limit, limit), shrink=0.5)
    ticks = np.arange(-int(limit // 2), int(limit // 2) + 1) * 2
    bar.set_ticks(ticks, labels=[f"{2**tick:g}" if tick >= 0 else f"1/{2**-tick:g}" for tick in ticks])
    less = (2 ** weights.stack() < 0.5).groupby("ratio").mean()
    words = " ".join(f"At {ratio}x {share:.0%} of tokens get less than half of that." for ratio, share in less.items())
    return plots.titled(figure, maps, f"Weight of every token over what plain pooling gives it. {words}")


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
