"""A file by the released models' exact rules: what it is resized to, its tokens, what they take. No weights needed."""

import numpy as np
import pandas as pd
from PIL import Image

from oryx.processing import fit
from oryx.processing.context import PATCH, PROMPT_TOKENS, RULES, compressed, frames_that_fit
from oryx.processing.images import frame_view, image_views
from oryx.processing.options import PreprocessOptions
from oryx.processing.shapes import read_shape
from workbook.explore.pictures import WIDEST, Shown, view
from workbook.report.plots import panels

MODELS = ("7b", "34b")


def by_the_rules(picture: Image.Image, frames: int = 0) -> Shown:
    """``picture`` at each ratio, every square one token; and its tokens, and what they take of :data:`MODELS`.

    ``frames``: it is the first of so many frames of a video, or views, each of its size; 0: it is a picture.
    """
    size, options, found, shapes = picture.size[::-1], PreprocessOptions(), {}, [read_shape(name) for name in MODELS]
    figure, axes = panels(1, len(RULES), WIDEST, min(4.5, 0.5 + WIDEST / len(RULES) * size[0] / size[1]))
    for axis, ratio in zip(axes, sorted(RULES), strict=True):
        side, long = round(ratio**0.5), RULES[ratio] == "video_long"
        seen = frame_view(picture, options, long) if frames else image_views(picture, options)[1]
        shown = fit.video(frames, size, ratio) if frames else fit.picture(size, side=side)
        line = {"resized to": f"{seen.width} x {seen.height} px", "visual tokens": f"{shown.tokens:,}"}
        view(axis, np.asarray(seen), f"{ratio}x: {line['visual tokens']} tokens", PATCH * side)
        for shape in shapes:
            share = (shown.tokens + PROMPT_TOKENS) / shape.context
            line[f"{shape.name}: of its context"] = f"{share:.1%}" + (", does not fit" if share > 1 else "")
            line[f"{shape.name}: keys and values"] = f"{fit.memory(shape, shown).cache / fit.GIGA:.3g} GB"
            if frames:
                line[f"{shape.name}: frames that fit"] = f"{frames_that_fit(shape.context, compressed(size, ratio)):,}"
        found[f"{ratio}x"] = line
    what, numbers = f"{frames} frames or views" if frames else "A picture", pd.DataFrame(found)
    alt = f"{what} of {size[1]} x {size[0]} px as the released models read it at 1x, 4x and 16x, every square a token."
    return Shown(figure, alt, numbers)
