"""Dynamic partition: canvases as transformers' LLaVA-NeXT has them, and no pixel or feature out of its place."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from oryx.errors import InputError, SettingsError
from oryx.grids import video_token_count
from oryx.layout import Layout
from oryx.processing.processor import OryxProcessor
from oryx.processing.sizes import LLAVA_NEXT_TILES, Partition
from oryx.processing.tokenizers import byte_tokenizer
from oryx.processing.visuals import Video, Views
from oryx.train.inputs import joined

SIDES = st.integers(1, 400)


@pytest.mark.parametrize("side", [0, -16, 1.5, True])
def test_a_side_of_no_pixels_is_refused(side):
    with pytest.raises(InputError, match="partition side: expected a whole number of at least 1"):
        Partition(side)


def test_the_canvases_are_those_of_transformers_llava_next():
    from transformers import LlavaNextConfig

    config = LlavaNextConfig()
    side = config.vision_config.image_size
    assert sorted((h // side, w // side) for h, w in config.image_grid_pinpoints) == sorted(LLAVA_NEXT_TILES)


@settings(max_examples=200)
@given(SIDES, SIDES, st.sampled_from((16, 24, 48)))
def test_the_canvas_is_the_one_that_transformers_chooses(height, width, side):
    from transformers.image_processing_utils import select_best_resolution

    sizes = [(rows * side, columns * side) for rows, columns in LLAVA_NEXT_TILES]
    chosen = select_best_resolution((height, width), sizes)
    assert Partition(side).canvas((height, width)) == tuple(length // side for length in chosen)


@settings(max_examples=60)
@given(SIDES, SIDES)
def test_a_picture_fits_its_canvas_and_touches_two_of_its_edges(height, width):
    partition = Partition(48)
    canvas, inner = partition.canvas((height, width)), partition.inner((height, width))
    room = [tiles * 48 for tiles in canvas]
    assert canvas in LLAVA_NEXT_TILES and all(1 <= i <= r for i, r in zip(inner, room, strict=True))
    assert any(i == r for i, r in zip(inner, room, strict=True))


@settings(max_examples=60)
@given(SIDES, SIDES)
def test_kept_patches_are_those_the_picture_touches(height, width):
    partition, patch = Partition(48), 8
    top, left, rows, columns = partition.cells((height, width), patch)
    canvas, inner = partition.canvas((height, width)), partition.inner((height, width))
    for first, count, tiles, size in ((top, rows, canvas[0], inner[0]), (left, columns, canvas[1], inner[1])):
        start = (tiles * 48 - size) // 2
        touched = {pixel // patch for pixel in range(start, start + size)}
        assert touched == set(range(first, first + count))


def test_tiles_put_together_are_the_canvas():
    """Features that are the mean colour of a patch: joined tiles are the picture's patches, rows first."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 90, 3)).astype("uint8"))
    partition, patch = Partition(16), 8
    thumbnail, *tiles = partition.squares(picture)
    canvas, kept = partition.canvas((40, 90)), partition.cells((40, 90), patch)
    assert thumbnail.size == (16, 16) and len(tiles) == canvas[0] * canvas[1]

    def features(square):
        return torch.from_numpy(np.asarray(square, float).reshape(2, 8, 2, 8, 3).mean((1, 3)).reshape(4, 3))

    rows = [
        np.concatenate([np.asarray(t) for t in tiles[r * canvas[1] : (r + 1) * canvas[1]]], 1) for r in range(canvas[0])
    ]
    whole = np.concatenate(rows, 0).astype(float)
    cells = whole.reshape(canvas[0] * 2, 8, canvas[1] * 2, 8, 3).mean((1, 3))
    top, left, height, width = kept
    expected = cells[top : top + height, left : left + width].reshape(-1, 3)
    assert np.allclose(joined([features(t) for t in tiles], canvas, 2, kept).numpy(), expected)


def test_tiles_of_broken_patches_are_refused():
    with pytest.raises(SettingsError, match="multiple of the patch side 8, got 20"):
        Partition(20).cells((40, 40), 8)


def test_a_processor_shows_the_squares_one_after_the_other():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 90, 3)).astype("uint8"))
    processor, partition = OryxProcessor(byte_tokenizer()), Partition(32)
    (prepared,) = processor.prepare(picture, partition)
    squares = [np.asarray(one) for one in partition.squares(picture)]
    assert (prepared.layout, prepared.side) == (Layout.VIDEO, 1), "the released second view is no part of it"
    assert all(np.array_equal(one, square) for one, square in zip(prepared.maps, squares, strict=True))
    assert prepared.visual_tokens(16) == video_token_count(len(squares), (2, 2))


@pytest.mark.parametrize("kind", [Video, Views])
def test_a_partition_of_moving_pictures_is_refused(kind):
    shown = kind([Image.new("RGB", (64, 64))] * 2)
    with pytest.raises(InputError, match=f"a partition is for images, got one for a {kind.__name__}"):
        OryxProcessor(byte_tokenizer()).prepare(shown, Partition(32))
