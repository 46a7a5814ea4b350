"""What numbers do not show: where regional attention looks, and what arms say about the two real clips. Qualitative."""

from typing import Any

import torch

from oryx.eval.features import FrameTokens
from oryx.eval.generate import ask, read_videos
from oryx.grids import uniform_indices
from oryx.model.compressor import DynamicCompressor
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
)
from workbook.studies.compressor.features import Features, stories
from workbook.studies.compressor.shift import attention_map
from workbook.studies.frames import compressed, on_device

MOST_SAID = 12
"""Tokens of an answer about a real clip."""


def looks(settings: Any, arm: str, model: OryxForConditionalGeneration, features: Features) -> dict:
    """``maps``: one line per token of the films shown, with its weight over the uniform one; ``answers`` to all
    questions about the real clips, which nobody knows the truth of."""
    films = {"story": features.story(stories(settings, "short")[STORY].path, picture_side(settings))}
    films |= {clip.id: clip_film(features, clip, picture_side(settings)) for clip in corpora.clips()}
    maps = []
    if isinstance(model.compressor, DynamicCompressor):
        for name, film in films.items():
            for ratio in compressed_ratios(settings, arm):
                weights = attention_map(model.compressor, on_device(model, film), region_side(ratio))
                for (frame, row, column), weight in _cells(weights):
                    place = {"film": name, "ratio": ratio, "frame": frame, "row": row, "column": column}
                    maps.append({**place, "weight": round(weight, 4)})
    return {"maps": maps, "answers": list(_answers(settings, arm, model, features))}


def clip_film(features: Features, clip: corpora.Clip, side: int) -> FrameTokens:
    """Uncompressed tokens of the frames shown of a real clip."""
    return features.cache(side).encode(clip.path, uniform_indices(clip.frames, CLIP_FRAMES))


def _cells(weights: torch.Tensor):
    for index in torch.cartesian_prod(*(torch.arange(n) for n in weights.shape)).tolist():
        yield index, float(weights[tuple(index)])


@torch.inference_mode()
def _answers(settings: Any, arm: str, model: OryxForConditionalGeneration, features: Features):
    for clip in corpora.clips():
        for ratio in ratios_of(settings, arm):
            film = clip_film(features, clip, input_side(settings, arm, ratio))
            region = 1 if ARMS[arm].smaller else region_side(ratio)
            read = read_videos(model, [compressed(model, film, region)])
            said = {question: ask(read, [question], [""], MOST_SAID)[0][0] for question in QUESTIONS.values()}
            yield {"clip": clip.id, "ratio": ratio, **said}
