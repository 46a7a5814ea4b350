"""How released weights would read the videos of a run: sizes and context, from their configuration alone."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from oryx.errors import MissingResource
from oryx.files import read_json
from oryx.grids import Grid, Size, SizeRule, patch_grid
from oryx.model.loading import resolve
from oryx.processing import context, fit
from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import CONFIG_FILE
from oryx.processing.shapes import read_shape
from oryx.processing.video import probe
from workbook.data.haystacks import make_haystack
from workbook.runs.jobs import cores
from workbook.studies.frames import MOST_TOKENS
from workbook.studies.needle.arms import ARMS, RELEASED
from workbook.studies.needle.cells import arm_cells, audit_cells
from workbook.studies.needle.settings import Settings

AS_DRAWN = SizeRule(stride=64, max_side=480, min_side=0)
"""Frames that are not enlarged to the released least area, in sides that 16x compression divides."""
CHUNK = 16
"""Frames that are encoded at a time."""
SAMPLE = 16
"""Frames that are drawn to say how long drawing takes."""


@dataclass(frozen=True)
class Reading:
    """What a checkpoint is shown, and how much of it at a time.

    ``settings``: of the run, without the lengths ``beyond`` that do not fit; ``size``: (height, width) of the frames in
    pixels; ``options``: the size rules that they go through; ``patch``: side of the encoder's patches.
    """

    settings: Settings
    folder: Path
    size: Size
    options: PreprocessOptions
    patch: int
    context: context.Context

    def grid(self, arm: str) -> Grid:
        """The grid of a frame as ``arm`` compresses it."""
        return context.compressed(self.size, ARMS[arm].side ** 2, self.options, self.patch)

    def shown(self, arm: str, frames: int) -> fit.Shown:
        """A video of ``frames`` frames in the numbers that memory and operations follow from."""
        rule = getattr(self.options, context.RULES[ARMS[arm].side ** 2])
        return fit.frames_of(frames, patch_grid(rule.target(self.size), self.patch), ARMS[arm].side)


def shown_size(settings: Settings) -> Size:
    """(height, width) of the frames: as set, or those of one's own video, cut to even sides as H.264 wants needles."""
    if not settings.video:
        return settings.frame_side, settings.frame_side
    height, width = probe(settings.video, **settings.decoding).size
    return height - height % 2, width - width % 2


def reading(settings: Settings) -> Reading:
    """Of the checkpoint that the settings name; raises MissingResource or CheckpointError if its files tell too little.

    What an authors' checkpoint does not state is as all released scripts have it.
    """
    if not settings.checkpoint:
        raise MissingResource("scale 'paper' needs released weights: -p checkpoint=FOLDER or a repository name")
    folder = resolve(settings.checkpoint)
    stated = read_json(folder / CONFIG_FILE) if (folder / CONFIG_FILE).is_file() else {}
    options = PreprocessOptions.from_dict(stated.get("options", {}))
    if settings.frame_rule == "as_drawn":
        options = replace(options, video=AS_DRAWN, video_long=AS_DRAWN)
    held = context.context_of(read_json(folder / "config.json"), settings.context, settings.rope_scaling)
    found = Reading(settings, folder, shown_size(settings), options, stated.get("patch", context.PATCH), held)
    most = context.frames_that_fit(held.tokens, found.grid(RELEASED[0]))
    if settings.video:
        most = min(most, probe(settings.video, **settings.decoding).frames)
    fitting = tuple(frames for frames in settings.beyond if frames <= most)
    return replace(found, settings=settings.model_copy(update={"beyond": fitting}))


def check_lengths(found: Reading) -> None:
    """Raises InputError, saying what would fit, if a length does not fit the context of an arm."""
    for arm in found.settings.arms:
        longest = max(cell.frames for cell in arm_cells(found.settings, arm))
        context.check_fits(longest, found.context.tokens, found.grid(arm))


def plan(found: Reading) -> dict[str, str]:
    """Lines of a plan: what the arms ask and what it takes, by arithmetic but for the time of drawing, measured now."""
    settings, shape = found.settings, read_shape(found.folder)
    cells = [(arm, cell) for arm in settings.arms for cell in arm_cells(settings, arm)]
    whole = [(arm, cell) for arm in settings.arms for cell in audit_cells(settings, arm)]
    videos = [(found.shown(arm, cell.frames), cell.trials) for arm, cell in cells + whole]
    files, longest = 0 if settings.video else settings.haystacks, max(cell.frames for _, cell in cells)
    needles, audits = (sum(cell.trials for _, cell in asked) for asked in (cells, whole))
    questions = 2 * needles + audits + sum(cell.trials for _, cell in cells if cell.variant == "number")
    drawn, anew = files * settings.haystack_frames, sum(cell.frames * cell.trials for _, cell in whole)
    encoded = sum(fit.operations(shape, found.shown(arm, drawn + needles + anew))[0] for arm in settings.arms)
    read = sum(fit.operations(shape, shown)[1] * n for shown, n in videos)
    # short videos are read together, up to so many tokens
    most = {arm: MOST_TOKENS // context.frame_tokens(found.grid(arm)) for arm in settings.arms}
    peak = max(fit.memory(shape, found.shown(arm, max(longest, n)), chunk=CHUNK).needed for arm, n in most.items())
    with TemporaryDirectory() as folder:
        for number in range(2):  # the first reads fonts and photographs
            began = time.perf_counter()
            make_haystack(Path(folder), settings.split, number, SAMPLE, found.size)
        minutes = (time.perf_counter() - began) / SAMPLE / 60
    return {
        "context": f"{found.context}; the longest video has {longest:,} frames",
        "videos read": f"{needles + audits:,}, {sum(shown.tokens * n for shown, n in videos):,} visual tokens",
        "questions": f"{questions:,}",
        "forward operations": f"{read:.3g} reading, {encoded:.3g} encoding",
        "drawing before the arms": f"{drawn:,} frames, {drawn * minutes:.2g} minutes of a core, {cores()} cores here",
        "drawing while an arm asks": f"{anew:,} frames of complete files, {anew * minutes:.2g} minutes",
        "files": f"{files} haystacks, about {needles:,} needles",
        "memory of a GPU": f"{peak / fit.GIGA:.3g} GB in bf16, by arithmetic",
    }
