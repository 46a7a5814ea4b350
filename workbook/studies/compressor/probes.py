"""Two qualitative probes: where regional attention puts its weight, and what an arm answers about the real clips."""

from typing import Any

import torch

from oryx.eval.features import FrameTokens
from oryx.eval.generate import ask, read_videos
from oryx.grids import uniform_indices
from oryx.model.compressor import DynamicCompressor
from oryx.model.inspect import compressor_attention
from oryx.model.modeling import OryxForConditionalGeneration
from workbook.data import corpora
from workbook.data.stories import QUESTIONS
from workbook.studies.compressor.arms import (
    ARMS,
    CLIP_FRAMES,
    STORY,
    compressed_ratios,
    input_side,
    picture_side,
    ratios_of,
    region_side,
    story,
)
from workbook.studies.compressor.features import Features
from workbook.studies.frames import compressed, on_device

LONGEST_ANSWER = 12
"""Tokens of an answer about a real clip."""


def probes(settings: Any, arm: str, model: OryxForConditionalGeneration, features: Features) -> dict:
    """What an arm's weights and answers show.

    ``maps``: one line per row of a map of a video shown, the weight of each of its tokens over the uniform one under
    the number of its column. ``answers``: to all questions about the real clips, which have no known truth.
    """
    videos = {"story": features.story(story(settings, "short", STORY).path, picture_side(settings))}
    videos |= {clip.id: clip_tokens(features, clip, picture_side(settings)) for clip in corpora.clips()}
    maps = []
    for name, video in videos.items() if isinstance(model.compressor, DynamicCompressor) else ():
        own = on_device(model, video)
        for ratio in compressed_ratios(settings, arm):
            weights = compressor_attention(model.compressor, own.tokens, own.grid, region_side(ratio))
            for frame, grid in enumerate(weights.double().numpy().round(4)):
                place = {"film": name, "ratio": ratio, "frame": frame}
                maps += [{**place, "row": i, **dict(enumerate(row.tolist()))} for i, row in enumerate(grid)]
    return {"maps": maps, "answers": list(_answers(settings, arm, model, features))}


def clip_tokens(features: Features, clip: corpora.Clip, side: int) -> FrameTokens:
    """Uncompressed tokens of the frames shown of a real clip."""
    return features.cache(side).encode(clip.path, uniform_indices(clip.frames, CLIP_FRAMES))


@torch.inference_mode()
def _answers(settings: Any, arm: str, model: OryxForConditionalGeneration, features: Features):
    for clip in corpora.clips():
        for ratio in ratios_of(settings, arm):
            video = clip_tokens(features, clip, input_side(settings, arm, ratio))
            region = 1 if ARMS[arm].smaller else region_side(ratio)
            read = read_videos(model, [compressed(model, video, region)])
            answers = {question: ask(read, [question], [""], LONGEST_ANSWER)[0][0] for question in QUESTIONS.values()}
            yield {"clip": clip.id, "ratio": ratio, **answers}
