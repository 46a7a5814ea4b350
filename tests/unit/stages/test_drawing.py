"""What shared parts are trained on never changes by accident: hashes of what some steps draw."""

import hashlib
from functools import partial

import pytest

from workbook.data.needles import make_dataset
from workbook.stages.encoders import _at
from workbook.stages.recipes import encoder_recipe, recipe, video_recipe
from workbook.stages.shared import draw_reader_batch, draw_siglip_batch
from workbook.stages.video_reader import draw_samples


def sha(*parts) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else repr(part).encode())
    return digest.hexdigest()[:16]


def reader(r, step: int, **fit) -> str:
    drawn = draw_reader_batch(r, 0, step, **fit)
    return sha(*[part for s in drawn for part in (s.patches.tobytes(), s.grid, s.question, s.answer)])


def test_pairs_of_siglip():
    drawn = draw_siglip_batch(recipe("nano"), 0, 500)
    assert sha(*[part for pixels, caption in drawn for part in (pixels.tobytes(), caption)]) == "e4b925cb012f502c"


@pytest.mark.parametrize(
    ("step", "expected"), [(0, "b54bbaa9690178f6"), (1500, "bb2b427d185c4c87"), (4000, "b6859b6ee9913dfb")]
)
def test_items_of_the_reader(step, expected):
    assert reader(recipe("nano"), step) == expected


@pytest.mark.parametrize(("size", "expected"), [("fixed", "1e4fcc666e0f8027"), ("native", "bff64e643ed1df3c")])
def test_items_of_the_continued_encoders(size, expected):
    assert reader(encoder_recipe("nano"), 800, fit=partial(_at, size)) == expected


def test_clips_of_the_video_reader(tmp_path):
    r = video_recipe("smoke")
    dataset = make_dataset(tmp_path, 0, r.size, **r.dataset, letters=r.letters)
    found = []
    for step in range(4):
        drawn = draw_samples(r, 0, dataset, step)
        frames, side = drawn[0].source, drawn[0].side
        clips = [(sample.clip.frames, *sample.clip.turns[0]) for sample in drawn]
        found.append(sha(b"" if frames is dataset.frames else frames.tobytes(), clips, side))
    assert found == ["a8abee7542f402c8", "4bd62bd356c40d9e", "7400d6a74fe1e4cc", "2915dffa6529666f"]
