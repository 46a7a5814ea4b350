"""The row store: append, repair, resume, merge, compare."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from oryx.errors import RunError
from oryx.evidence import store
from oryx.evidence.rows import read_published, read_rows, write_published
from oryx.evidence.schema import FIELDS, IDENTITY, identity, published_rows
from oryx.evidence.store import RowWriter, gather_parts, part_writer
from tests.rows import same_rows
from tests.unit.evidence.builders import failed, row

DICTIONARY = Path(__file__).parents[3] / "docs" / "data-dictionary.md"


def test_rows_come_back_as_written_sorted_by_identity(tmp_path):
    with RowWriter(tmp_path / "rows.jsonl") as writer:
        writer.write([row("b", area_ratio=0.5), failed("c")])
        writer.write([row("a", score=np.float32(0.25), visual_tokens=np.int64(3), truth="ß")])
    frame = read_rows(tmp_path / "rows.jsonl")
    assert frame["item"].tolist() == ["a", "b", "c"]
    assert frame["score"].tolist()[:2] == [0.25, 1.0] and np.isnan(frame["score"][2])
    assert frame["error"].tolist() == [None, None, "RunError: broken"]
    assert frame["visual_tokens"].tolist() == [3, 21, 21] and frame["sizes"][1] == [[64, 48]]
    assert frame["area_ratio"].isna().tolist() == [True, False, True]
    assert frame.columns.tolist() == [*FIELDS, "area_ratio"]


def test_reopening_knows_what_is_there_and_refuses_it_twice(tmp_path):
    path = tmp_path / "deep" / "rows.jsonl"
    RowWriter(path).write([row("a")])
    writer = RowWriter(path)
    assert writer.seen == {identity(row("a"))}
    assert writer.has({name: row("a")[name] for name in IDENTITY}) and not writer.has(row("a", seed=1))
    with pytest.raises(RunError, match="item a, seed 0 is already there"):
        writer.write([row("b"), row("a")])
    with pytest.raises(RunError, match="already there"):
        writer.write([row("b"), row("b")])
    assert len(read_rows(path)) == 1


def test_parts_of_several_processes_become_one_file_and_a_kill_between_doubles_nothing(tmp_path):
    with RowWriter(tmp_path / "rows.jsonl") as writer:
        writer.write([row("a")])
    for number, item in enumerate(("b", "c")):
        with part_writer(tmp_path, number) as part:
            assert part.has(row("a")) and not part.has(row("c"))
            part.write([row(item)])
    left = (tmp_path / "rows.part-1.jsonl").read_bytes()
    gather_parts(tmp_path)
    (tmp_path / "rows.part-1.jsonl").write_bytes(left + left[:30])  # killed before it was removed, or while it grew
    gather_parts(tmp_path)
    assert read_rows(tmp_path / "rows.jsonl")["item"].tolist() == ["a", "b", "c"]
    assert (tmp_path / "rows.jsonl").read_bytes().count(b"\n") == 3 and not list(tmp_path.glob("rows.part-*"))


@pytest.mark.parametrize("torn", [b'{"schema": 1, "stu', b"\0\0\0", b"{}"])
def test_a_torn_last_line_is_dropped_and_resume_equals_an_undisturbed_run(tmp_path, capsys, torn):
    path, whole = tmp_path / "rows.jsonl", tmp_path / "whole.jsonl"
    items = [row(f"i{n}", score=float(n % 2)) for n in range(4)]
    RowWriter(whole).write(items)
    RowWriter(path).write(items[:2])
    path.write_bytes(path.read_bytes() + torn)
    assert len(read_rows(path)) == 2  # reading passes over the torn line and leaves the file alone
    assert path.read_bytes().endswith(torn)
    writer = RowWriter(path)
    assert f"dropped a torn last line of {len(torn)} bytes" in capsys.readouterr().err
    writer.write([{**r, "seconds": 9.0} for r in items if not writer.has(r)])
    assert same_rows(read_rows(path), read_rows(whole)) == []


def test_kill_in_the_middle_of_writing_loses_at_most_one_batch(tmp_path):
    path = tmp_path / "rows.jsonl"
    code = (
        "import os, signal, sys; from oryx.evidence.store import RowWriter\n"
        "from tests.unit.evidence.builders import row\n"
        "w = RowWriter(sys.argv[1])\n"
        "for n in range(5): w.write([row(f'i{n}-{k}') for k in range(3)])\n"
        "os.write(w._file.fileno(), b'{\"schema\": 1, '); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == -9
    assert len(RowWriter(path).seen) == 15 and path.read_bytes().endswith(b"}\n")


def test_a_full_disk_keeps_whole_batches_only(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    writer = RowWriter(path)
    writer.write([row("a")])
    before = path.read_bytes()
    with monkeypatch.context() as patch:

        def full(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr(store.os, "fsync", full)
        with pytest.raises(RunError, match=r"rows\.jsonl: cannot be written \(No space left"):
            writer.write([row("b")])
    assert path.read_bytes() == before and not writer.has(row("b"))
    writer.write([row("b")])
    assert len(read_rows(path)) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 0}, "rows of schema 0, expected 1"),
        ({"seed": "0"}, "seed: expected a valid integer, got '0'"),
        ({"seed": True}, "seed: expected a valid integer"),
        ({"score": 1.5}, "score: expected 0 to 1, got 1.5"),
        ({"score": float("nan")}, "not a JSON value: Out of range float"),
        ({"score": None}, "without an error a row has an answer and a score"),
        ({"error": "broken"}, "an item with an error has no score"),
        ({"cluster": None}, "cluster: expected a valid string, got None"),
        ({"sizes": [64, 48]}, "sizes[0]: expected a valid array, got 64"),
        ({"extra": {1, 2}}, "not a JSON value: set"),
    ],
)
def test_invalid_rows_are_refused_by_field_before_anything_is_written(tmp_path, change, message):
    writer = RowWriter(tmp_path / "rows.jsonl")
    with pytest.raises(RunError, match=re.escape(message)):
        writer.write([row("a"), row("b", **change)])
    assert (tmp_path / "rows.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    "name", [name for name, field in FIELDS.items() if field["required"] == "yes" and name != "schema"]
)
def test_every_required_field_is_asked_for(tmp_path, name):
    incomplete = row("a")
    del incomplete[name]
    with pytest.raises(RunError, match=name):
        RowWriter(tmp_path / "rows.jsonl").write([incomplete])


def test_files_of_another_schema_are_refused_by_name(tmp_path):
    path = tmp_path / "rows.jsonl"
    for old, found in (({"arm": "native"}, 0), ({"schema": 2}, 2)):
        path.write_text(json.dumps(old) + "\n")
        for use in (RowWriter, read_rows):
            with pytest.raises(RunError, match=rf"rows\.jsonl, line 1: rows of schema {found}, expected 1"):
                use(path)


def test_unreadable_lines_and_missing_files_are_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row("a")) + "\n{broken\n")
    with pytest.raises(RunError, match="line 2: not a JSON object"):
        read_rows(path)
    with pytest.raises(RunError, match=r"other\.jsonl: cannot be read \(No such file"):
        read_rows(tmp_path / "other.jsonl")


@pytest.mark.parametrize(
    ("name", "value"), [("item", ["a"]), ("seed", "one"), ("seed", None), ("frames", 10**30), ("score", "${HOME}")]
)
def test_a_value_of_another_kind_is_refused_when_rows_are_read(tmp_path, name, value):
    (tmp_path / "rows.jsonl").write_text(json.dumps({**row(), name: value}) + "\n")
    with pytest.raises(RunError, match=r"expected values of one kind|a row is named by"):
        read_rows(tmp_path / "rows.jsonl")


def test_one_identity_in_two_files_is_refused(tmp_path):
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    RowWriter(first).write([row("b"), row("c")])
    RowWriter(second).write([row("a")])
    assert read_rows([first, second])["item"].tolist() == ["a", "b", "c"]
    RowWriter(second).write([row("b", answer="8")])
    with pytest.raises(RunError, match=r"2\.jsonl: two rows of .*item b, seed 0"):
        read_rows([first, second])


def test_published_rows_are_the_same_for_the_same_rows_in_any_order(tmp_path):
    rows = [row(f"i{n}", size_bin="large" if n % 2 else None, steps=n if n else None) for n in range(6)] + [failed("z")]
    RowWriter(tmp_path / "rows.jsonl").write(rows)
    frame = read_rows(tmp_path / "rows.jsonl")
    one = write_published(frame, tmp_path / "1.parquet").read_bytes()
    assert one == write_published(frame[::-1], tmp_path / "2.parquet").read_bytes()
    assert one == write_published(read_published(tmp_path / "1.parquet"), tmp_path / "3.parquet").read_bytes()
    pd.testing.assert_frame_equal(read_published(tmp_path / "1.parquet"), frame)


def test_any_reader_of_parquet_finds_types_lists_and_nulls(tmp_path):
    rows = [row("a", sizes=[[64, 48], [8, 8]], picture_size=None, logprob=-0.123456), failed("b")]
    plain = pd.read_parquet(write_published(pd.DataFrame(rows), tmp_path / "rows.parquet"))
    assert plain["seed"].dtype == "int64" and plain["score"].dtype == float and plain["logprob"][0] == -0.123
    assert [list(size) for size in plain["sizes"][0]] == [[64, 48], [8, 8]]
    assert plain["picture_size"][0] is None and plain["error"].isna().tolist() == [True, False]


def test_few_fields_are_read_as_they_are(tmp_path):
    path = write_published(pd.DataFrame([row("a"), row("b", score=0.5)]), tmp_path / "rows.parquet")
    found = read_published(path, ("score", "arm", "absent"))
    assert list(found) == ["score", "arm"] and found["score"].tolist() == [1.0, 0.5]


def _published(path, **columns):
    names = {name: row("a").get(name) for name in FIELDS} | columns
    pd.DataFrame({name: [value] for name, value in names.items() if value != "left out"}).to_parquet(path)
    return path


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"schema": 0}, "rows of schema 0, expected 1"),
        ({"schema": "left out"}, "rows of schema 0, expected 1"),
        ({"cluster": "left out"}, "field 'cluster' is missing"),
        ({"seed": "0"}, "field 'seed': expected integer, got"),
        ({"score": "1"}, "field 'score': expected number, got"),
    ],
)
def test_published_rows_of_another_schema_or_type_are_refused_by_name(tmp_path, columns, message):
    path = _published(tmp_path / "rows.parquet", **columns)
    with pytest.raises(RunError, match=rf"rows\.parquet.*{message}"):
        read_published(path)


def test_bytes_that_are_no_text_are_damage(tmp_path):
    path = _published(tmp_path / "rows.parquet", answer="abcdefgh")
    path.write_bytes(path.read_bytes().replace(b"abcdefgh", b"abc\xff\xfe\x80gh"))
    with pytest.raises(RunError, match=r"rows\.parquet: cannot be read as parquet"):
        read_published(path)


def test_a_count_of_rows_that_is_damaged_is_refused(tmp_path):
    path = write_published(pd.DataFrame([row(f"item {i}") for i in range(30)]), tmp_path / "rows.parquet")
    whole, stated = path.read_bytes(), bytes([60])  # 30, as the footer writes it
    places = [place for place in range(len(whole)) if whole[place : place + 1] == stated]
    refused = 0
    for place in places:
        path.write_bytes(whole[:place] + b"\0" + whole[place + 1 :])
        try:
            assert len(read_published(path)) == 30
        except RunError:
            refused += 1
    assert refused


def test_files_that_are_no_published_rows_are_named(tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"no parquet")
    for wrong in (path, tmp_path / "absent.parquet"):
        with pytest.raises(RunError, match=rf"{wrong.name}: cannot be read as parquet"):
            read_published(wrong)
    with pytest.raises(RunError, match="field 'own': values of one type expected"):
        write_published(pd.DataFrame([row("a", own=1), row("b", own="x")]), path)
    path.unlink()
    assert published_rows(tmp_path) is None


def test_the_data_dictionary_lists_the_schema_field_by_field():
    cells = [line.split("|") for line in DICTIONARY.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    listed = [tuple(cell.strip().strip("`") for cell in c[1:6]) for c in cells]
    assert listed == [tuple(field.values()) for field in FIELDS.values()]


def test_rows_whose_names_are_no_texts_are_refused(tmp_path):
    path = tmp_path / "rows.jsonl"
    for item in (3, None, ["a"]):
        path.write_text("".join(json.dumps(line) + "\n" for line in (row("a"), {**row("b"), "item": item})))
        with pytest.raises(RunError, match="a row is named by"):
            read_rows(path)
