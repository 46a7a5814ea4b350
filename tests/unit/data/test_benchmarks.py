"""Local copies of benchmarks: what is read from good ones, and the one message that a bad one gets."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oryx.errors import MissingResource, SettingsError
from tests.benchmark_copies import COPIES, write_scanqa
from workbook.data.benchmarks import BENCHMARKS, copy_hash, read_benchmark
from workbook.data.protocols import protocol

PAPER = protocol("paper")


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    for name, write in COPIES.items():
        write(folder / name)
    (folder / "mvbench" / "json").mkdir(parents=True)
    video = folder / "mvbench" / "data0613" / "star" / "Charades_segment" / "one.mp4"
    video.parent.mkdir(parents=True)
    shutil.copy(next((folder / "mlvu").glob("*.mp4")), video)
    row = {"video": "one.mp4", "question": "What?", "candidates": ["run", "U.S. walk"], "answer": "U.S. walk"}
    (folder / "mvbench" / "json" / "action_sequence.json").write_text(json.dumps([row]))
    write_scanqa(folder / "scanqa")
    (folder / "longvideobench" / "videos").mkdir(parents=True)
    shutil.copy(video, folder / "longvideobench" / "videos" / "x.mp4")
    row = {"id": "x_0", "video_path": "x.mp4", "question": "Who?", "question_category": "S2E", "correct_choice": 1}
    row |= {"option0": "she", "option1": "he", "option2": "they", "option3": "N/A", "option4": "N/A"}
    pq.write_table(pa.Table.from_pylist([row]), folder / "longvideobench" / "validation-00000-of-00001.parquet")
    return folder


def test_every_benchmark_is_read_and_asked_by_every_protocol(copies):
    for name in BENCHMARKS:
        for each in ("paper", "official"):
            items = read_benchmark(name, copies, protocol(each))
            assert len({item.id for item in items}) == len(items) > 0
            for item in items:
                assert item.question.count("\n") <= 8 and item.most >= 16 and item.cluster and item.task
                right = item.truths[0] if item.rule != "formula" else "so x^{2}"
                assert item.score(right) == 1 and item.score("nothing of it") == 0


def test_what_is_asked_is_what_the_copy_says(copies):
    items = {name: read_benchmark(name, copies, PAPER) for name in BENCHMARKS}
    assert {item.rule for item in items["ocrbench"]} == {"reading", "formula"}
    assert [item.chance for item in items["mmbench"]] == [0.25, 0.25, 0.25, 0.25, 0.5, 0.5]
    first, turned = items["mmbench"][2:4]
    assert (first.id, turned.id) == ("1", "1000001") and first.cluster == turned.cluster, "one picture, turned options"
    assert first.question.startswith("The bar is black. Which colour") and "nan" not in items["mmbench"][0].question
    assert {item.task for item in items["videomme"]} == {"short", "medium", "long"}
    assert items["videomme"][0].options == ("Red.", "Green.", "Blue.", "Yellow.")
    assert items["videomme"][0].visual == items["videomme"][1].visual == copies / "videomme/data/invented000.mp4"
    assert items["mlvu"][0].question.count("(A)") == 1 and items["mlvu"][0].question.endswith("Best option: (")
    assert items["nextqa"][0].options[-1] == "none of them" and items["nextqa"][0].chance == 0.2
    assert (items["mvbench"][0].truths, items["mvbench"][0].options) == (("B",), ("run", "U.S. walk"))
    first = items["scanqa"][0]
    assert (first.truths, first.options, first.cluster) == (("red wall", "a red wall"), (), "scene0000_00")
    assert first.question == "What is behind the black bar?\nAnswer the question using a single word or phrase."
    assert first.visual == copies / "scanqa/frames/scene0000_00" and first.score("a red wall") == 1
    assert first.score("Red wall") == first.score("red wall.") == 0, "ScanQA's scorer compares letter by letter"
    assert (items["longvideobench"][0].truths, len(items["longvideobench"][0].options)) == (("B",), 3)
    mlvu = read_benchmark("mlvu", copies, protocol("official"))[0]
    assert mlvu.question == (
        "Which colour comes first?\n['A. red', 'B. green', 'C. blue', 'D. yellow']\n"
        "Answer the question with A, B, C, or D."
    )


def test_the_hash_follows_questions_and_files(copies, tmp_path):
    shutil.copytree(copies / "mlvu", tmp_path / "mlvu")
    before = copy_hash(read_benchmark("mlvu", tmp_path, PAPER))
    assert before == copy_hash(read_benchmark("mlvu", copies, PAPER))
    assert before != copy_hash(read_benchmark("mlvu", copies, protocol("official")))
    with open(tmp_path / "mlvu" / "invented_0.mp4", "ab") as file:
        file.write(b"more")
    assert copy_hash(read_benchmark("mlvu", tmp_path, PAPER)) != before


def spoilt(folder, name, change):
    """A copy of which one table was changed by ``change(rows)``; its path."""
    (table,) = folder.glob(f"{name}/{BENCHMARKS[name]['tables']}")
    pq.write_table(pa.Table.from_pylist(change(pq.read_table(table).to_pylist())), table)
    return table


def without(column):
    return lambda rows: [{name: value for name, value in row.items() if name != column} for row in rows]


def with_value(column, value):
    return lambda rows: [rows[0] | {column: value}, *rows[1:]] if isinstance(value, type(rows[0][column])) else [
        row | {column: value} for row in rows
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change", "error", "said"),
    [
        (
            "ocrbench",
            without("answer"),
            SettingsError,
            r"parquet, row 0: column 'answer' is missing; expected question",
        ),
        ("ocrbench", with_value("answer", "x"), SettingsError, r"row 0: column 'answer': expected list, got 'x'"),
        ("ocrbench", with_value("answer", []), SettingsError, r"row 0: column 'answer': expected list, got \[\]"),
        ("mmbench", with_value("answer", "E"), SettingsError, "row 0: column 'answer': no option is 'E'"),
        ("nextqa", with_value("answer", 5), SettingsError, "row 0: column 'answer': no option is 5"),
        ("nextqa", with_value("answer", -1), SettingsError, "row 0: column 'answer': no option is -1"),
        ("videomme", with_value("question_id", "001-2"), SettingsError, "row 1: the id '001-2' comes twice"),
        ("videomme", with_value("videoID", "gone"), MissingResource, r"row 0: there is no .*data/gone"),
        ("mlvu", lambda rows: [], SettingsError, "expected at least one question, the table is empty"),
    ],
)
def test_a_bad_copy_is_one_message_naming_file_and_column(copies, tmp_path, name, change, error, said):
    shutil.copytree(copies / name, tmp_path / name)
    table = spoilt(tmp_path, name, change)
    with pytest.raises(error, match=said) as caught:
        read_benchmark(name, tmp_path, PAPER)
    assert str(table) in str(caught.value)


def test_a_missing_copy_and_a_damaged_table_are_named(copies, tmp_path):
    with pytest.raises(
        MissingResource, match=r"mlvu: expected a copy of sy1998/MLVU_dev, there is none in .*mlvu/test"
    ):
        read_benchmark("mlvu", tmp_path, PAPER)
    with pytest.raises(SettingsError, match="unknown benchmark 'video-mme'; did you mean 'videomme'"):
        read_benchmark("video-mme", copies, PAPER)
    (tmp_path / "mlvu" / "mlvu").mkdir(parents=True)
    (tmp_path / "mlvu" / "mlvu" / "test-0.parquet").write_bytes(b"no parquet")
    with pytest.raises(SettingsError, match=r"test-0.parquet: cannot be read"):
        read_benchmark("mlvu", tmp_path, PAPER)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda rows: {"a": 1}, SettingsError, r"val\.json: expected a list of objects"),
        (without("answers"), SettingsError, r"val\.json, row 0: column 'answers' is missing; expected question_id"),
        (with_value("answers", [2]), SettingsError, r"row 0: column 'answers': expected a list of texts, got \[2\]"),
        (with_value("scene_id", "scene9999_00"), MissingResource, r"row 0: there is no .*videos/scene9999_00"),
        (with_value("scene_id", "empty"), MissingResource, r"row 0: expected frames in .*empty, the folder is empty"),
    ],
)
def test_a_bad_copy_of_scanqa_is_one_message(tmp_path, change, error, said):
    table = write_scanqa(tmp_path / "scanqa") / "ScanQA_v1.0_val.json"
    (tmp_path / "scanqa" / "frames" / "empty").mkdir()
    table.write_text(json.dumps(change(json.loads(table.read_text()))))
    with pytest.raises(error, match=said):
        read_benchmark("scanqa", tmp_path, PAPER)
