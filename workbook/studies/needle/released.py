"""The needle study on released weights: the same videos and cells, questions as sentences, nothing trained."""

import tomllib
from dataclasses import asdict
from pathlib import Path

import torch
from PIL import Image

from oryx.errors import InputError
from oryx.eval.features import FrameCache, FrameEncoder
from oryx.eval.generate import ChatPrompt
from oryx.model.loading import check_free
from oryx.processing.images import frame_view
from oryx.train.device import compute, load_whole, process
from workbook.studies.base import Progress
from workbook.studies.frames import at_size, write_in_parallel
from workbook.studies.needle.arms import ARMS
from workbook.studies.needle.evaluation import Evaluation
from workbook.studies.needle.reading import CHUNK, check_lengths, reading, shown_size
from workbook.studies.needle.settings import Settings
from workbook.studies.needle.videos import TrialVideos, haystacks_of

PHRASES = tomllib.loads(Path(__file__).with_name("phrases.toml").read_text("utf-8"))
"""Short form of a question -> how released models are asked."""


def check(settings: Settings) -> None:
    """Raises before any work what would make this run fail later, and says how many frames fit."""
    if (gpus := torch.cuda.device_count()) and settings.processes > gpus:
        raise InputError(f"processes: expected at most one for each GPU here, that is {gpus}; got {settings.processes}")
    check_lengths(reading(settings))


def draw(settings: Settings) -> None:
    """Write the haystacks, as many at a time as there are cores: no GPU waits for them."""
    write_in_parallel(haystacks_of(settings, shown_size(settings)).drawings())


def run_arm(settings: Settings, arm: str, folder: Path, base: dict, progress: Progress) -> None:
    """Ask released weights every cell of an arm; an interrupted run resumes from the rows in ``folder``."""
    side, machine, found = ARMS[arm].side, compute(settings.precision), reading(settings)
    gpus = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    check_free(found.folder, machine.dtype, gpus if process().num_processes == 1 else [machine.device])
    scaled = {"context": settings.context, "rope_scaling": settings.rope_scaling}
    model = load_whole(settings.checkpoint, machine, **scaled)
    processor, size, options = model.processor, found.size, found.options
    long = side > 2  # as the released scripts: 16x compressed videos have a size rule of their own

    def view(frame: Image.Image) -> Image.Image:
        return frame_view(at_size(frame, size), options, long)

    dtype = next(model.parameters()).dtype
    encoder = FrameEncoder(model, view, side, machine, CHUNK, dtype, **settings.decoding)
    identity = {"weights": base["weights_hash"], "size": list(size), "options": asdict(options)}
    features = FrameCache(settings.cache_folder / "features", encoder, identity)
    videos, prompts, read = TrialVideos(haystacks_of(settings, size), features), ChatPrompt(processor), found.context
    base = base | {"context": read.tokens, "rope_scaling": read.scaling, "rope_factor": read.factor}
    evaluation = Evaluation(found.settings, model, videos, base, found.grid(arm), 0, prompts, PHRASES)
    evaluation.ask(folder, machine, progress)
