"""The processor and ``model.ask`` end to end on a tiny random model: images, several, views, videos, bad requests."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Qwen2Config

from oryx import Images, Video, Views
from oryx.errors import InputError, MissingResource
from oryx.grids import SizeRule
from oryx.model import OryxConfig
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import OryxProcessor
from oryx.processing.sizes import Partition, Resolution
from oryx.processing.tokenizers import byte_tokenizer

from .test_video import write_video

OPTIONS = PreprocessOptions(
    low=SizeRule(32, base=64), video=SizeRule(64), video_long=SizeRule(128), frames=8, short_video_frames=6
)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    vision = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
    text = Qwen2Config(
        vocab_size=259, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, bos_token_id=None, eos_token_id=256, pad_token_id=256,
    )  # fmt: skip
    config = OryxConfig(vision_config={**vision, "position_grid": 8}, text_config=text, compressor_dim=16)
    made = OryxForConditionalGeneration(config).eval()
    made.processor = OryxProcessor(byte_tokenizer(), OPTIONS)
    return made


def picture(height: int = 64, width: int = 96) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_an_image_is_seen_twice_and_counted(model):
    answer = model.ask(picture(), "What?", max_new_tokens=3)
    assert answer.sizes == ((32, 64), (64, 96)) and answer.frames == 1
    assert answer.visual_tokens == 2 * (4 + 1) + 4 * (6 + 1) + 3
    assert 0 < answer.probability < 1 and answer.seconds > 0


@pytest.mark.parametrize(
    "resolution, sizes",
    [(32, ((32, 32),)), (Resolution("squash", 64), ((64, 64),)), (Resolution("pad", 96), ((96, 96),)),
     (Resolution(), ((64, 96),))],
)  # fmt: skip
def test_any_other_resolution_replaces_both_views(model, resolution, sizes):
    answer = model.ask(picture(), "What?", resolution=resolution, max_new_tokens=1)
    assert answer.sizes == sizes


def test_half_precision_answers_too(model):
    half = OryxForConditionalGeneration(model.config).eval().bfloat16()
    half.processor = model.processor
    assert 0 < half.ask(picture(), "What?", max_new_tokens=2).probability < 1


def test_a_visual_that_would_push_the_question_out_is_refused(model):
    model.config.tokenizer_model_max_length = 100
    try:
        assert model.ask(picture(32, 32), "?", resolution=32, max_new_tokens=1).visual_tokens == 8
        with pytest.raises(InputError, match=r"take 1\d\d tokens, 41 of them visual .* at most 100: use fewer frames"):
            model.ask(picture(), "?", max_new_tokens=1)
    finally:
        model.config.tokenizer_model_max_length = None


def test_several_images_are_all_seen_and_change_the_answer(model):
    one, two = picture(), Image.new("RGB", (64, 64))
    inputs = model.processor("Compare.", Images([one, two]))
    assert (inputs["input_ids"] == -200).sum() == 2 and inputs["visual_spec"].shape == (2, 3)
    with torch.no_grad():
        a = model(**inputs).logits[0, -1]
        b = model(**model.processor("Compare.", Images([one, picture(64, 64)]))).logits[0, -1]
    assert not torch.allclose(a, b), "the second image must matter"


def test_every_frame_reaches_the_model(model, tmp_path):
    path = write_video(tmp_path / "v.mp4", frames=6)
    answer = model.ask(Video(path), "What happens?", max_new_tokens=1)
    assert answer.frames == 6 and len(answer.sizes) == 6
    frames = [picture(64, 64) for _ in range(5)]
    last = [*frames[:-1], Image.new("RGB", (64, 64))]
    with torch.no_grad():
        logits = [model(**model.processor("What?", Video(f))).logits[0, -1] for f in (frames, last)]
    assert not torch.allclose(*logits), "the last frame must matter"


def test_compression_follows_the_request_or_the_documented_rule(model):
    frames = [picture(128, 128)] * 5
    spec = {c: model.processor.prepare(Video(frames), side=s)[0].side for c, s in ((1, 1), (9, 3), ("auto", None))}
    assert spec == {1: 1, 9: 3, "auto": 2}
    assert model.processor.prepare(Video([picture(128, 128)] * 8))[0].side == 4
    counts = [model.ask(Video(frames), "?", compression=c, max_new_tokens=1).visual_tokens for c in (1, 4, 16)]
    assert counts[0] > counts[1] > counts[2]
    assert model.ask(picture(), "?", compression=25, max_new_tokens=1).visual_tokens > 0, "odd grids are defined"


def tokens_at(model, visual, ratio):
    return model.ask(visual, "?", compression=ratio, max_new_tokens=1).visual_tokens


def test_auto_takes_the_lowest_ratio_that_fits_the_budget(model):
    video, long = Video([picture(128, 128)] * 5), Video([picture(128, 128)] * 8)
    for visual, ratios in ((video, (4, 16)), (long, (4, 16)), (picture(128, 128), (1, 4, 16))):
        for lower, ratio in zip((None, *ratios), ratios, strict=False):
            needs = tokens_at(model, visual, ratio)
            budgets = [needs] if lower is None else [needs, tokens_at(model, visual, lower) - 1]
            for budget in budgets:
                answer = model.ask(visual, "?", token_budget=budget, max_new_tokens=1)
                assert answer.visual_tokens == needs <= budget
    with pytest.raises(InputError, match=r"token_budget: 10 visual tokens .* at the highest compression .* take \d+"):
        model.ask(video, "?", token_budget=10, max_new_tokens=1)


def test_auto_compresses_more_where_the_model_takes_less(model):
    video = Video([picture(128, 128)] * 5)
    needs = tokens_at(model, video, 16)
    try:
        model.config.tokenizer_model_max_length = tokens_at(model, video, 4)
        assert model.ask(video, "?", max_new_tokens=1).visual_tokens == needs
        with pytest.raises(InputError, match="use fewer frames"):
            model.ask(video, "?", compression=4, max_new_tokens=1)
    finally:
        model.config.tokenizer_model_max_length = None


def test_views_are_laid_out_like_frames(model):
    answer = model.ask(Views([picture(), picture(96, 64)]), "Where?", max_new_tokens=1)
    assert answer.frames == 2 and answer.sizes[0] == answer.sizes[1]


@pytest.mark.parametrize(
    "visual, question, options, message",
    [
        ([picture()], "?", {}, "wrap it in Images"),
        (picture(), " ", {}, "question: expected text"),
        (picture(), "\ud800", {}, "question: expected text"),
        (picture(), "?", {"compression": 5}, "square of a whole side"),
        (picture(), "?", {"compression": True}, "compression"),
        (picture(), "?", {"compression": 10**30}, "compression: expected at most 16384, regions of 128 x 128 tokens"),
        (picture(), "?", {"compression": 4, "token_budget": 50}, "token_budget: expected .* got compression 4"),
        (picture(), "?", {"token_budget": 0}, "token_budget: expected a whole number of at least 1"),
        (picture(), "?", {"resolution": "nativ"}, "resolution: expected 'native'"),
        (picture(), "<image> and <image>?", {}, "2 <image> marks, 1 visual"),
        (3.5, "?", {}, "expected a path, bytes, a PIL picture or an array, got float"),
    ],
)
def test_bad_requests_say_what_was_expected(model, visual, question, options, message):
    with pytest.raises(InputError, match=message):
        model.ask(visual, question, **options)


@pytest.mark.parametrize("numbers", [["a"], [1.5], [True], [None]])
def test_frames_are_asked_for_by_whole_numbers(numbers):
    with pytest.raises(InputError, match="Video: indices: expected numbers of frames, got"):
        Video("v.mp4", indices=numbers)


@pytest.mark.parametrize("make", [lambda: Images([]), lambda: Views("a.png"), lambda: Video([]), lambda: Video("v", 0)])
def test_empty_containers_are_refused(make):
    with pytest.raises(InputError):
        make()


def test_a_model_without_a_processor_says_how_to_get_one(model):
    processor, model.processor = model.processor, None
    try:
        with pytest.raises(MissingResource, match=r"oryx\.load"):
            model.ask(picture(), "?")
    finally:
        model.processor = processor


TOO_LARGE = [
    (picture(), "native", r"tokens, \d+ of them visual .* at most 10:"),
    (picture(), 5000, r"tokens, \d+ of them visual .* at most 10:"),
    (picture(), Resolution("pad", 5000), r"tokens, \d+ of them visual .* at most 10:"),
    (picture(), Partition(4000), r"tokens, \d+ of them visual .* at most 10:"),
    (picture(), 1_000_000, r"96 x 64 pixels would have 1224736 x 816512 .* at most 128000000"),
    (picture(), Partition(20_000), "would have 20000 x 20000"),
    (picture(1, 200_000), "native", "200000 x 1 pixels would have 12800000 x 64"),
    (Video([picture()] * 3), 5000, r"tokens, \d+ of them visual .* at most 10:"),
    (Video([picture()] * 3), 1_000_000, "96 x 64 pixels would have"),
    (Views([picture()] * 3), Resolution("squash", 1_000_000), "would have 1000000 x 1000000"),
]


@pytest.mark.parametrize("visual, resolution, message", TOO_LARGE)
def test_what_is_too_large_is_refused_by_arithmetic_before_a_pixel_is_made(
    model, monkeypatch, visual, resolution, message
):
    monkeypatch.setattr(Image.Image, "resize", lambda *a, **k: pytest.fail("pixels were made"))
    monkeypatch.setattr(Image, "new", lambda *a, **k: pytest.fail("pixels were made"))
    monkeypatch.setattr(model.config, "tokenizer_model_max_length", 10)
    with pytest.raises(InputError, match=message):
        model.ask(visual, "?", resolution=resolution)
