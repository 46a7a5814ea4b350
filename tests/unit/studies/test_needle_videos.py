"""A trial's frame tokens: every frame in its place, haystacks encoded once, needles as files of their own."""

import pytest
import torch

from oryx.errors import InputError
from oryx.train.device import compute
from workbook.data.haystacks import write_video
from workbook.data.needles import make_dataset, make_trial
from workbook.stages.models import build_reader
from workbook.stages.recipes import video_recipe
from workbook.studies.frames import frame_cache
from workbook.studies.needle.videos import HaystackFiles, NearestFrame, NeedleCodes, TrialVideos, twice

SIZE = (32, 32)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_reader(video_recipe("smoke").shapes).eval()


@pytest.fixture
def videos(tmp_path, model):
    files = HaystackFiles(tmp_path / "haystacks", "dev", 2, 24, SIZE)
    return TrialVideos(files, frame_cache(tmp_path, model, 4, SIZE, "w", compute("fp32")))


@pytest.mark.parametrize("variant", ["number", "change", "near", "far"])
@pytest.mark.parametrize("depth", [0.0, 0.4, 1.0])
def test_every_frame_is_in_its_place(videos, tmp_path, variant, depth):
    trial = make_trial("dev", variant, 20, depth, 1, SIZE, 2)
    made, cache = videos.tokens(trial), videos.cache
    assert len(made) == 20
    haystack = iter(cache.encode(videos.files.path(trial.haystack)).tokens)
    for place in range(20):
        if place in trial.inserted:
            write_video(tmp_path / "alone.mp4", [trial.inserted[place]], SIZE)
            expected = cache.encode(tmp_path / "alone.mp4").tokens[0]
        else:
            expected = next(haystack)
        torch.testing.assert_close(made.tokens[place], expected, atol=0, rtol=0)


def kept(videos) -> int:
    """Files in the cache of frame tokens."""
    return len(list(videos.cache.folder.glob("*/*.safetensors")))


def test_a_haystack_is_encoded_once_for_all_its_trials(videos):
    for index in range(6):
        videos.tokens(make_trial("dev", "number", 20, 0.5, index, SIZE, 2))
    assert kept(videos) == 2 + 6, "two haystacks and six needles"


def test_a_needle_of_another_size_is_another_file(tmp_path, model):
    for size in ((32, 32), (64, 64)):
        files = HaystackFiles(tmp_path / "haystacks", "dev", 2, 24, size)
        cache = frame_cache(tmp_path, model, 4, size, "w", compute("fp32"))
        trial = make_trial("dev", "number", 20, 0.5, 0, size, 2)
        write_video(tmp_path / "alone.mp4", [trial.needle.frames[0]], size)
        expected = cache.encode(tmp_path / "alone.mp4").tokens[0]
        found = TrialVideos(files, cache).tokens(trial).tokens[trial.needles[0]]
        torch.testing.assert_close(found, expected, atol=0, rtol=0)


def test_longer_videos_go_on_in_the_next_file(videos):
    trial = make_trial("dev", "number", 60, 1.0, 0, SIZE, 2)
    made = videos.tokens(trial)
    first, second = (videos.cache.encode(videos.files.path(trial.haystack + i)).tokens for i in range(2))
    expected = torch.cat([first, second, first[: 59 - 48]])
    torch.testing.assert_close(made.tokens[:59], expected, atol=0, rtol=0)


def test_the_complete_file_differs_by_compression_only(videos, tmp_path):
    trial = make_trial("dev", "number", 20, 0.5, 0, SIZE, 2)
    whole, spliced = videos.whole_file(trial, tmp_path / "complete"), videos.tokens(trial)
    assert whole.grid == spliced.grid and len(whole) == len(spliced)
    near = torch.nn.functional.cosine_similarity(whole.tokens.float(), spliced.tokens.float(), dim=-1)
    assert near.min() > 0.9
    assert not list((tmp_path / "complete").glob("*")), "complete files are not kept"


def test_ones_own_video_is_sampled_evenly_and_must_be_long_enough(tmp_path, model):
    own = tmp_path / "own.mp4"
    frames = [make_trial("dev", "number", 8, 0.0, i, (40, 60), 2).needle.frames[0] for i in range(31)]
    write_video(own, frames, (40, 60))
    files = HaystackFiles(tmp_path / "haystacks", "dev", 2, 24, SIZE, str(own))
    videos = TrialVideos(files, frame_cache(tmp_path, model, 4, SIZE, "w", compute("fp32")))
    assert list(files.parts(0, 11)[0][1]) == list(range(0, 31, 3))
    assert len(videos.tokens(make_trial("dev", "number", 12, 0.5, 0, SIZE, files.count))) == 12
    assert files.count == 1, "one video is one cluster of trials, whatever the setting says"
    misses = kept(videos)
    videos.tokens(make_trial("dev", "number", 12, 0.0, 1, SIZE, files.count))
    assert kept(videos) == misses + 1, "only the needle is new"
    with pytest.raises(InputError, match=r"40 frames are asked for, the video has 31"):
        files.parts(0, 40)


def test_a_video_may_be_shown_twice(videos):
    trial = make_trial("dev", "number", 20, 0.5, 1, SIZE, 2)
    once = videos.tokens(trial).tokens
    videos.view = twice
    torch.testing.assert_close(videos.tokens(trial).tokens, torch.cat([once, once]), atol=0, rtol=0)


def test_the_nearest_frame_is_the_card_of_the_colour_asked_for(tmp_path, model):
    dataset = make_dataset(tmp_path, 0, SIZE, haystacks=1, shots=6, pages=20, pictures=1)
    tokens = frame_cache(tmp_path, model, 1, SIZE, "w", compute("fp32")).joined(dataset.files)
    files = HaystackFiles(tmp_path / "haystacks", "dev", 2, 24, SIZE)
    videos, nearest = TrialVideos(files, frame_cache(tmp_path, model, 1, SIZE, "w", compute("fp32"))), []
    for index in range(10):
        trial = make_trial("dev", "far", 24, index / 9, index, SIZE, 2)
        shown = videos.tokens(trial)
        found = NearestFrame(dataset, tokens)(trial, shown)
        assert len(found) == 1 and found.grid == shown.grid
        nearest.append(torch.equal(found.tokens[0], shown.tokens[trial.needles[0]]))
    assert sum(nearest) >= 8, "even an encoder that learned nothing tells the colours of frames apart"


def test_codes_tell_every_card_apart_and_leave_the_rest(tmp_path, model):
    dataset = make_dataset(tmp_path, 0, SIZE, haystacks=1, shots=6, pages=3, pictures=2)
    tokens = frame_cache(tmp_path, model, 4, SIZE, "w", compute("fp32")).joined(dataset.files)
    codes = NeedleCodes(tokens)
    coded = codes.into_dataset(dataset, tokens)
    torch.testing.assert_close(coded.tokens[:6], tokens.tokens[:6], atol=0, rtol=0)
    torch.testing.assert_close(coded.tokens[dataset.card(2, 1)], codes.of(dataset.numbers[2], "green"), atol=0, rtol=0)
    every = torch.stack([codes.of(n, c).flatten() for n in range(10, 100) for c in ("red", "blue")]).float()
    assert torch.cdist(every, every).add(torch.eye(180) * 9).min() > 0.01
