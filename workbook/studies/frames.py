"""Frame features for the studies on video: one cache on disk for all arms, seeds and runs of a results folder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from oryx.eval.features import FrameCache, FrameEncoder, FrameTokens
from oryx.model.modeling import OryxForConditionalGeneration


def at_size(frame: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The frame scaled to (height, width); itself if it has that size."""
    return frame if frame.size == size[::-1] else frame.resize(size[::-1], Image.Resampling.BICUBIC)


def frame_pixels(size: tuple[int, int]) -> Callable[[Image.Image], Tensor]:
    """A function from a frame to its pixels (3, H, W) in [-1, 1], scaled to ``size`` where it has another."""

    def pixels(frame: Image.Image) -> Tensor:
        shown = np.asarray(at_size(frame, size), dtype=np.float32)
        return torch.from_numpy(shown.transpose(2, 0, 1) / np.float32(127.5) - 1)

    return pixels


def frame_cache(
    folder: Path, model: OryxForConditionalGeneration, side: int, size: tuple[int, int], weights: str
) -> FrameCache:
    """The feature cache of one encoder (``weights``: its hash), frame size and region side."""
    encoder = FrameEncoder(model, frame_pixels(size), side)
    return FrameCache(folder / "features", encoder, {"weights": weights, "size": list(size)})


def compressed(model: OryxForConditionalGeneration, video: FrameTokens, side: int) -> FrameTokens:
    """A video's uncompressed tokens as the model's connector passes them on, on the model's device."""
    return FrameTokens(*model.compressor(on_device(model, video).tokens, video.grid, side))


def on_device(model: OryxForConditionalGeneration, video: FrameTokens) -> FrameTokens:
    """A video's tokens in float32 where the model is."""
    return FrameTokens(video.tokens.to(model.device, torch.float32), video.grid)
