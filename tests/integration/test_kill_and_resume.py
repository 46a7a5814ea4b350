"""kill -9 in the middle: children go, rows are kept, the next run ends with the rows of an undisturbed one."""

import os
import signal
import subprocess
import sys
import time

import psutil

from oryx.evidence.rows import same_rows
from tests.toy import ToyStudy


def wait_for(condition, seconds: float = 60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def test_a_killed_run_goes_on_to_the_same_rows(tmp_path):
    study = ToyStudy()
    values = {"seconds": 0.3, "items": 8, "jobs": 2}
    settings = study.settings({**values, "results": str(tmp_path / "killed")})
    command = [sys.executable, "-m", "oryx", "run", "tests.toy:ToyStudy", "--no-notebook", "--jobs", "2"]
    command += ["--results", str(tmp_path / "killed"), "-p", "seconds=0.3", "-p", "items=8"]
    parent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows = study.run_folder(settings) / "seed-0" / "arms" / "native" / "rows.jsonl"
    wait_for(lambda: rows.exists() and rows.read_bytes().count(b"\n") >= 2)
    children = psutil.Process(parent.pid).children(recursive=True)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    wait_for(lambda: not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children), 20)
    kept = rows.read_bytes()
    assert 2 <= kept.count(b"\n") < 8, "the kill must come in the middle"
    with rows.open("ab") as file:
        file.write(b'{"schema": 1, "study": "to')  # a row torn by the crash
    resumed = study.run(settings)
    assert rows.read_bytes().startswith(kept), "finished rows survive as they were"
    undisturbed = study.run(study.settings({**values, "results": str(tmp_path / "whole")}))
    assert same_rows(resumed.rows, undisturbed.rows) == []
