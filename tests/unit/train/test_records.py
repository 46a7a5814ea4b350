"""Records are read strictly: what they may be, and one message for each way to be wrong."""

import json

import numpy as np
import pytest
from PIL import Image

from oryx.errors import InputError, SettingsError
from oryx.processing.processor import OryxProcessor
from oryx.processing.tokenizers import byte_tokenizer
from oryx.processing.visuals import Images, Video, Views
from oryx.train.datasets import read_records
from tests.records import save, turns
from tests.unit.processing.test_video import write_video
from workbook.data.stories import make_story


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 40), (90, 60, 30)).save(folder / name)
    make_story(folder, "dev", "short", 0).path.rename(folder / "v.mp4")
    (folder / "frames").mkdir()
    Image.new("RGB", (32, 32)).save(folder / "frames" / "1.png")
    (folder / "empty").mkdir()
    (folder / "nothing.png").write_bytes(b"")
    return folder


MARKS = r"conversations: {} <image> mark\(s\) in questions, 1 visual\(s\) in the record"
ONE = turns("<image>\nWhat?", "This.")
KINDS = [
    {"image": "a.png", "conversations": ONE},
    {"images": ["a.png", "b.png"], "conversations": turns("<image><image> Same?", "Yes.")},
    {"video": "v.mp4", "conversations": ONE},
    {"video": "frames", "conversations": ONE},
    {"views": ["a.png", "b.png"], "conversations": ONE},
    {"conversations": turns("Hello?", "Yes.")},
    {"image": "a.png", "conversations": turns("<image>\nWhat?", "This.", "Why?", "So."), "task": "why"},
    {
        "image": ["a.png", "b.png"],
        "conversations": turns("<image>\n<image>\nSame?", "Yes."),
        "model": "",
        "source": "x",
    },
]


def test_every_kind_of_record_is_read_and_prepared(media, tmp_path):
    path = save(tmp_path, [{"id": i, **fields} for i, fields in enumerate(KINDS)])
    records = read_records(path, media)
    assert [record.id for record in records] == [str(i) for i in range(len(KINDS))]
    assert [record.kind for record in records] == [
        "image",
        "images",
        "video",
        "video",
        "views",
        None,
        "image",
        "images",
    ]
    assert records[6].task == "why" and records[6].question == "What?" and records[6].answer == "This."
    shown = [record.visual(frames=2) for record in records]
    assert [type(one) for one in shown[1:5]] == [Images, Video, Video, Views] and shown[2].frames == 2
    assert shown[5] is None
    processor = OryxProcessor(byte_tokenizer(), patch=8)
    prepared = [record.prepare(processor, frames=2) for record in records]
    assert [sum(one.frames for one in visuals) for visuals in prepared] == [1, 2, 2, 1, 2, 0, 1, 2]
    lines = tmp_path / "records.jsonl"
    lines.write_text("".join(json.dumps(fields) + "\n" for fields in json.loads(path.read_text())))
    assert [record.conversation for record in read_records(lines, media)] == [one.conversation for one in records]


def test_the_frames_of_a_record_may_be_spread_by_time(tmp_path):
    write_video(tmp_path / "fast_then_slow.mp4", 19, times=[*np.arange(16) / 10, 3.5, 5.5, 7.5], size=(64, 64))
    (record,) = read_records(save(tmp_path, [{"id": 0, "video": "fast_then_slow.mp4", "conversations": ONE}]))
    processor = OryxProcessor(byte_tokenizer(), patch=8)
    by = {name: record.prepare(processor, frames=4, sampling=name)[0].maps for name in ("number", "time")}
    assert [len(maps) for maps in by.values()] == [4, 4]
    assert by["time"][1].mean() > by["number"][1].mean(), "each frame is brighter than the one before"


def test_files_are_looked_for_beside_the_records_by_default(media):
    (media / "records.json").write_text(json.dumps([{"id": "x", "image": "a.png", "conversations": ONE}]))
    assert read_records(media / "records.json")[0].files == (media / "a.png",)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"imagee": "a.png"}, "unknown field 'imagee'; did you mean 'image'"),
        ({"conversations": None}, r"conversations: expected a valid list, got None"),
        ({"conversations": ONE[:1]}, r"conversations: .*at least 2 items"),
        ({"conversations": turns("<image>\nWhat?", " \n")}, "conversations: expected an answer, got an empty text"),
        ({"conversations": [ONE[0], {"from": "gpt"}]}, "conversations: expected an answer, got an empty text"),
        ({"conversations": [{"from": "human", "text": "?"}, ONE[1]]}, r"conversations\[0\].*'from' or 'value'"),
        ({"conversations": [ONE[0], ONE[0]]}, "conversations: turn 1: expected from 'gpt', got 'human'"),
        ({"conversations": [*ONE, ONE[0]]}, "conversations: expected an answer .* last, got a question"),
        ({"conversations": turns("What?", "This.")}, MARKS.format(0)),
        ({"conversations": turns("<image><image>", "This.")}, MARKS.format(2)),
        ({"conversations": turns("What?", "This <image>.")}, MARKS.format(0)),
        ({"image": "absent.png"}, r"image: .*absent\.png: expected a picture file, there is none"),
        ({"image": "nothing.png"}, r"image: .*nothing\.png: expected a picture, got an empty file"),
        ({"image": 3}, "image: expected the name of a file .*, got 3"),
        ({"image": {"patch": "p", "start_num": 0, "size": 9}}, "image: .*packed pictures must be written as files"),
        ({"image": ["a.png", "absent.png"]}, r"image: .*absent\.png: expected a picture file, there is none"),
        ({"image": None, "images": []}, r"images: expected the name of a file .*, got \[\]"),
        ({"image": None, "video": "empty"}, "video: .*empty: expected a folder of frames"),
        ({"image": None, "video": "v" * 5000}, "video: .*: expected a video file, there is none"),
        ({"video": "v.mp4"}, "expected one of image, images, video, views, video_long, got image and video"),
        ({"id": None}, r"id\.str: expected a valid string, got None"),
    ],
)  # fmt: skip
def test_a_bad_record_is_named_with_its_field(media, tmp_path, fields, said):
    good = {"id": "good", "image": "a.png", "conversations": ONE}
    path = save(tmp_path, [good, {"id": "x", "image": "a.png", "conversations": ONE} | fields])
    with pytest.raises(SettingsError, match=rf"data: .*records\.json, record 1 \(id '?(x|None)'?\): {said}"):
        read_records(path, media)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "got an empty file"),
        ("[{", "expected a JSON list of records"),
        ('{"id": 1}', "expected a JSON list of records, got"),
        ("[]", r"expected a JSON list of records, got '\[\]'"),
        ("[3]", r"expected a JSON list of records, got '\[3\]'"),
        ('[{"id": 1}, 3, {"id": 2}]', "expected a JSON list of records, got ', 3, .* behind 1 records"),
        ('[{"id": 1} {"id": 2}]', "expected a JSON list of records, got .* behind 1 records"),
        ('[{"id": 1}] more', "expected a JSON list of records, got ' more' behind 1 records"),
        ('[{"id": 1}, {"id": 2', "expected a JSON list of records, .* behind 1 records"),
    ],
)
def test_a_file_that_holds_no_records_is_named(tmp_path, text, said):
    (tmp_path / "records.json").write_text(text)
    with pytest.raises(SettingsError, match=rf"data: .*records\.json: .*{said}"):
        read_records(tmp_path / "records.json")
    with pytest.raises(SettingsError, match=r"absent\.json: .*there is none"):
        read_records(tmp_path / "absent.json")


def test_an_id_that_comes_twice_is_named(media, tmp_path):
    record = {"id": 7, "image": "a.png", "conversations": ONE}
    with pytest.raises(SettingsError, match=r"record 1 \(id 7\): expected an id of its own, .* record 0 \(id 7\)"):
        read_records(save(tmp_path, [record, record]), media)


def test_a_picture_that_cannot_be_opened_names_its_record(media, tmp_path):
    (tmp_path / "bad.png").write_bytes((media / "a.png").read_bytes()[:40])
    (record,) = read_records(save(tmp_path, [{"id": "b", "image": "bad.png", "conversations": ONE}]))
    with pytest.raises(InputError, match=r"record 0 \(id 'b'\): .*bad\.png"):
        record.prepare(OryxProcessor(byte_tokenizer(), patch=8))
