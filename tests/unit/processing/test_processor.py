"""The processor: prompts and visuals matched, saved and read again, found by AutoProcessor, streaming of frames."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

from oryx import Images, Video, Views
from oryx.errors import CheckpointError, InputError, SettingsError
from oryx.grids import SizeRule
from oryx.processing import visuals
from oryx.processing.images import image_views, to_patches
from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import OryxProcessor
from oryx.processing.tokenizers import byte_tokenizer
from oryx.processing.visuals import choose_frames, frame_files
from oryx.train.inputs import encode_prompt

from .test_video import write_video

OPTIONS = PreprocessOptions(
    low=SizeRule(32, base=64), video=SizeRule(64), video_long=SizeRule(128), frames=8, short_video_frames=6
)


@pytest.fixture(scope="module")
def processor() -> OryxProcessor:
    return OryxProcessor(byte_tokenizer(), OPTIONS)


def grey(level: int, height: int = 64, width: int = 64) -> Image.Image:
    return Image.new("RGB", (width, height), (level,) * 3)


def levels(maps: list[np.ndarray]) -> list[int]:
    return [int(one[0, 0, 0]) for one in maps]


def test_patches_are_those_of_the_views_one_after_the_other(processor):
    noise = np.random.default_rng(0).integers(0, 256, (70, 100, 3), dtype=np.uint8)
    inputs = processor("What?", Images([noise, grey(9)]))
    views = [view for p in (Image.fromarray(noise), grey(9)) for view in image_views(p, OPTIONS)]
    expected = [to_patches(view, 16) for view in views]
    assert torch.equal(inputs["pixel_patches"], torch.cat([patches for patches, _ in expected]))
    assert inputs["image_grids"].tolist() == [list(grid) for _, grid in expected]
    assert inputs["visual_spec"].tolist() == [[1, 2, 1]] * 2


def test_it_round_trips_and_autoprocessor_finds_it(tmp_path):
    OryxProcessor(byte_tokenizer(), OPTIONS, "plain", patch=8).save_pretrained(tmp_path)
    for again in (OryxProcessor.from_pretrained(tmp_path), AutoProcessor.from_pretrained(tmp_path)):
        assert isinstance(again, OryxProcessor)
        assert (again.options, again.prompt, again.patch) == (OPTIONS, "plain", 8)
        assert again("read", None)["input_ids"].tolist() == [[*b"read\n"]]


@pytest.mark.parametrize("spoil", [lambda config: config.pop("patch"), lambda config: config["options"].update(lo=1)])
def test_a_spoiled_configuration_names_its_file(tmp_path, spoil):
    OryxProcessor(byte_tokenizer()).save_pretrained(tmp_path)
    file = tmp_path / "processor_config.json"
    config = json.loads(file.read_text())
    spoil(config)
    for text in (json.dumps(config), "{"):
        file.write_text(text)
        with pytest.raises(CheckpointError, match=r"processor_config\.json"):
            OryxProcessor.from_pretrained(tmp_path)


def test_the_plain_prompt_is_the_one_of_training():
    plain = OryxProcessor(byte_tokenizer(), OPTIONS, "plain", patch=8)
    assert plain("read", grey(0))["input_ids"].tolist() == [encode_prompt("read")]
    conversation = [{"from": "human", "value": "<image>\nread"}, {"from": "gpt", "value": "42"}]
    assert plain(conversation, grey(0))["labels"].tolist() == [[-100] * 6 + [*b"42", 256]]


def test_one_newline_is_the_form_of_the_published_evaluation():
    for newlines in (1, 2):
        one = OryxProcessor(byte_tokenizer(), PreprocessOptions(newlines=newlines, low=None))
        ids = one("Hm?", grey(0))["input_ids"][0].tolist()
        after = ids[ids.index(-200) + 1 :]
        assert after[: newlines + 1] == [10] * newlines + [ord("H")]


def test_a_mark_is_added_to_the_question_and_not_to_an_opening(processor):
    opening = [{"from": "system", "value": "Hello."}]
    conversation = [{"from": "human", "value": "Hm?"}, {"from": "gpt", "value": "Yes."}]
    ids = [processor(turns, grey(0))["input_ids"].tolist() for turns in (conversation, opening + conversation)]
    assert ids[0] == ids[1] and ids[0][0].count(-200) == 1
    with pytest.raises(InputError, match="turn 1: expected text"):
        processor([conversation[0], {"from": "gpt"}, conversation[0]], grey(0))


def test_a_mark_in_an_answer_is_text(processor):
    conversation = [{"from": "human", "value": "Which mark?"}, {"from": "gpt", "value": "It is <image>."}]
    inputs = processor(conversation, grey(0))
    assert (inputs["input_ids"] == -200).sum() == 1
    assert [*b"It is <image>."] == [i for i in inputs["labels"][0].tolist() if 0 <= i < 256][-15:-1]


def test_frames_are_spread_and_repeated_only_on_request(processor):
    frames = [grey(i) for i in range(20)]
    assert levels(processor.prepare(Video(frames))[0].maps) == [0, 2, 5, 8, 10, 13, 16, 19]
    assert levels(processor.prepare(Video(frames, frames=2))[0].maps) == [0, 19]
    assert levels(processor.prepare(Video(frames[:3]))[0].maps) == [0, 1, 2]
    assert levels(processor.prepare(Video(frames[:3], repeat=True))[0].maps) == [0, 0, 0, 0, 1, 1, 1, 2]
    stacked = np.stack([np.asarray(frame) for frame in frames])
    assert levels(processor.prepare(Video(stacked, frames=2))[0].maps) == [0, 19]


def test_a_folder_of_frames_is_read_in_the_order_of_its_numbers(processor, tmp_path):
    for number in (10, 9, 1, 100):
        grey(number).save(tmp_path / f"frame{number}.png")
    (tmp_path / ".hidden").write_text("not a frame")
    assert [path.name for path in frame_files(tmp_path)] == [f"frame{i}.png" for i in (1, 9, 10, 100)]
    assert levels(processor.prepare(Video(tmp_path))[0].maps) == [1, 9, 10, 100]


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda folder: None, "there are no files in it"),
        (lambda folder: (folder / "a.txt").write_text("x"), r"a\.txt: expected a picture"),
        (
            lambda folder: [grey(1).save(folder / "a.png"), grey(1, 64, 65).save(folder / "b.png")],
            r"b\.png: the frames",
        ),
    ],
)
def test_a_folder_that_is_no_video_is_refused_by_name(processor, tmp_path, spoil, message):
    spoil(tmp_path)
    with pytest.raises(InputError, match=message):
        processor("?", Video(tmp_path))


def test_views_of_several_sizes_get_the_first_ones(processor):
    prepared = processor.prepare(Views([grey(0, 128, 64), grey(0, 64, 200), grey(0)]))[0]
    assert prepared.sizes == [(128, 64)] * 3


def test_frames_are_decoded_one_after_the_other(monkeypatch):
    opened = []
    monkeypatch.setattr(visuals, "open_image", lambda item, limit: opened.append(item) or grey(item))
    chosen = choose_frames(Video(list(range(30))), OPTIONS)
    assert chosen.count == 8 and not opened, "nothing is decoded before it is asked for"
    next(chosen.pictures)
    assert opened == [0]


@pytest.mark.parametrize("make", [lambda: Images([]), lambda: Views("a.png"), lambda: Video([]), lambda: Video("v", 0),
                                  lambda: Video(np.zeros((4, 4, 3), np.uint8)), lambda: Video(b"bytes")])  # fmt: skip
def test_empty_containers_are_refused(make):
    with pytest.raises(InputError, match="expected"):
        make()


def test_frames_may_be_spread_by_the_time_they_are_shown(processor, tmp_path):
    times = [*np.arange(16) / 10, 3.5, 5.5, 7.5]  # 10 a second, then one every two seconds
    film = write_video(tmp_path / "v.mp4", 19, times=times, size=(64, 64))

    def shown(**options):
        return [round((one.mean() - 16) / 4) for one in processor.prepare(Video(film, **options))[0].maps]

    assert shown(frames=4) == [0, 6, 12, 18], "by number most are of the fast part"
    assert shown(frames=4, sampling="time") == [0, 15, 16, 18]
    assert shown(frames=7, sampling="time") == [0, 12, 15, 16, 17, 18], "what is shown long comes once"
    assert shown(frames=7, sampling="time", repeat=True) == [0, 12, 15, 16, 16, 17, 18]
    with pytest.raises(SettingsError, match="unknown sampling 'fps'; known: number, time"):
        Video(film, sampling="fps")
    with pytest.raises(InputError, match="a file that says when its frames are shown"):
        processor.prepare(Video([grey(0)] * 3, sampling="time"))
