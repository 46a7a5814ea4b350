"""Reading a table of one's own: every bad line is named, and what is left out is filled in as documented."""

import json

import pytest
from PIL import Image

from oryx.errors import SettingsError
from workbook.data.answers import score
from workbook.data.own_data import MOST_NAMED, PICTURES, VIDEOS, data_hash, read_table, write_example


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 30)).save(tmp_path / name)
    (tmp_path / "clip.MP4").write_bytes(b"not looked into yet")
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "1.png").write_bytes((tmp_path / "a.png").read_bytes())
    return tmp_path


def table(folder, text, name="t.csv", encoding="utf-8"):
    (folder / name).write_text(text, encoding=encoding)
    return read_table(folder / name)


def test_three_columns_are_enough(folder):
    found = table(
        folder, 'file,question,answer\na.png,"What, here?",cat\nb.png,What?,Cat.\nclip.MP4,?,dog\nframes,?,x\n'
    )
    assert [item.id for item in found] == ["a.png: What, here?", "b.png: What?", "clip.MP4: ?", "frames: ?"]
    assert [item.is_video for item in found] == [False, False, True, True]
    assert [item.cluster for item in found] == ["a.png", "b.png", "clip.MP4", "frames"]
    assert {item.task for item in found} == {"questions"} and {item.split for item in found} == {None}
    assert {item.chance for item in found} == {0.5}, "always 'cat' is right for two of four"
    assert found[0].path == folder / "a.png" and found[0].question == "What, here?"


@pytest.mark.parametrize(
    "suffix", ["gif", "mpg", "mpeg", "ts", "wmv", "flv", "ogv", "3gp", "m2ts", "vob", "webm", "h264", "rm", "ivf"]
)
def test_what_has_no_suffix_of_a_picture_is_a_video_whatever_the_container(folder, suffix):
    (folder / f"v.{suffix}").write_bytes(b"not looked into yet")
    assert [item.is_video for item in table(folder, f"file,question,answer\nv.{suffix},?,x\na.png,?,x\n")] == [
        True,
        False,
    ]


def test_every_column_is_taken_and_chance_is_counted_within_a_task(folder):
    rows = [
        {"file": "a.png", "question": "?", "answer": 1, "id": 7, "task": "t", "cluster": "c", "split": "dev"},
        {"file": "a.png", "question": "?", "answer": "2", "id": "8", "task": "t", "chance": 0.25, "split": "report"},
        {"file": "b.png", "question": "?", "answer": "3", "task": "u", "chance": None, "split": "dev"},
    ]
    first, second, third = table(folder, "\n\n".join(map(json.dumps, rows)) + "\n", "t.jsonl")
    assert (first.id, first.answer, first.task, first.cluster, first.split) == ("7", "1", "t", "c", "dev")
    assert (first.chance, second.chance, third.chance) == (0.5, 0.25, 1.0)
    assert second.cluster == "a.png"


@pytest.mark.parametrize(("separator", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-8"), (",", "utf-8")])
def test_tables_as_spreadsheets_write_them(folder, separator, encoding):
    lines = [["file", "question", "answer"], ["a.png", "Où?", "là"], ["", "", ""]]
    (item,) = table(folder, "\r\n".join(map(separator.join, lines)) + "\r\n", encoding=encoding)
    assert (item.question, item.answer) == ("Où?", "là")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 'file' is missing; expected at least file, question, answer"),
        ("file,question,answer\n", "the table is empty"),
        ("file,question,anwser\n", "unknown column 'anwser'; did you mean 'answer'"),
        ("File,question,answer\n", "unknown column 'File'; did you mean 'file'"),
        ("file,question\n", "column 'answer' is missing"),
        ("file,question,answer,answer\n", "column 'answer' comes twice"),
        ("file,question,answer\nno.png,?,x\n", r"line 2: file: there is no .*no\.png"),
        (f"file,question,answer\n{'x' * 5000},?,x\n", r"line 2: file: there is no .*\(5,\d+ characters\)"),
        ("file,question,answer\na.png,?,\n", "line 2: answer is empty"),
        ("file,question,answer\na.png, ,x\n", "line 2: question is empty"),
        ("file,question,answer\na.png,?,x\nb.png,?,x\na.png,?,y\n", "line 4: id 'a.png: .' is that of line 2"),
        ("file,question,answer\na.png,one, two,x\n", "line 2: expected 3 cells as in the header, got 4 .quote text"),
        ("file,question,answer,chance\na.png,?,x,25%\n", "line 2: chance: expected a number from 0 to 1, got '25%'"),
        ("file,question,answer,chance\na.png,?,x,2\n", "line 2: chance: expected a number from 0 to 1"),
        ("file,question,answer,split\na.png,?,x,test\n", "line 2: split: expected dev or report, got 'test'"),
        ("file,question,answer,split\na.png,?,x,dev\nb.png,?,x,\n", "split: filled in some lines only"),
        ('file,question,answer\na.png,"?,x\n', "not a csv"),
    ],
)
def test_bad_lines_are_named(folder, text, message):
    with pytest.raises(SettingsError, match=message):
        table(folder, text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: not JSON"),
        ("[1]", "line 1: expected a JSON object, got list"),
        ('{"file": "a.png", "question": "?"}', "line 1: column 'answer' is missing"),
        ('{"file": "a.png", "question": "?", "answer": null}', "line 1: answer is empty"),
        ('{"file": "a.png", "question": "?", "answer": ["x"]}', r"line 1: answer: expected text, got \['x'\]"),
        ('{"file": "a.png", "question": "?", "answer": true}', "line 1: answer: expected text, got True"),
    ],
)
def test_bad_json_lines_are_named(folder, line, message):
    with pytest.raises(SettingsError, match=message):
        table(folder, line + "\n", "t.jsonl")


def test_many_bad_lines_are_counted_and_the_first_ones_named(folder):
    lines = "".join(f"a.png,{i},\n" for i in range(MOST_NAMED + 3))
    with pytest.raises(SettingsError, match=f"has {MOST_NAMED + 3} problem") as caught:
        table(folder, "file,question,answer\n" + lines)
    assert str(caught.value).count("answer is empty") == MOST_NAMED and "and 3 more" in str(caught.value)


def test_files_that_are_no_table(folder):
    for name, message in (("a.png", "ends in .csv"), ("no.csv", "cannot be read"), ("latin.csv", "save the table as")):
        (folder / "latin.csv").write_bytes("file,question,answer\na.png,Où?,x\n".encode("latin-1"))
        with pytest.raises(SettingsError, match=message):
            read_table(folder / name)


@pytest.mark.parametrize(
    ("answer", "truth", "exact", "contains"),
    [
        ("Cat", "cat", 1, 1),
        (' "cat." ', "Cat", 1, 1),
        ("A red  CAT sat.", "red cat", 0, 1),
        ("concatenate", "cat", 0, 0),
        ("", "cat", 0, 0),
        ("12", "1", 0, 0),
        ("é", "e\u0301", 1, 1),
        ("B) a dog", "B", 0, 1),
        (".", "?", 0, 0),
    ],
)
def test_scores(answer, truth, exact, contains):
    assert score(answer, truth, "exact") == exact and score(answer, truth, "contains") == contains


def test_the_hash_follows_the_table_and_every_file(folder):
    text = "file,question,answer\na.png,?,x\nframes,?,x\n"
    hashes = [data_hash(folder / "t.csv", table(folder, text))]
    assert hashes == [data_hash(folder / "t.csv", table(folder, text))]
    for change in (folder / "a.png", folder / "frames" / "1.png"):
        change.write_bytes(change.read_bytes() + b".")
        hashes.append(data_hash(folder / "t.csv", table(folder, text)))
    hashes.append(data_hash(folder / "t.csv", table(folder, text.replace("x", "y"))))
    assert len(set(hashes)) == 4


def test_the_example_is_a_table_like_any_other(tmp_path):
    path = write_example(tmp_path / "example")
    items = read_table(path)
    assert len(items) == 2 * PICTURES + VIDEOS and sum(item.is_video for item in items) == VIDEOS
    assert {item.task for item in items} == {"number", "icon", "video"}
    before = path.stat().st_mtime_ns
    assert write_example(tmp_path / "example") == path and path.stat().st_mtime_ns == before
