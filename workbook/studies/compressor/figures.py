"""Figures of the connector study. Each comes with the DataFrame behind it. No torch but in :func:`twice_at_1x`."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from oryx.grids import uniform_indices
from oryx.processing.video import read_frames
from workbook.data import corpora
from workbook.data.stories import SIZE, make_story
from workbook.report import plots
from workbook.studies.compressor.arms import CLIP_FRAMES, STORY
from workbook.studies.compressor.tables import COSTS, KINDS, cells, frontier, on_demand_rows, shifts

MEASURES = {
    "shift_cka": ("CKA with the tokens at 1x", 1.0),
    "shift_mean": ("distance of the means\n(standard deviations)", 0.0),
    "shift_variance": ("variance over that at 1x", 1.0),
    "shift_rank_share": ("effective rank over that at 1x", 1.0),
}
"""Field of a shift row -> what it is called, and its value if nothing shifts."""
SHOWN = 8
"""Frames of a video in a row."""
MAP_ROW = ["film", "ratio", "frame", "row"]


def score_by_ratio(
    rows: pd.DataFrame,
    arms: Sequence[str],
    ratios: Sequence[int],
    groups: Mapping[str, Sequence[str]],
    order: Sequence[str],
) -> tuple[Figure, pd.DataFrame]:
    """Score over compression ratio, a panel per group of questions; dashes mark chance, crosses the blind control."""
    labels = {ratio: f"{ratio}x" for ratio in ratios}
    titles = {f"{group} questions: {', '.join(kinds)}": kinds for group, kinds in groups.items()}
    return plots.score_by_bin(rows, arms, titles, order, "ratio", labels, "{}", "kind")


def score_by_kind(
    rows: pd.DataFrame, arms: Sequence[str], ratios: Sequence[int], order: Sequence[str], kinds: Sequence[str] = KINDS
) -> tuple[Figure, pd.DataFrame]:
    """A panel per ratio: each arm's score on each question with its 95 % interval; dashes mark chance."""
    frame = plots.group_scores(rows, arms, {kind: (kind,) for kind in kinds}, "ratio", ratios, "kind")
    shown = [ratio for ratio in ratios if (frame["ratio"] == ratio).any()]
    with mpl.rc_context(plots.STYLE):
        figure, axes = plots.panels(len(shown), 1, 10, 2.5 * len(shown), sharex=True)
        for axis, ratio in zip(axes, shown, strict=True):
            own = frame[frame["ratio"] == ratio]
            plots.points(axis, own, "group", list(kinds), order)
            axis.set_title(plots.title_of(f"{ratio}x", own), loc="left", fontsize=10)
            axis.set_ylabel("right answers")
        arms = [arm for arm in arms if arm in set(frame["arm"])]
        plots.legend(figure, arms, order, chance=plots.CHANCE, no_video=plots.CROSS)
    return figure, frame


def shift_figure(rows: pd.DataFrame, arms: Sequence[str], order: Sequence[str]) -> tuple[Figure, pd.DataFrame]:
    """A panel per measure: each arm at its start (hollow) and trained (filled), its ratios side by side."""
    frame = shifts(rows, arms).sort_values(["ratio", "when"])
    shown = [arm for arm in arms if arm in set(frame["arm"])]
    ratios = [f"{ratio}x" for ratio in sorted(frame["ratio"].unique())]
    drawn = frame.assign(ratio=frame["ratio"].map("{}x".format))
    dodge = 0.56 * (1 - 1 / len(ratios)) if len(ratios) > 1 else False
    with mpl.rc_context(plots.STYLE):
        figure, axes = plots.panels(1, len(MEASURES), 11, 1.3 + 0.36 * len(shown), sharey=True)
        for axis, (name, (label, still)) in zip(axes, MEASURES.items(), strict=True):
            axis.axvline(still, color="#888888", lw=0.8)
            for when, own in drawn.groupby("when"):
                sns.pointplot(
                    own, x=name, y="arm", hue="ratio", order=shown, hue_order=ratios, dodge=dodge, errorbar=None,
                    palette=[plots.style_of(ratio, ratios)["color"] for ratio in ratios], linestyle="none", ax=axis,
                    markers=[plots.style_of(ratio, ratios)["marker"] for ratio in ratios], markersize=5, legend=False,
                    orient="y", **({} if when == "trained" else {"mfc": "white"}),
                )  # fmt: skip
            axis.set(xlabel=label, ylabel="")
        hollow = {"marker": "o", "ls": "", "color": plots.GREY}
        plots.legend(figure, ratios, ratios, at_the_start=hollow | {"mfc": "white"}, trained=hollow)
    return figure, frame


def on_demand_figure(rows: pd.DataFrame, kinds: Sequence[str] = KINDS) -> tuple[Figure, pd.DataFrame]:
    """Score against tokens, seconds and memory; colour: ratio, marker: size of the pictures; the step frontier."""
    frame = cells(on_demand_rows(rows), kinds)
    if frame.empty:
        figure = Figure(figsize=(5, 0.5))
        figure.text(0, 0.5, "nothing to draw: no video was asked about on demand", fontsize=9, va="center")
        return figure, frame
    named = {"ratio": "{:g}x", "input_side": "{:g} px"}
    drawn = frame.assign(**{name: frame[name].map(form.format) for name, form in named.items()})
    drawn = drawn.rename(columns={"ratio": "compression", "input_side": "picture"})
    levels = {name: list(dict.fromkeys(drawn[name])) for name in ("compression", "picture")}
    look = {"hue": "compression", "style": "picture", "size": "frames", "sizes": (18, 90), "alpha": 0.8}
    look["palette"] = {ratio: plots.COLOURS[i] for i, ratio in enumerate(levels["compression"])}
    look["markers"] = {size: plots.MARKERS[i] for i, size in enumerate(levels["picture"])}
    with mpl.rc_context(plots.STYLE):
        figure, axes = plots.panels(1, len(COSTS), 11, 3.9, sharey=True)
        for axis, (cost, label) in zip(axes, COSTS.items(), strict=True):
            best = frontier(frame, cost)
            axis.step(best[cost], best["score"], where="post", color="#888888", lw=1.2, label="step frontier")
            sns.scatterplot(drawn, x=cost, y="score", legend="full", ax=axis, **look)
            axis.set_xscale("log", base=2 if cost == "visual_tokens" else 10)
            axis.set(xlabel=label, ylabel="share of right answers")
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            handles = axis.get_legend_handles_labels()
            axis.get_legend().remove()
            if cost != "visual_tokens":
                axis.xaxis.set_major_locator(mpl.ticker.LogLocator(10, (1, 2, 5)))
                axis.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
        figure.legend(*handles, loc="outside right upper", fontsize=8)
    return figure, frame


def gallery(settings: Any, stories: int = 3) -> Figure:
    """Frames of held-out files, decoded, with what is asked about them; last some frames of a long one."""
    folder = settings.cache_folder / "stories"
    with mpl.rc_context(plots.STYLE):
        figure = Figure(figsize=(10, 1.6 * (stories + 1)), layout="constrained")
        for index, row in enumerate(figure.subfigures(stories + 1, 1)):
            axes = row.subplots(1, SHOWN)
            length = "short" if index < stories else "long"
            story = make_story(folder, settings.split, length, index)
            shown = uniform_indices(story.frames, SHOWN)
            for axis, frame, number in zip(axes, read_frames(story.path, shown), shown, strict=True):
                _show(axis, frame)
                axis.set_xlabel(f"{number + 1}", fontsize=7, labelpad=1)
            text = ", ".join(f"{kind}: {answer}" for kind, answer in story.facts.items())
            row.suptitle(f"{story.frames} frames. {text}", x=0.005, ha="left", fontsize=8.5)
    return figure


def film_frames(settings: Any, name: str) -> np.ndarray:
    """The frames behind the attention maps of a video: ``story`` or the id of a real clip; (T, H, W, 3)."""
    if name == "story":
        story = make_story(settings.cache_folder / "stories", settings.split, "short", STORY)
        return read_frames(story.path, range(story.frames))
    clip = next(clip for clip in corpora.clips() if clip.id == name)
    return read_frames(clip.path, uniform_indices(clip.frames, CLIP_FRAMES), SIZE)


def attention_figure(settings: Any, maps: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Frames of each video, and below them the weight of every token over the uniform one, a row per ratio.

    1 (the middle of the scale) means: as much as pooling gives. The scale is logarithmic, the same everywhere, and cut
    at what one token in a hundred exceeds. The held-out video has a block of its own, of the real clips every second
    frame is shown, side by side.
    """
    ratios = sorted(maps["ratio"].unique())
    half = range(0, CLIP_FRAMES, 2)
    blocks = [[("story", range(SHOWN))], [(clip.id, half) for clip in corpora.clips()]]
    limit = max(0.1, float(np.log2(maps["weight"].clip(lower=2**-6)).abs().quantile(0.99)))
    with mpl.rc_context(plots.STYLE):
        rows = len(blocks) * (1 + len(ratios))
        figure, axes = plots.panels(rows, SHOWN, 9, 1.02 * rows)
        figure.get_layout_engine().set(h_pad=0.02, w_pad=0.02)
        axes = np.reshape(axes, (rows, SHOWN))
        for number, block in enumerate(blocks):
            shown = [(film, index) for film, indices in block for index in indices]
            frames = {film: film_frames(settings, film) for film, _ in block}
            first = number * (1 + len(ratios))
            for column, (film, index) in enumerate(shown):
                _show(axes[first][column], frames[film][index])
                for place, ratio in enumerate(ratios):
                    own = maps[(maps["film"] == film) & (maps["ratio"] == ratio) & (maps["frame"] == index)]
                    grid = own.pivot(index="row", columns="column", values="weight").to_numpy()
                    look = {"cmap": plots.MAP, "vmin": -limit, "vmax": limit}
                    _show(axes[first + 1 + place][column], np.log2(grid.clip(2**-6)), **look)
            axes[first][0].set_ylabel(" and ".join(film for film, _ in block), fontsize=8)
            for place, ratio in enumerate(ratios):
                axes[first + 1 + place][0].set_ylabel(f"{ratio}x", fontsize=8)
        bar = plots.colour_bar(figure, axes.flat, "weight over the uniform one", (-limit, limit), shrink=0.5)
        ticks = [-limit, 0, limit]
        bar.set_ticks(ticks, labels=[f"{2**tick:.2f}" for tick in ticks])
    return figure, wide_maps(maps)


def wide_maps(maps: pd.DataFrame) -> pd.DataFrame:
    """Attention maps with a line for each row of a map: half the size of a line for each weight."""
    return maps.pivot(index=MAP_ROW, columns="column", values="weight").reset_index()


def long_maps(wide: pd.DataFrame) -> pd.DataFrame:
    """The maps that :func:`wide_maps` made wide."""
    maps = wide.melt(MAP_ROW, var_name="column", value_name="weight").dropna()
    return maps.astype({"column": int}).sort_values([*MAP_ROW, "column"], ignore_index=True)


def twice_at_1x(width: int = 64, tokens: int = 16) -> pd.DataFrame:
    """Connectors with random weights on random tokens at side 1: output over input, smallest and largest ratio."""
    import torch

    from oryx.model.config import OryxConfig
    from oryx.model.connectors import build_compressor
    from workbook.studies.compressor.arms import ARMS

    torch.manual_seed(0)
    x, lines = torch.randn(1, tokens, width), []
    for name in dict.fromkeys(arm.connector for arm in ARMS.values()):
        vision = {"hidden_size": width, "num_attention_heads": 1}
        connector = build_compressor(OryxConfig(vision_config=vision, compressor_dim=16, compressor=name))
        with torch.no_grad():
            for parameter in connector.parameters():
                if "output" not in name:  # value and output maps start as the identity; random ones are no factor
                    parameter.normal_()
            ratio = connector(x, (1, tokens), 1)[0] / x
        lines.append({"connector": name, "smallest ratio": float(ratio.min()), "largest ratio": float(ratio.max())})
    return pd.DataFrame(lines)


def _show(axis: Axes, picture: np.ndarray, **look: Any) -> AxesImage:
    image = axis.imshow(picture, interpolation="none", **look)  # vector files then hold each pixel once
    axis.set_xticks([])
    axis.set_yticks([])
    return image
