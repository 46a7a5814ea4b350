"""Whether a question fits into memory. tests/integration/test_memory.py measures that the terms are the code's."""

import pytest
from PIL import Image

from oryx.layout import SIDES
from oryx.processing.fit import (
    CHUNK,
    FIXED,
    GIGA,
    LOST,
    memory,
    most_frames,
    picture,
    seconds,
    video,
)
from oryx.processing.processor import OryxProcessor
from oryx.processing.shapes import read_shape
from oryx.processing.tokenizers import byte_tokenizer
from oryx.processing.visuals import Video

SEVEN, SIZE = read_shape("7b"), (720, 1280)


@pytest.mark.parametrize("size", [(480, 640), (20, 50), (1088, 1088), (3000, 500)])
def test_a_picture_is_counted_as_it_is_prepared(size):
    processor, shown = OryxProcessor(byte_tokenizer()), picture(size)
    (prepared,) = processor.prepare(Image.new("RGB", size[::-1]))
    patches = [height * width // 256 for height, width in prepared.sizes]
    assert (shown.tokens, shown.maps) == (prepared.visual_tokens(16), 2)
    (smaller,) = processor.prepare(Image.new("RGB", size[::-1]), side=4)
    assert picture(size, side=4).tokens == smaller.visual_tokens(16), "what the same picture has at 16x"
    assert (shown.patches, shown.kept, shown.pairs) == (sum(patches), sum(patches), sum(n * n for n in patches))


@pytest.mark.parametrize("ratio", [4, 16])
def test_a_video_is_counted_as_it_is_prepared(ratio):
    processor, shown = OryxProcessor(byte_tokenizer()), video(3, (90, 160), ratio)
    (prepared,) = processor.prepare(Video([Image.new("RGB", (160, 90))] * 3), side=round(ratio**0.5))
    assert (shown.maps, shown.tokens) == (3, prepared.visual_tokens(16))
    assert shown.patches == sum(height * width // 256 for height, width in prepared.sizes)
    assert shown.kept * ratio == shown.patches and round(ratio**0.5) in SIDES.values()


def test_the_terms_of_the_7b_shape_by_hand():
    shown = video(64, SIZE, 4)
    found, length = memory(SEVEN, shown), shown.tokens + 128
    assert found.cache == 2 * 28 * 4 * 128 * length * 2
    pixels, mlp = 64 * 800 * 768 * 4, 3 * 18944 * length * 2
    assert found.reading == pixels + found.cache + mlp + (5 * 3584 + 2 * 128) * length * 2
    assert found.encoding == pixels + 64 * 800 * (3 * 1152 + 2 * 4304) * 2
    assert found.needed == found.peak + FIXED + LOST * found.reading
    chunked = memory(SEVEN, video(640, SIZE, 4), chunk=64)
    assert chunked.encoding == found.encoding + 640 * 200 * 1152 * 2, "a chunk, and the tokens of all"


def test_quantised_weights_are_smaller_and_8_bit_products_larger():
    shown = video(64, SIZE, 4)
    wide, eight, four = (memory(SEVEN, shown, numbers) for numbers in ("bf16", "8 bit", "4 bit"))
    assert wide.weights > eight.weights > four.weights
    assert eight.reading > wide.reading == four.reading and eight.cache == wide.cache
    short = video(1, SIZE, 16)
    assert memory(SEVEN, short, "4 bit").reading > memory(SEVEN, short).reading, "a layer's weights in 16 bits"


@pytest.mark.parametrize("chunk", [None, CHUNK])
@pytest.mark.parametrize("numbers", ["bf16", "8 bit", "4 bit"])
def test_as_many_frames_fit_as_are_said_and_no_more(numbers, chunk):
    room = 24 * GIGA
    most = most_frames(SEVEN, room, SIZE, 16, numbers, chunk)
    fits = [memory(SEVEN, video(most + more, SIZE, 16), numbers, chunk).needed <= room for more in (0, 1)]
    assert most > 100 and fits == [True, False]
    assert most_frames(SEVEN, 9 * GIGA, SIZE, 16, "bf16") == 0


def test_seconds_count_operations_or_weights_read():
    shown = video(1600, (256, 256), 16)
    spent, faster = seconds(SEVEN, shown), seconds(SEVEN, shown, tera=624)
    assert spent == pytest.approx([2 * one for one in faster])
    length, weights = shown.tokens + 128, SEVEN.weights("4 bit")
    layers = sum(n * taken * given for n, taken, given in SEVEN.parts()["language model"][0])
    operations = 2 * layers * length + 2 * 152064 * 3584 + 2 * 28 * 3584 * length**2
    assert spent[1] == pytest.approx(operations / (312e12 * 0.4))
    few = seconds(SEVEN, video(1, (256, 256), 16), "4 bit", tera=1e6)
    assert few[1] == pytest.approx(weights["language model"] / 2e12)
