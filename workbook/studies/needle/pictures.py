"""What the needle study shows its models: frames of a real video file with the needle inside, and every variant."""

import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from oryx.processing.video import read_frames
from workbook.data.needles import VARIANTS, Trial, make_trial
from workbook.report.plots import STYLE

SHOWN = 12
SIZE = (32, 32)
"""Height and width of the frames that the small readers see."""


BORDER, GAP = 2, 2
"""Pixels of a frame's coloured edge, and of the white between edges."""


def gallery(settings: Any) -> Figure:
    """A row per variant: frames of a complete file, decoded; needle frames marked orange, distractors blue."""
    trials = [make_trial(settings.split, variant, SHOWN, 0.5, 0, SIZE) for variant in VARIANTS]
    with mpl.rc_context(STYLE), tempfile.TemporaryDirectory() as folder:
        figure = Figure(figsize=(10, 1.1 * len(trials)), layout="constrained")
        for axis, trial in zip(figure.subplots(len(trials)), trials, strict=True):
            frames = read_frames(trial.file(Path(folder)).path, range(SHOWN))
            marked = [_edged(frame, _mark(trial, place)) for place, frame in enumerate(frames)]
            axis.imshow(np.concatenate(marked, 1), interpolation="nearest")
            axis.set_axis_off()
            text = f"{trial.needle.variant}: “{trial.needle.question}” → “{trial.needle.answer}”"
            axis.set_title(text, loc="left", fontsize=8.5)
    return figure


def _mark(trial: Trial, place: int) -> tuple[int, int, int]:
    if place in trial.needles:
        return (230, 159, 0)
    return (0, 114, 178) if place in trial.others else (255, 255, 255)


def _edged(frame: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """The frame (H, W, 3) with an edge of that colour, and white around."""
    height, width, _ = frame.shape
    edged = np.full((height + 2 * BORDER, width + 2 * BORDER, 3), colour, np.uint8)
    edged[BORDER:-BORDER, BORDER:-BORDER] = frame
    return np.pad(edged, ((0, 0), (0, 2 * GAP), (0, 0)), constant_values=255)
