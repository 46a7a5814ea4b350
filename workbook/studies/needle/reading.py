"""How released weights would read the videos of a run: sizes and context, from their configuration alone."""

from dataclasses import dataclass, replace
from pathlib import Path

from oryx.errors import InputError, MissingResource, SettingsError
from oryx.files import read_json
from oryx.grids import Grid, Size, SizeRule
from oryx.model.loading import resolve
from oryx.processing.context import PATCH, Context, check_fits, compressed, context_of, frames_that_fit
from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import CONFIG_FILE
from oryx.processing.video import probe
from workbook.studies.needle.arms import ARMS, RELEASED
from workbook.studies.needle.cells import arm_cells
from workbook.studies.needle.settings import Settings

AS_DRAWN = SizeRule(stride=64, max_side=480, min_side=0)
"""Frames that are not enlarged to the released least area, in sides that 16x compression divides."""


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
    context: Context

    def grid(self, arm: str) -> Grid:
        """The grid of a frame as ``arm`` compresses it."""
        return compressed(self.size, ARMS[arm].side ** 2, self.options, self.patch)

    @property
    def fields(self) -> dict[str, str | int | float]:
        """What every row says of the context."""
        found = self.context
        return {"context": found.tokens, "rope_scaling": found.scaling, "rope_factor": found.factor}


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
    context = context_of(read_json(folder / "config.json"), settings.context, settings.rope_scaling)
    found = Reading(settings, folder, shown_size(settings), options, stated.get("patch", PATCH), context)
    most = frames_that_fit(context.tokens, found.grid(RELEASED[0]))
    if settings.video:
        most = min(most, probe(settings.video, **settings.decoding).frames)
    fitting = tuple(frames for frames in settings.beyond if frames <= most)
    return replace(found, settings=settings.model_copy(update={"beyond": fitting}))


def check_lengths(found: Reading) -> None:
    """Raises SettingsError, saying what would fit, if a length does not fit the context of an arm."""
    for arm in found.settings.arms:
        try:
            longest = max(cell.frames for cell in arm_cells(found.settings, arm))
            check_fits(longest, found.context.tokens, found.grid(arm))
        except InputError as error:
            raise SettingsError(
                f"lengths: arm {arm}: {error}. Settings: lengths; frame_rule=as_drawn with frame_side; context"
            ) from None
