"""Asking several questions about long videos: the video is read once, each question goes on from there.

``read_videos`` fills the language model's cache with the video; ``ask`` continues from it and leaves it as it was. The
slow path, the whole sequence through ``generate`` for every question, gives the same answers
(``tests/unit/training/test_video_answers.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache

from oryx.errors import InputError
from oryx.eval.dialogue import Bytes, Dialogue
from oryx.eval.features import FrameTokens
from oryx.eval.prompted import Prompted, after, back_to
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.roomy_cache import roomy_cache


@dataclass
class ReadVideos:
    """``cache`` of the language model after ``length`` tokens of each of ``count`` videos; length 0: no video."""

    model: OryxForConditionalGeneration
    dialogue: Dialogue
    cache: DynamicCache
    length: int
    count: int


@torch.inference_mode()
def read_videos(
    model: OryxForConditionalGeneration, videos: Sequence[FrameTokens], dialogue: Dialogue | None = None
) -> ReadVideos:
    """Let the language model read videos of one length; raises InputError if they differ in frames or grid."""
    shapes = {(len(video), video.grid) for video in videos}
    if len(shapes) != 1:
        raise InputError(f"expected videos of one length and grid, got {sorted(shapes)}")
    dialogue = dialogue or Bytes()
    inputs = [video.inputs() for video in videos]
    batch = {name: torch.cat([one[name] for one in inputs]).to(model.device) for name in inputs[0]}
    before = torch.tensor([dialogue.before()] * len(videos), device=model.device)
    embeds = model.expand(before, **batch).inputs_embeds
    cache = roomy_cache(model.language_model.config)
    # the mask is left out: no video is padded, and attention without a mask is the fast path
    model(inputs_embeds=embeds, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return ReadVideos(model, dialogue, cache, embeds.shape[1], len(videos))


def without_video(model: OryxForConditionalGeneration, count: int, dialogue: Dialogue | None = None) -> ReadVideos:
    """Nothing read: the control."""
    return ReadVideos(model, dialogue or Bytes(), roomy_cache(model.language_model.config), 0, count)


@torch.inference_mode()
def ask(
    read: ReadVideos, questions: Sequence[str], truths: Sequence[str], max_new_tokens: int = 12
) -> tuple[list[str], list[float]]:
    """Greedy answers to one question a video, and the log-likelihood of each true answer with its end token.

    Raises InputError unless there is a question a video and all are of one length in tokens.
    """
    dialogue, model = read.dialogue, read.model.language_model
    prompts = [dialogue.after(question, visual=read.length > 0) for question in questions]
    if len(prompts) != read.count or len({len(prompt) for prompt in prompts}) != 1:
        raise InputError(f"expected {read.count} questions of one length, got {list(questions)}")
    first = after(model, read.cache, torch.tensor(prompts, device=read.model.device))[:, -1]
    prompted = Prompted(model, read.cache, first)
    spoken = [dialogue.text(ids) for ids in prompted.greedy(dialogue.stops, max_new_tokens)]
    likelihoods = prompted.likelihoods([dialogue.answer(truth) for truth in truths])
    back_to(read.cache, read.length)
    return spoken, likelihoods
