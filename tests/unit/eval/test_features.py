"""Frames encoded in chunks are those encoded at once; what is cached or spliced is what a whole file would give."""

import pytest
import torch
from PIL import Image

from oryx.errors import InputError
from oryx.eval.features import FrameCache, FrameEncoder
from oryx.grids import compressed_grid
from oryx.model import Layout
from oryx.processing.video import read_frames
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


def same_size(frame: Image.Image) -> Image.Image:
    return frame


def count(folder) -> int:
    """Files in the cache."""
    return len(list((folder / "cache").glob("*/*.safetensors")))


@pytest.mark.parametrize("side", [1, 2, 4, 3])
def test_chunks_change_nothing_and_the_model_takes_them_as_its_own(model, video, side):
    encoded = [FrameEncoder(model, same_size, side, chunk, torch.float32).encode(video) for chunk in (2, 100)]
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
    encoder = FrameEncoder(model, same_size, 2, 2, torch.float32)
    whole, some = encoder.encode(video), encoder.encode(video, [5, 0, 5])
    torch.testing.assert_close(some.tokens, whole.tokens[[5, 0, 5]], atol=1e-5, rtol=1e-5)
    with pytest.raises(InputError, match="expected frame indices from 0 to 6"):
        encoder.encode(video, [7])


def test_the_cache_is_found_by_content_and_settings(model, video, tmp_path):
    encoder = FrameEncoder(model, same_size, 2)
    cache = FrameCache(tmp_path / "cache", encoder, {"weights": "a"})
    first = cache.encode(video)
    copied = tmp_path / "elsewhere.mp4"
    copied.write_bytes(video.read_bytes())
    again = cache.encode(copied)
    assert count(tmp_path) == 1, "the same content is found"
    assert torch.equal(again.tokens, first.tokens) and again.grid == first.grid
    others = [
        FrameCache(tmp_path / "cache", encoder, {"weights": "b"}),
        FrameCache(tmp_path / "cache", FrameEncoder(model, same_size, 1), {"weights": "a"}),
    ]
    for number, other in enumerate(others):
        other.encode(video)
        assert count(tmp_path) == 2 + number, "other weights or another ratio are another entry"
    with torch.autocast("cpu", torch.bfloat16):
        cache.encode(video)
    assert count(tmp_path) == 4, "tokens made under autocast are another entry"
    assert len(cache.encode(video, [1, 2])) == 2 and count(tmp_path) == 5
    for file in (tmp_path / "cache").glob("*/*.safetensors"):
        file.write_bytes(file.read_bytes()[:20])
    assert torch.equal(cache.encode(video).tokens, first.tokens), "damaged: encoded anew"
    with pytest.raises(InputError, match=r"nothing\.mp4: expected a video file, there is none"):
        cache.encode(tmp_path / "nothing.mp4")
