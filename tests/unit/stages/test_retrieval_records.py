"""Records about frames of long videos: from tables, from MovieNet's files, by turns of captions and differences."""

import json
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from oryx.errors import SettingsError
from oryx.train.datasets import read_data
from workbook.data.haystacks import write_video
from workbook.stages import registry
from workbook.stages.retrieval_records import Caption, build, main, read_captions


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A file of 30 frames, two a second; a folder of three frames; a folder of MovieNet's key frames of three shots."""
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "film.mp4", [Image.new("RGB", (32, 32), (8 * i, 0, 0)) for i in range(30)], (32, 32), rate=2)
    for name, files in {
        "frames": [f"{number}.png" for number in (2, 10, 1)],
        "tt1": [f"shot_{shot:04d}_img_{image}.jpg" for shot in range(3) for image in range(3)],
    }.items():
        (folder / name).mkdir()
        for file in files:
            Image.new("RGB", (32, 32)).save(folder / name / file)
    return folder


def test_a_csv_and_a_json_list_say_frames_or_times(videos, tmp_path):
    (tmp_path / "a.csv").write_text(
        'video,time,frame,text\nfilm,7.5,,"a dog, asleep"\nfilm.mp4,,0,a hill\nframes,,1 2,it fell\nfilm,1 2.5,,rain\n'
    )
    rows = [{"video": "film", "frame": 3, "text": "a"}, {"video": "frames", "frame": "0 2", "text": "b"}]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    film, frames = videos / "film.mp4", videos / "frames"
    assert read_captions(videos, tmp_path / "a.csv") == [
        (film, (15,), "a dog, asleep"), (film, (0,), "a hill"), (frames, (1, 2), "it fell"), (film, (2, 5), "rain")
    ]  # fmt: skip
    assert read_captions(videos, tmp_path / "a.json") == [(film, (3,), "a"), (frames, (0, 2), "b")]


def test_movienets_stories_are_read_in_their_middle(videos, tmp_path):
    """Fields as in the example of its documentation."""
    story = {"id": "tt1_0000", "shot": [0, 2], "frame": [4, 15], "duration": [2.0, 7.5], "description": "He leaves."}
    film = {"imdb_id": "tt1", "cast": [], "scene": [], "story": [{**story, "subtitle": []}], "cinematic_style": {}}
    for name in ("tt1", "film"):
        (tmp_path / f"{name}.json").write_text(json.dumps({**film, "imdb_id": name}))
    (tmp_path / "empty.json").write_text(json.dumps({**film, "story": None}))
    found = read_captions(videos, tmp_path)
    assert found == [(videos / "film.mp4", (9,), "He leaves."), (videos / "tt1", (4,), "He leaves.")]
    assert sorted(path.name for path in (videos / "tt1").iterdir())[4] == "shot_0001_img_1.jpg"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("absent,0,,a", "absent: expected a video file, there is none"),
        ("film,30,,a", r"one or two frames from 0 to 29, got \(30,\)"),
        ("film,,15,a", r"from 0 to 29, got \(30,\)"),
        ("film,1 2 3,,a", r"one or two frames .*got \(1, 2, 3\)"),
        ("film,,,a", "one or two frames"),
        ("film,0,,", "expected a text"),
        ("film,x,,a", "could not convert"),
        ("frames,,1,a", "its frames have no times"),
    ],
)
def test_a_caption_that_cannot_be_used_is_named(videos, tmp_path, row, said):
    path = tmp_path / "a.csv"
    path.write_text(f"video,frame,time,text\nfilm,0,,good\n{row}\n")
    with pytest.raises(SettingsError, match=rf"captions: .*a\.csv, row 1: .*{said}"):
        read_captions(videos, path)


@pytest.mark.parametrize(
    ("text", "said"),
    [("[]", "at least one"), ("{", "row 0: .*JSON"), ("[3]", "row 0: "), ('{"a": 1}', "imdb_id|got none")],
)
def test_a_file_without_captions_is_named(videos, tmp_path, text, said):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(SettingsError, match=rf"captions: .*a\.json.*{said}"):
        read_captions(videos, tmp_path / "a.json")


def test_captions_and_differences_come_by_turns(tmp_path):
    films = [Caption(tmp_path / "v" / f"{name}.mp4", (idx,), f"{name}{idx}.") for name in "ab" for idx in (5, 7, 90)]
    records = build([*films, Caption(tmp_path / "v" / "c.mp4", (1,), "alone.")], tmp_path, seed=1)
    assert [record["type"] for record in records] == ["caption", "diff"] * 7
    single = [(one["video_long"], one["idx"], one["answer"]) for one in records[::2]]
    assert len({str(one) for one in single}) == 7 and ("v/c.mp4", [1], "alone.") in single
    for record in records[1::2]:
        (first, second), film = record["idx"], record["video_long"][2]
        assert first < second and film in "ab"
        assert record["answer"] == f"First: {film}{first}. Then: {film}{second}."
    assert len({record["id"] for record in records}) == 14
    assert records == build([*films, Caption(tmp_path / "v" / "c.mp4", (1,), "alone.")], tmp_path, seed=1)
    assert records != build([*films, Caption(tmp_path / "v" / "c.mp4", (1,), "alone.")], tmp_path, seed=2)
    assert len(build(films, tmp_path, count=3)) == 3


def test_what_is_told_comes_before_what_is_put_together_and_all_of_it_comes(tmp_path):
    told = [Caption(tmp_path / "a.mp4", (9, 3), f"{name} goes out.") for name in ("The lamp", "The sun")]
    single = [Caption(tmp_path / "a.mp4", (idx,), f"{idx}.") for idx in range(4)]
    said = [(record["type"], record["answer"]) for record in build([*single, *told], tmp_path)]
    assert {text for kind, text in said if kind == "caption"} == {"0.", "1.", "2.", "3."}
    differences = [text for kind, text in said if kind == "diff"]
    assert set(differences[:2]) == {one.text for one in told} and all("Then:" in text for text in differences[2:])
    assert [one["idx"] for one in build(told, tmp_path)] == [[9, 3]] * 4
    assert {one["answer"] for one in build(told, tmp_path, count=2)} == {one.text for one in told}
    assert [one["type"] for one in build(single[:1] * 3, tmp_path, count=3)] == ["caption"] * 3


def test_the_command_says_what_it_wrote_and_what_is_wrong(videos, tmp_path, capsys, monkeypatch):
    (tmp_path / "a.csv").write_text("video,frame,text\nfilm,3,a\nfilm,9,b\n")
    words = ["--videos", str(videos), "--captions", str(tmp_path / "a.csv"), "--output", str(tmp_path / "data.json")]
    with pytest.raises(SystemExit) as ended:
        registry.main(["retrieval-records", *words, "--records", "4"])
    assert not ended.value.code
    assert "4 records about frames of 1 videos, from 2 captions" in capsys.readouterr().out
    records = read_data([tmp_path / "data.json"])
    assert [one.kind for one in records] == ["video_long"] * 4  # found from the folder of the records
    assert all(one.placed().indices == tuple(range(30)) for one in records)
    assert main(words[:2] + words[4:]) == 2 and "captions: expected a file" in capsys.readouterr().err


def test_a_time_means_the_frame_that_is_shown_then_whatever_the_rate(tmp_path):
    with av.open(str(tmp_path / "film.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.codec_context.time_base = 32, 32, Fraction(1, 1000)
        for second in (0, 1, 2, 10, 11):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 20 * second, np.uint8), format="rgb24")
            frame.pts, frame.time_base = 1000 * second, Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    (tmp_path / "a.csv").write_text("video,time,text\nfilm,2,a\nfilm,9.9,b\nfilm,10,c\nfilm,11.5,d\n")
    assert [one.idx for one in read_captions(tmp_path, tmp_path / "a.csv")] == [(2,), (2,), (3,), (4,)]
