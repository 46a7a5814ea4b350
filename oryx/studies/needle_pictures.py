"""What the needle study shows its models: frames of a real video file with the needle inside, and every variant."""

import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from oryx.data.needles import VARIANTS, Trial, make_trial
from oryx.processing.video import read_frames
from oryx.report.plots import STYLE

SHOWN = 12
SIZE = (32, 32)
"""Height and width of the frames that the small readers see."""


def gallery(settings: Any) -> Figure:
    """A row per variant: frames of a complete file, decoded; needle frames marked orange, distractors blue."""
    trials = [make_trial(settings.split, variant, SHOWN, 0.5, 0, SIZE) for variant in VARIANTS]
    with mpl.rc_context(STYLE), tempfile.TemporaryDirectory() as folder:
        figure = Figure(figsize=(10, 1.02 * len(trials)), layout="constrained")
        for axes, trial in zip(figure.subplots(len(trials), SHOWN), trials, strict=True):
            frames = read_frames(trial.file(Path(folder)).path, range(SHOWN))
            for place, (axis, frame) in enumerate(zip(axes, frames, strict=True)):
                _show(axis, frame, _mark(trial, place))
            text = f"{trial.needle.variant}: “{trial.needle.question}” → “{trial.needle.answer}”"
            axes[0].set_title(text, loc="left", fontsize=8.5)
    return figure


def _mark(trial: Trial, place: int) -> str | None:
    if place in trial.needles:
        return "#E69F00"
    return "#0072B2" if place in trial.others else None


def _show(axis, frame, mark: str | None) -> None:
    axis.imshow(frame)
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set(visible=mark is not None, color=mark or "none", linewidth=3)
