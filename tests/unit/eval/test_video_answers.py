"""Reading a video once and asking often gives what the whole sequence gives each time."""

import inspect

import pytest
import torch

from oryx.errors import InputError
from oryx.eval.features import FrameTokens
from oryx.eval.generate import ask, read_videos, without_video
from oryx.train.inputs import END, decode, text_batch
from workbook.data.needles import COLOURS
from workbook.stages.models import build_reader
from workbook.stages.recipes import video_recipe

QUESTIONS, TRUTHS = ["red", "blu"], ["73", "red blue"]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = build_reader(video_recipe("smoke").shapes).eval()
    with torch.no_grad():
        for parameter in model.language_model.parameters():
            parameter.mul_(3)  # far from uniform, so that a wrong position or mask shows
    return model


@pytest.fixture
def videos():
    generator = torch.Generator().manual_seed(1)
    return [FrameTokens(torch.randn(9, 4, 128, generator=generator), (2, 2)) for _ in QUESTIONS]


def slow(model, video, question, truth):
    inputs = {} if video is None else video.inputs()
    prompt = text_batch([question], None, video is not None) | inputs
    new = model.generate(**prompt, max_new_tokens=12, do_sample=False, eos_token_id=END, pad_token_id=END)
    forced = text_batch([question], [truth], video is not None) | inputs
    with torch.inference_mode():
        out = model(**forced)
    return decode(new[0, prompt["input_ids"].shape[1] :].tolist()), -float(out.loss) * (len(truth) + 1)


def check(model, read, videos):
    for video, question, truth, found in zip(videos, QUESTIONS, TRUTHS, ask(read, QUESTIONS, TRUTHS), strict=True):
        answer, likelihood = slow(model, video, question, truth)
        assert found == {"answer": answer, "score": answer == truth, "logprob": pytest.approx(likelihood, rel=1e-4)}


def test_one_reading_serves_many_questions(model, videos):
    read = read_videos(model, videos)
    for _ in range(2):  # asking leaves the reading as it was
        check(model, read, videos)


def test_without_a_video(model, videos):
    read = without_video(model, len(QUESTIONS))
    for _ in range(2):
        check(model, read, [None] * len(QUESTIONS))


def test_the_longest_answer_of_a_needle_has_room():
    longest = max(len(f"{a} {b}") for a in COLOURS for b in COLOURS if a != b)
    assert inspect.signature(ask).parameters["max_new_tokens"].default > longest


def test_videos_of_two_lengths_are_refused(model, videos):
    shorter = FrameTokens(videos[0].tokens[:5], (2, 2))
    with pytest.raises(InputError, match="videos of one length"):
        read_videos(model, [videos[0], shorter])


def test_questions_of_two_lengths_are_refused(model, videos):
    with pytest.raises(InputError, match="2 questions of one length"):
        ask(read_videos(model, videos), ["red", "black"], TRUTHS)
