"""Frames encoded in chunks are those encoded at once; what is cached or spliced is what a whole file would give."""

import numpy as np
import pytest
import torch
from PIL import Image

from oryx.errors import InputError
from oryx.eval.features import FrameCache, FrameEncoder, FrameTokens
from oryx.grids import compressed_grid
from oryx.model import Layout
from oryx.processing.images import to_pixels
from oryx.processing.video import read_frames
from tests.unit.model.builders import tiny_model, visual_inputs
from workbook.data.haystacks import make_haystack

SIZE = (32, 64)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return make_haystack(tmp_path_factory.mktemp("haystack"), "dev", 0, 7, SIZE).path


@pytest.mark.parametrize("side", [1, 2, 4, 3])
def test_chunks_change_nothing_and_the_model_takes_them_as_its_own(model, video, side):
    encoded = [FrameEncoder(model, to_pixels, side, chunk, torch.float32).encode(video) for chunk in (2, 100)]
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
    encoder = FrameEncoder(model, to_pixels, 2, 2, torch.float32)
    whole, some = encoder.encode(video), encoder.encode(video, [5, 0, 5])
    torch.testing.assert_close(some.tokens, whole.tokens[[5, 0, 5]], atol=1e-5, rtol=1e-5)
    with pytest.raises(InputError, match="expected frame indices from 0 to 6"):
        encoder.encode(video, [7])


def test_splicing_puts_frames_where_it_says():
    haystack = FrameTokens(torch.arange(5.0)[:, None, None].expand(5, 2, 3), (1, 2))
    needle = FrameTokens(torch.full((1, 2, 3), -1.0), (1, 2))
    for place in range(6):
        spliced = haystack.spliced(place, needle)
        assert len(spliced) == 6
        assert spliced.tokens[:, 0, 0].tolist() == np.insert(np.arange(5.0), place, -1).tolist()
    with pytest.raises(InputError, match=r"a place from 0 to 5, got \(1, 2\) at 6"):
        haystack.spliced(6, needle)
    with pytest.raises(InputError, match="expected frames of grid"):
        haystack.spliced(0, FrameTokens(torch.zeros(1, 2, 3), (2, 1)))


def test_the_cache_is_found_by_content_and_settings(model, video, tmp_path):
    encoder = FrameEncoder(model, to_pixels, 2)
    cache = FrameCache(tmp_path / "cache", encoder, {"weights": "a"})
    first = cache.encode(video)
    copied = tmp_path / "elsewhere.mp4"
    copied.write_bytes(video.read_bytes())
    again = cache.encode(copied)
    assert (cache.hits, cache.misses) == (1, 1)
    assert torch.equal(again.tokens, first.tokens) and again.grid == first.grid
    others = [
        FrameCache(tmp_path / "cache", encoder, {"weights": "b"}),
        FrameCache(tmp_path / "cache", FrameEncoder(model, to_pixels, 1), {"weights": "a"}),
    ]
    for other in others:
        other.encode(video)
        assert (other.hits, other.misses) == (0, 1), "other weights or another ratio are another entry"
    assert len(cache.encode(video, [1, 2])) == 2 and cache.misses == 2
    for file in (tmp_path / "cache").glob("*/*.safetensors"):
        file.write_bytes(file.read_bytes()[:20])
    assert torch.equal(cache.encode(video).tokens, first.tokens) and cache.misses == 3, "damaged: encoded anew"
    with pytest.raises(InputError, match=r"nothing\.mp4: expected a video file, there is none"):
        cache.encode(tmp_path / "nothing.mp4")
