"""Frames encoded in chunks are those encoded at once; what is cached or spliced is what a whole file would give."""

import pytest
import torch
from PIL import Image

from oryx.errors import InputError
from oryx.eval import features
from oryx.eval.features import FrameCache, FrameEncoder
from oryx.grids import compressed_grid
from oryx.model import Layout
from oryx.processing.video import read_frames
from oryx.train.device import Compute
from tests.pixels import to_pixels
from tests.unit.model.builders import tiny_model, visual_inputs
from workbook.data.haystacks import make_haystack

SIZE = (32, 64)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return make_haystack(tmp_path_factory.mktemp("haystack"), "dev", 0, 7, SIZE).path


CPU = Compute(torch.device("cpu"), "fp32")


def same_size(frame: Image.Image) -> Image.Image:
    return frame


def count(folder) -> int:
    """Files in the cache."""
    return len(list((folder / "cache").glob("*/*.safetensors")))


@pytest.mark.parametrize("side", [1, 2, 4, 3])
def test_chunks_change_nothing_and_the_model_takes_them_as_its_own(model, video, side):
    encoded = [FrameEncoder(model, same_size, side, CPU, chunk, torch.float32).encode(video) for chunk in (2, 100)]
    torch.testing.assert_close(encoded[0].tokens, encoded[1].tokens, atol=1e-5, rtol=1e-5)
    patch = model.config.vision_config.patch_size
    assert encoded[0].grid == compressed_grid((SIZE[0] // patch, SIZE[1] // patch), side)
    pixels = [to_pixels(Image.fromarray(frame)) for frame in read_frames(video, range(7))]
    ids = torch.tensor([[1, model.config.visual_token_id, 2, 3]])
    with torch.no_grad():
        expected = model(input_ids=ids, **visual_inputs([(Layout.VIDEO, pixels, side)])).logits
        ours = model(input_ids=ids, **encoded[0].inputs()).logits
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


def test_frames_are_chosen_before_they_are_encoded(model, video):
    encoder = FrameEncoder(model, same_size, 2, CPU, 2, torch.float32)
    whole, some = encoder.encode(video), encoder.encode(video, [5, 0, 5])
    torch.testing.assert_close(some.tokens, whole.tokens[[5, 0, 5]], atol=1e-5, rtol=1e-5)
    with pytest.raises(InputError, match="expected frame indices from 0 to 6"):
        encoder.encode(video, [7])


def test_the_cache_is_found_by_content_and_settings(model, video, tmp_path):
    encoder = FrameEncoder(model, same_size, 2, CPU)
    cache = FrameCache(tmp_path / "cache", encoder, {"weights": "a"})
    first = cache.encode(video)
    copied = tmp_path / "elsewhere.mp4"
    copied.write_bytes(video.read_bytes())
    again = cache.encode(copied)
    assert count(tmp_path) == 1, "the same content is found"
    assert torch.equal(again.tokens, first.tokens) and again.grid == first.grid
    others = [
        FrameCache(tmp_path / "cache", encoder, {"weights": "b"}),
        FrameCache(tmp_path / "cache", FrameEncoder(model, same_size, 1, CPU), {"weights": "a"}),
    ]
    for number, other in enumerate(others):
        other.encode(video)
        assert count(tmp_path) == 2 + number, "other weights or another ratio are another entry"
    half = FrameEncoder(model, same_size, 2, Compute(torch.device("cpu"), "bf16"))
    made = FrameCache(tmp_path / "cache", half, {"weights": "a"}).encode(video)
    assert count(tmp_path) == 4 and not torch.equal(made.tokens, first.tokens), "another number format, another entry"
    assert len(cache.encode(video, [1, 2])) == 2 and count(tmp_path) == 5
    for file in (tmp_path / "cache").glob("*/*.safetensors"):
        file.write_bytes(file.read_bytes()[:20])
    assert torch.equal(cache.encode(video).tokens, first.tokens), "damaged: encoded anew"
    with pytest.raises(InputError, match=r"nothing\.mp4: expected a video file, there is none"):
        cache.encode(tmp_path / "nothing.mp4")


def test_who_asks_for_frames_under_autocast_gets_those_of_the_encoder(model, video, tmp_path):
    """Training asks outside the evaluator's autocast and evaluation inside: both must read the same tokens."""
    for precision in ("fp32", "bf16"):
        compute = Compute(torch.device("cpu"), precision)
        cache = FrameCache(tmp_path / precision, FrameEncoder(model, same_size, 2, compute), {})
        outside = cache.encoder.encode(video)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(cache.encoder.encode(video).tokens, outside.tokens)
            cache.encode(video)
        cache.encode(video)
        assert len(list((tmp_path / precision).glob("*/*.safetensors"))) == 1


def test_features_that_half_precision_cannot_hold_are_refused(model, video, monkeypatch):
    monkeypatch.setattr(features, "compress_maps", lambda *of: (of[1] * 1e9, None))
    with pytest.raises(InputError, match="more than half precision can keep"):
        FrameEncoder(model, same_size, 1, CPU).encode(video)
