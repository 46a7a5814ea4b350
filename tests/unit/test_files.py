"""Atomic writes: the earlier file survives every failure."""

import errno
import hashlib
import json
import os
import shutil

import pytest

from oryx import files
from oryx.errors import RunError
from oryx.files import atomic_write_bytes, atomic_write_json, atomic_write_text, sha256_file


def test_a_message_is_never_as_long_as_what_it_tells_back():
    assert str(RunError("x" * 10_000)).startswith("xxx") and len(str(RunError("x" * 10_000))) < 3100
    assert str(RunError("short")) == "short"


def test_text_is_written_exactly_and_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b.txt"
    assert atomic_write_text(path, "Größe\n二\r\n") == path
    assert path.read_bytes() == "Größe\n二\r\n".encode()
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]


def test_a_new_file_can_be_read_by_others_and_an_earlier_mode_is_kept(tmp_path):
    path = atomic_write_text(tmp_path / "a.txt", "1")
    assert path.stat().st_mode & 0o777 == 0o644
    path.chmod(0o600)
    atomic_write_text(path, "2")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_earlier_file_and_no_remains(tmp_path, monkeypatch, call):
    path = atomic_write_text(tmp_path / "table.csv", "old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, call, full)
    with pytest.raises(RunError, match=r"table\.csv.*No space left.*unchanged"):
        atomic_write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_what_the_disk_has_no_room_for_is_not_begun(tmp_path, monkeypatch):
    path = atomic_write_text(tmp_path / "c.pt", "old")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 90, 10))
    with (
        pytest.raises(RunError, match=r"c\.pt: .*No space left on device; it takes 1,234 bytes\); the earlier file is"),
        files.atomic_file(path, 1234),
    ):
        pytest.fail("nothing may be written")
    assert path.read_text() == "old"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    blocker = atomic_write_text(tmp_path / "file", "x")
    with pytest.raises(RunError, match="file/inner"):
        atomic_write_bytes(blocker / "inner", b"")


def test_json_round_trip_and_refusals(tmp_path):
    path = tmp_path / "status.json"
    atomic_write_json(path, {"state": "done", "Größe": [1, 2]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"state": "done", "Größe": [1, 2]}
    for bad in (float("nan"), {1, 2}):
        with pytest.raises(RunError, match=r"status\.json: not a JSON value"):
            atomic_write_json(path, {"value": bad})
    assert json.loads(path.read_text(encoding="utf-8"))["state"] == "done"


def test_sha256(tmp_path):
    data = bytes(range(256)) * 9000  # more than one piece
    assert sha256_file(atomic_write_bytes(tmp_path / "w", data)) == hashlib.sha256(data).hexdigest()
    with pytest.raises(RunError, match="missing"):
        sha256_file(tmp_path / "missing")
