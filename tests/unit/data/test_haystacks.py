"""Haystacks are real files, the same at every build, and a needle lies where it was put."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from oryx.errors import InputError
from oryx.processing.video import probe, read_frames
from workbook.data import corpora
from workbook.data.haystacks import CORPORA, KINDS, draw_shot, haystack_shots, make_haystack, write_video
from workbook.data.splits import split_of

SIZE = (32, 64)


def difference(frame, picture):
    return np.abs(frame.astype(int) - np.asarray(picture).astype(int)).mean()


def test_every_frame_is_its_own_shot(tmp_path):
    haystack = make_haystack(tmp_path, "dev", 3, 12, SIZE)
    info = probe(haystack.path)
    assert (info.frames, info.size) == (12, SIZE)
    frames = read_frames(haystack.path, range(12))
    drawn = [draw_shot(shot, "dev", SIZE) for shot in haystack.shots]
    nearest = [min(range(12), key=lambda i: difference(frame, drawn[i])) for frame in frames]
    assert nearest == list(range(12))
    assert max(difference(*pair) for pair in zip(frames, drawn, strict=True)) < 10, "of 255, what H.264 costs"


def test_a_needle_is_where_it_was_put_and_the_others_move_up(tmp_path):
    needle = Image.new("RGB", SIZE[::-1], (250, 250, 240))
    needle.paste((10, 10, 20), (16, 8, 48, 24))
    plain = make_haystack(tmp_path, "dev", 0, 8, SIZE)
    holding = make_haystack(tmp_path, "dev", 0, 8, SIZE, {0: needle, 5: needle})
    before, after = (read_frames(h.path, range(probe(h.path).frames)) for h in (plain, holding))
    assert len(after) == 10
    assert [difference(frame, needle) < 10 for frame in after] == [i in (0, 5) for i in range(10)]
    for old, new in zip(before, np.delete(after, [0, 5], axis=0), strict=True):
        assert difference(new, old) < 10
    assert json.loads(holding.path.with_suffix(".json").read_text())["inserted"] == [0, 5]


def test_the_same_file_at_every_build_and_a_whole_one_is_left_alone(tmp_path, monkeypatch):
    first = make_haystack(tmp_path / "a", "report", 1, 6, SIZE)
    assert make_haystack(tmp_path / "b", "report", 1, 6, SIZE).sha256 == first.sha256
    assert make_haystack(tmp_path / "a", "report", 2, 6, SIZE).sha256 != first.sha256
    os.utime(first.path, (1, 1))
    assert make_haystack(tmp_path / "a", "report", 1, 6, SIZE) == first
    assert first.path.stat().st_mtime == 1
    with monkeypatch.context() as patch:
        patch.setattr(corpora, "data_hash", lambda names: "other pictures")
        make_haystack(tmp_path / "a", "report", 1, 6, SIZE)
    assert first.path.stat().st_mtime > 1, "made of other data: written anew"
    first.path.write_bytes(first.path.read_bytes()[:500])
    assert make_haystack(tmp_path / "a", "report", 1, 6, SIZE) == first
    assert probe(first.path).frames == 6


def test_small_frames_are_encoded_the_same_every_time(tmp_path):
    generator = np.random.default_rng(1)
    blocks = [np.kron(generator.integers(0, 255, (4, 4, 3)), np.ones((8, 8, 1))) for _ in range(32)]
    frames, found = [Image.fromarray(block.astype(np.uint8)) for block in blocks], set()
    for number in range(250):  # with an encoder that looks ahead about one file in a hundred came out differently
        _ = [bytes([number]) * size for size in (1_000, 50_000, 300_000)]  # what freed memory holds must not matter
        write_video(tmp_path / "a.mp4", frames, (32, 32))
        found.add((tmp_path / "a.mp4").read_bytes())
    assert len(found) == 1


def test_shots_are_of_all_kinds_from_the_split_and_a_longer_haystack_goes_on():
    shots = haystack_shots("report", 0, 200)
    assert {shot.kind for shot in shots} == set(KINDS)
    made_of = {"photo": "photos", "clip": "clips", "page": "glosses", "chart": "tables"}
    assert set(CORPORA) == {made_of[kind] for kind in KINDS} | {"fonts"}, "their hashes are part of every row"
    assert haystack_shots("report", 0, 50) == shots[:50]
    assert haystack_shots("report", 1, 50) != shots[:50]
    for shot in shots:
        left, top, right, bottom = shot.box
        assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
        if shot.kind == "photo":
            assert split_of("photo", shot.source) == "report"
        if shot.kind == "chart":
            assert split_of("table", shot.source) == "report"


def test_bad_requests_say_what_was_expected(tmp_path):
    with pytest.raises(InputError, match="sides must be even"):
        make_haystack(tmp_path, "dev", 0, 4, (32, 33))
    with pytest.raises(InputError, match=r"got 0 frames"):
        make_haystack(tmp_path, "dev", 0, 0, SIZE)
    with pytest.raises(InputError, match=r"places \[9\]"):
        make_haystack(tmp_path, "dev", 0, 4, SIZE, {9: Image.new("RGB", SIZE[::-1])})
    with pytest.raises(InputError, match=r"frame 0: expected \(height, width\) \(32, 64\), got \(8, 8\)"):
        write_video(tmp_path / "x.mp4", [Image.new("RGB", (8, 8))], SIZE)
    assert not (tmp_path / "x.mp4").exists()
