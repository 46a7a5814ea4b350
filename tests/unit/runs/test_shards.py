"""Status and locks: attempts are counted, a dead process is not running, a folder is held by one process."""

import os
import subprocess
import sys

import pytest

from oryx.errors import RunError
from workbook.runs.shards import held, read_status, write_status


@pytest.fixture
def path(tmp_path):
    return tmp_path / "status.json"


def test_an_attempt_starts_anew_and_is_counted(path):
    assert read_status(path)["state"] == "queued"
    with held(path.parent):
        for attempt in (1, 2):
            write_status(path, "running")
            running = read_status(path)
            assert (running["state"], running["attempt"]) == ("running", attempt)
            write_status(path, "done", "ended", note=3)
            done = read_status(path)
            assert (done["state"], done["message"], done["note"], done["attempt"]) == ("done", "ended", 3, attempt)
            assert done["started"] == running["started"] <= done["updated"]


def test_a_running_state_in_a_folder_that_nobody_holds_reads_as_killed(path):
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom workbook.runs.shards import held, write_status\n"
        f"path = Path({str(path)!r})\nwith held(path.parent):\n"
        "    write_status(path, 'running')\n    print(flush=True)\n    sys.stdin.read()\n    os._exit(9)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    other.stdout.readline()
    assert read_status(path)["state"] == "running"
    other.communicate()
    killed = read_status(path)
    assert killed["state"] == "killed" and "the same command goes on" in killed["message"]
    with held(path.parent):
        write_status(path, "done")
    assert read_status(path)["state"] == "done"


@pytest.mark.parametrize("text", [b'{"state": "run', b'{"stat": "done"}', b"[1]", b'{"state": "\xff"}'])
def test_a_damaged_status_names_the_file(path, text):
    path.write_bytes(text)
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
