"""What the connector study shows its models, and where regional attention looks."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from oryx.grids import uniform_indices
from oryx.processing.video import read_frames
from workbook.data import corpora
from workbook.data.stories import SIZE, make_story
from workbook.report.plots import STYLE
from workbook.studies.compressor.arms import CLIP_FRAMES, STORY
from workbook.studies.videos import cache_folder

COLOURS = "cividis"
SHOWN = 8


def gallery(settings: Any, stories: int = 3) -> Figure:
    """Frames of held-out files, decoded, with what is asked about them; last some frames of a long one."""
    folder = cache_folder(settings) / "stories"
    with mpl.rc_context(STYLE):
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
    """The frames behind the attention maps of a film: ``story`` or the id of a real clip; (T, H, W, 3)."""
    if name == "story":
        story = make_story(cache_folder(settings) / "stories", settings.split, "short", STORY)
        return read_frames(story.path, range(story.frames))
    clip = next(clip for clip in corpora.clips() if clip.id == name)
    return read_frames(clip.path, uniform_indices(clip.frames, CLIP_FRAMES), SIZE)


def attention_figure(settings: Any, maps: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Frames of each film, and below them the weight of every token over the uniform one, a row per ratio.

    1 (the middle of the scale) means: as much as pooling gives. The scale is logarithmic, the same everywhere, and cut
    at what one token in a hundred exceeds. The held-out film has a block of its own, of the real clips every second
    frame is shown, side by side.
    """
    ratios = sorted(maps["ratio"].unique())
    half = range(0, CLIP_FRAMES, 2)
    blocks = [[("story", range(SHOWN))], [(clip.id, half) for clip in corpora.clips()]]
    limit = max(0.1, float(np.log2(maps["weight"].clip(lower=2**-6)).abs().quantile(0.99)))
    with mpl.rc_context(STYLE):
        rows = len(blocks) * (1 + len(ratios))
        figure = Figure(figsize=(9, 1.02 * rows), layout="constrained")
        figure.get_layout_engine().set(h_pad=0.02, w_pad=0.02)
        axes = figure.subplots(rows, SHOWN, squeeze=False)
        for number, block in enumerate(blocks):
            shown = [(film, index) for film, indices in block for index in indices]
            frames = {film: film_frames(settings, film) for film, _ in block}
            first = number * (1 + len(ratios))
            for column, (film, index) in enumerate(shown):
                _show(axes[first][column], frames[film][index])
                for place, ratio in enumerate(ratios):
                    own = maps[(maps["film"] == film) & (maps["ratio"] == ratio) & (maps["frame"] == index)]
                    grid = own.pivot(index="row", columns="column", values="weight").to_numpy()
                    look = {"cmap": COLOURS, "vmin": -limit, "vmax": limit}
                    image = _show(axes[first + 1 + place][column], np.log2(grid.clip(2**-6)), **look)
            axes[first][0].set_ylabel(" and ".join(film for film, _ in block), fontsize=8)
            for place, ratio in enumerate(ratios):
                axes[first + 1 + place][0].set_ylabel(f"{ratio}x", fontsize=8)
        bar = figure.colorbar(image, ax=axes, shrink=0.5, label="weight over the uniform one")
        ticks = [-limit, 0, limit]
        bar.set_ticks(ticks, labels=[f"{2**tick:.2f}" for tick in ticks])
    return figure, wide_maps(maps)


MAP_ROW = ["film", "ratio", "frame", "row"]


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

    from oryx.model.compressor import build_compressor
    from oryx.model.config import OryxConfig
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


def _show(axis, picture: np.ndarray, **look):
    image = axis.imshow(picture, interpolation="none", **look)  # vector files then hold each pixel once
    axis.set_xticks([])
    axis.set_yticks([])
    return image


__all__ = ["attention_figure", "film_frames", "gallery"]
