"""What a full disk, a read-only folder, a crash or older rows do to a run: a clear error, and earlier rows intact."""

import errno
import json
import os

import pytest

from oryx import files
from oryx.errors import RunError
from oryx.evidence import store
from oryx.evidence.rows import read_rows
from tests.rows import same_rows
from tests.toy import ToyStudy
from workbook import cli


def job(tmp_path, **values):
    """The toy's first arm, run in this process: (a function that runs it, its rows file)."""
    study = ToyStudy()
    settings = study.settings({"results": str(tmp_path), **values})
    folder = tmp_path / "arm"
    folder.mkdir(exist_ok=True)
    return lambda: study.run_job(settings, "native", 0, folder, lambda *_: None), folder / "rows.jsonl"


def broken(code: int, after: int, real):
    """``real``, which works ``after`` times and then fails with that error number."""
    calls = []

    def call(*arguments):
        calls.append(arguments)
        if len(calls) > after:
            raise OSError(code, os.strerror(code))
        return real(*arguments)

    return call


@pytest.mark.parametrize(
    ("code", "message"), [(errno.ENOSPC, "No space left on device"), (errno.EROFS, "Read-only file system")]
)
def test_a_disk_that_fills_up_ends_with_a_clear_error_and_the_run_goes_on(tmp_path, monkeypatch, code, message):
    whole, undisturbed = job(tmp_path / "whole") if (tmp_path / "whole").mkdir() is None else None
    whole()
    (tmp_path / "full").mkdir()
    run, path = job(tmp_path / "full")
    steps = 4  # three training steps and the curve
    with monkeypatch.context() as patch:
        patch.setattr(store.os, "fsync", broken(code, steps + 2, os.fsync))
        with pytest.raises(RunError, match=rf"rows\.jsonl: cannot be written \({message}\); earlier rows stay"):
            run()
    left = read_rows(path)
    assert 0 < len(left) < 6
    run()
    assert same_rows(read_rows(path), read_rows(undisturbed)) == []
    assert same_rows(left, read_rows(path).head(len(left))) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_checkpoint_that_cannot_be_written_keeps_the_earlier_one(tmp_path, monkeypatch, code):
    run, path = job(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", broken(code, 1, os.replace))
        with pytest.raises(RunError, match=r"state\.json: cannot be written .*the earlier file is unchanged"):
            run()
    assert json.loads((path.parent / "checkpoints" / "state.json").read_text())[0] == 1
    assert not list(path.parent.rglob("*.tmp"))
    run()
    assert len(read_rows(path)) == 6


def test_a_torn_row_is_dropped_and_said_and_the_run_ends_as_undisturbed(tmp_path, capsys):
    run, path = job(tmp_path)
    run()
    undisturbed = read_rows(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:40])
    assert len(read_rows(path)) == 3, "reading passes over the torn line"
    run()
    assert "rows.jsonl: dropped a torn last line of 40 bytes" in capsys.readouterr().err
    assert same_rows(read_rows(path), undisturbed) == []


def test_rows_of_an_older_schema_stop_a_run_and_a_comparison_by_name(finished, capsys):
    study, settings, folder = finished
    path = folder / "seed-1" / "arms" / "native" / "rows.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0].replace('"schema": 1', '"schema": 0'), *lines[1:]]) + "\n")
    before = path.read_bytes()
    with pytest.raises(RunError, match=r"seed-1/arms/native/rows\.jsonl, line 1: rows of schema 0, expected 1"):
        study.collect(settings)
    assert cli.main(["diff", str(folder), str(folder / "seed-0")]) == 3
    assert "rows of schema 0, expected 1" in capsys.readouterr().err
    assert path.read_bytes() == before, "nothing is repaired that is not understood"


def test_a_finished_arm_that_lost_rows_is_noticed(finished):
    study, settings, folder = finished
    path = folder / "seed-1" / "arms" / "native" / "rows.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RunError, match=r"seed-1/arms/native/rows\.jsonl: .* rows were written, 5 are there"):
        study.collect(settings)
