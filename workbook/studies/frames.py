"""Frame features for the studies on video: one cache on disk for all arms, seeds and runs of a results folder."""

from functools import partial
from pathlib import Path

import torch
from PIL import Image

from oryx.eval.features import FrameCache, FrameEncoder, FrameTokens
from oryx.model.modeling import OryxForConditionalGeneration


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
