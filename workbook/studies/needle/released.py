"""The needle study on released weights: the same videos and cells, questions as sentences, nothing trained."""

import json
import tomllib
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import torch
from accelerate import dispatch_model, infer_auto_device_map
from PIL import Image

import oryx
from oryx.errors import InputError, MissingResource
from oryx.eval.features import FrameCache, FrameEncoder
from oryx.eval.generate import ChatPrompt
from oryx.grids import Size
from oryx.model.loading import check_free, resolve
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.context import check_fits, compressed
from oryx.processing.images import frame_view
from oryx.processing.video import probe
from oryx.train.device import Compute, compute, process
from workbook.studies.base import Progress
from workbook.studies.frames import at_size
from workbook.studies.needle.arms import ARMS
from workbook.studies.needle.cells import arm_cells
from workbook.studies.needle.evaluation import Evaluation
from workbook.studies.needle.settings import Settings
from workbook.studies.needle.videos import TrialVideos, haystacks_of

PHRASES = tomllib.loads(Path(__file__).with_name("phrases.toml").read_text("utf-8"))
"""Short form of a question -> how released models are asked."""
CHUNK = 16


def shown_size(settings: Settings) -> Size:
    """(height, width) of the frames: as set, or those of one's own video, cut to even sides as H.264 wants needles."""
    if not settings.video:
        return settings.frame_side, settings.frame_side
    height, width = probe(settings.video).size
    return height - height % 2, width - width % 2


def check(settings: Settings) -> None:
    """Raises MissingResource without a checkpoint, InputError saying how many frames fit if a length does not."""
    if not settings.checkpoint:
        raise MissingResource("scale 'paper' needs released weights: -p checkpoint=FOLDER or a repository name")
    if (gpus := torch.cuda.device_count()) and settings.processes > gpus:
        raise InputError(f"processes: expected at most one for each GPU here, that is {gpus}; got {settings.processes}")
    config, size = json.loads((resolve(settings.checkpoint) / "config.json").read_text()), shown_size(settings)
    for arm in settings.arms:
        longest, grid = max(cell.frames for cell in arm_cells(settings, arm)), compressed(size, ARMS[arm].side ** 2)
        check_fits(longest, config["tokenizer_model_max_length"], grid)


@lru_cache(maxsize=4)
def placed(model: OryxForConditionalGeneration, machine: Compute) -> OryxForConditionalGeneration:
    """On the GPU if there is one, each of several processes on its own; one process takes all GPUs that there are."""
    if process().num_processes > 1 or torch.cuda.device_count() < 2:
        return machine.place(model)
    whole = ["Block", *(model.language_model._no_split_modules or [])]
    return dispatch_model(model, infer_auto_device_map(model, no_split_module_classes=whole))


def run_arm(settings: Settings, arm: str, folder: Path, base: dict, progress: Progress) -> None:
    """Ask released weights every cell of an arm; an interrupted run resumes from the rows in ``folder``."""
    side, machine = ARMS[arm].side, compute(settings.precision)
    gpus = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    check_free(resolve(settings.checkpoint), machine.dtype, gpus if process().num_processes == 1 else [machine.device])
    model = placed(oryx.load(settings.checkpoint, dtype=machine.dtype), machine)
    processor, size = model.processor, shown_size(settings)
    if processor is None:
        raise MissingResource(f"{settings.checkpoint}: expected a tokenizer beside the weights, there is none")
    options = processor.options
    long = side > 2  # as the released scripts: 16x compressed videos have a size rule of their own

    def view(frame: Image.Image) -> Image.Image:
        return frame_view(at_size(frame, size), options, long)

    dtype = next(model.parameters()).dtype
    encoder = FrameEncoder(model, view, side, machine, CHUNK, dtype, **settings.decoding)
    identity = {"weights": base["weights_hash"], "size": list(size), "options": asdict(options)}
    features = FrameCache(settings.cache_folder / "features", encoder, identity)
    videos, grid = (
        TrialVideos(haystacks_of(settings, size), features),
        compressed(size, side**2, options, processor.patch),
    )
    evaluation = Evaluation(settings, model, videos, base, grid, 0, ChatPrompt(processor), PHRASES)
    evaluation.ask(folder, machine, progress)
