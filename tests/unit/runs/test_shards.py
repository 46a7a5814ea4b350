"""Status and locks: states go forward, a dead process is not running, a folder is held by one process."""

import json
import os
import subprocess
import sys

import pytest

from oryx.errors import RunError
from workbook.runs.shards import held
from workbook.runs.status import read_status, start_attempt, write_status


@pytest.fixture
def path(tmp_path):
    return tmp_path / "status.json"


def test_states_go_forward_within_an_attempt(path):
    assert read_status(path)["state"] == "queued"
    start_attempt(path)
    for state in ("queued", "running", "failed"):
        write_status(path, state)
        assert read_status(path)["state"] == state
    for earlier in ("queued", "running", "done"):
        with pytest.raises(RunError, match=f"failed cannot become {earlier} within one attempt"):
            write_status(path, earlier)
    with pytest.raises(RunError, match="expected one of queued"):
        write_status(path, "finished")


def test_a_new_attempt_starts_anew_and_is_counted(path):
    write_status(path, "done", "first")
    started = start_attempt(path)
    assert (started["state"], started["attempt"]) == ("queued", 2)
    assert write_status(path, "running", note=3)["note"] == 3
    assert read_status(path)["attempt"] == 2


def test_a_running_state_of_a_dead_process_reads_as_killed(path):
    write_status(path, "running")
    written = json.loads(path.read_text())
    gone = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)
    path.write_text(json.dumps({**written, "pid": gone.pid, "born": None}))
    assert read_status(path)["state"] == "killed", "ended, though nobody has asked for its exit code yet"
    gone.wait()
    path.write_text(json.dumps({**written, "pid": gone.pid}))
    assert read_status(path)["state"] == "killed"
    path.write_text(json.dumps({**written, "born": written["born"] - 1}))
    assert read_status(path)["state"] == "killed", "the number now belongs to a later process"
    path.write_text(json.dumps({**written, "pid": gone.pid, "host": "elsewhere"}))
    assert read_status(path)["state"] == "running", "another host's processes cannot be looked at"
    path.write_text(json.dumps({**written, "pid": gone.pid, "state": "done"}))
    assert read_status(path)["state"] == "done"


def test_a_damaged_status_names_the_file(path):
    path.write_text('{"state": "run')
    with pytest.raises(RunError, match=r"status\.json is no JSON"):
        read_status(path)


def test_a_shard_is_held_by_one_process(tmp_path):
    shard = tmp_path / "seed-0"
    with held(shard):
        code = f"from pathlib import Path\nfrom workbook.runs.shards import held\nwith held(Path({str(shard)!r})): pass"
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert second.returncode == 1 and f"{shard} is in use by process {os.getpid()} on " in second.stderr
    with held(shard):
        pass


def test_an_unwritable_folder_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"), held(tmp_path / "file" / "seed-0"):
        pass
