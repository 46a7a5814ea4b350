"""What the studies on video share: files written in parallel, frame features in one cache of a results folder."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from oryx.eval.features import FrameCache, FrameEncoder, FrameTokens
from oryx.model.modeling import OryxForConditionalGeneration
from workbook.runs.jobs import cores
from workbook.runs.worker import die_with_parent

MOST_TOKENS = 40_000
"""Video tokens that a model reads at once: what bounds the memory of an evaluation."""


def at_size(frame: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The frame scaled to (height, width); itself if it has that size."""
    return frame if frame.size == size[::-1] else frame.resize(size[::-1], Image.Resampling.BICUBIC)


def frame_cache(
    folder: Path, model: OryxForConditionalGeneration, side: int, size: tuple[int, int], weights: str
) -> FrameCache:
    """The feature cache of one encoder (``weights``: its hash), frame size and region side."""
    encoder = FrameEncoder(model, partial(at_size, size=size), side)
    return FrameCache(folder / "features", encoder, {"weights": weights, "size": list(size)})


def compressed(model: OryxForConditionalGeneration, video: FrameTokens, side: int) -> FrameTokens:
    """A video's uncompressed tokens as the model's connector passes them on, on the model's device."""
    return FrameTokens(*model.compressor(on_device(model, video).tokens, video.grid, side))


def on_device(model: OryxForConditionalGeneration, video: FrameTokens) -> FrameTokens:
    """A video's tokens in float32 where the model is."""
    return FrameTokens(video.tokens.to(model.device, torch.float32), video.grid)


def write_in_parallel(calls: Sequence[Callable[[], object]]) -> None:
    """Make every call, each in a process of its own, as many at a time as there are cores."""
    with ProcessPoolExecutor(cores(), initializer=die_with_parent, initargs=(os.getpid(),)) as pool:
        for job in [pool.submit(call) for call in calls]:
            job.result()
