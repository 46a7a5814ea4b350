"""Study 3 on released weights: compression ratio, the compressor's attention, and what equal visual tokens buy.

``dynamic`` is the model as released. ``average_x2`` has the attention taken away: twice the mean of each region, which
the compressor itself returns where attention is uniform, and at 1x always. ``on_demand`` asks at every ratio and size
of frames with as many frames as cost about the same visual tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from oryx import Video
from oryx.files import read_json
from oryx.grids import compressed_grid, patch_grid
from oryx.model.connectors import AveragePooling
from oryx.model.loading import resolve
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.context import PATCH, check_fits, context_of
from oryx.processing.sizes import Resolution
from oryx.processing.video import probe
from workbook.data.protocols import protocol
from workbook.studies.asking import Question, Way
from workbook.studies.base import Progress
from workbook.studies.compressor.arms import FULL, region_side
from workbook.studies.compressor.cells import ratios_of, trained_ratios
from workbook.studies.compressor.settings import Settings
from workbook.studies.public.settings import SMALL
from workbook.studies.released import ask, items_of, question, way

TRAINED = (4, 16)
"""The ratios that released weights have learned beside 1."""
MIDDLE = 4
"""The ratio at which ``on_demand`` has the settings' frames at the middle one of its sizes."""


@dataclass(frozen=True)
class Cell:
    """One way of showing videos: a ratio, at most so many frames, each of an area of ``side``²; 0: by the protocol."""

    ratio: int
    frames: int
    side: int = 0


def cells(settings: Settings, arm: str) -> list[Cell]:
    """How an arm is shown its videos; without attention 1x is the released model itself and not asked again.

    Arms that are trained (scale ``small``) are asked where they were: at 1x only those of that ratio alone.
    """
    if settings.scale == SMALL:
        return [Cell(ratio, settings.frames) for ratio in trained_ratios(settings, arm)]
    if arm != "on_demand":
        asked = [ratio for ratio in ratios_of(settings) if ratio != FULL or arm == "dynamic"]
        return [Cell(ratio, settings.frames, settings.side) for ratio in asked]
    ratios = (FULL, *(settings.ratios or TRAINED))
    sides = (settings.on_demand_side // 2, settings.on_demand_side, 2 * settings.on_demand_side)
    frames = {side: settings.frames * (settings.on_demand_side / side) ** 2 / MIDDLE for side in sides}
    return [Cell(ratio, max(1, round(frames[side] * ratio)), side) for ratio, side in product(ratios, sides)]


def check_lengths(settings: Settings, arms: list[str]) -> None:
    """Raises InputError, before any work, for a cell whose videos the model cannot take, saying how many frames fit."""
    context = context_of(read_json(resolve(settings.checkpoint) / "config.json")).tokens
    options = protocol(settings.protocol).options
    videos = {item.visual for items in items_of(settings).values() for item in items if item.visual.is_file()}
    sizes = {(found.size, found.frames) for found in map(probe, videos)}
    for cell, (size, frames) in product([cell for arm in arms for cell in cells(settings, arm)], sizes):
        side = region_side(cell.ratio)
        rule = options.video_long if side > 2 else options.video
        shown = Resolution("area", cell.side).target(size, PATCH * side) if cell.side else rule.target(size)
        check_fits(min(cell.frames, frames), context, compressed_grid(patch_grid(shown, PATCH), side))


def without_attention(model: OryxForConditionalGeneration) -> None:
    """The released model's compressor gives twice the mean of each region, whatever its weights."""
    model.compressor = AveragePooling(model.config, factor=2.0)


def asked(settings: Settings, arm: str) -> Iterator[tuple[list[Question], Way]]:
    """Every benchmark in every cell of an arm."""
    used, own = protocol(settings.protocol), {"options": None} if settings.scale == SMALL else {}
    for cell, (name, items) in product(cells(settings, arm), items_of(settings).items()):
        shown = {"ratio": cell.ratio, "input_side": cell.side, "length": f"{cell.frames} frames", "kind": name}
        named = f"/{cell.ratio}x" + (f"/{cell.side}px" if cell.side else "")
        videos = [(item, Video(item.visual, cell.frames, used.repeat_frames, **settings.decoding)) for item in items]
        questions = [question(name, item, video, named, f"{name}_{cell.ratio}x", **shown) for item, video in videos]
        resolution = Resolution("area", cell.side) if cell.side else "native"
        yield questions, way(used, name, resolution=resolution, compression=cell.ratio, **own)


def run_arm(settings: Settings, arm: str, folder: Path, base: dict, progress: Progress) -> None:
    """Ask one arm; an interrupted run resumes from ``folder``."""
    change = {"change": without_attention} if arm == "average_x2" else {}
    ask(settings, asked(settings, arm), base | {"protocol": settings.protocol}, folder, progress, **change)
