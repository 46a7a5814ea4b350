"""kill -9 and kill in the middle: children go, rows are kept, the next run ends with the rows of an undisturbed one."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.rows import same_rows
from tests.toy import ToyStudy
from workbook.runs.shards import read_status

pytestmark = pytest.mark.integration
FAST = ["-p", "items=8", "--jobs", "2"]


def wait_for(condition, seconds: float = 60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def command(results, *flags):
    return [sys.executable, "-m", "oryx", "run", "tests.toy:ToyStudy", "--results", str(results), *flags]


def alive(processes) -> list:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    study = ToyStudy()
    results = str(tmp_path_factory.mktemp("undisturbed"))
    return study.run(study.settings({"items": 8, "jobs": 2, "results": results})).rows


class Started:
    """A slow run from the command line, stopped when it has some rows or is still training."""

    def __init__(self, results, *flags, pause: float = 0.3):
        self.study = ToyStudy()
        self.settings = self.study.settings({"items": 8, "jobs": 2, "results": str(results)})
        self.folder = self.study.run_folder(self.settings)
        self.arm = self.folder / "seed-0" / "arms" / "native"
        self.rows = self.arm / "rows.jsonl"
        self.process = subprocess.Popen(
            command(results, *flags, *FAST, "-p", f"seconds={pause}"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def count(self) -> int:
        return self.rows.read_bytes().count(b"\n") if self.rows.exists() else 0

    def stop(self, when, how: signal.Signals) -> int:
        wait_for(when)
        children = psutil.Process(self.process.pid).children(recursive=True)
        assert len(children) >= 2, "workers run beside each other"
        os.kill(self.process.pid, how)
        self.out, self.err = self.process.communicate()
        wait_for(lambda: not alive(children), 20)
        return self.process.returncode

    def status(self) -> str:
        return read_status(self.folder / "seed-0" / "status.json")["state"]


@pytest.mark.parametrize("flags", [["--no-notebook"], []], ids=["study", "notebook"])
def test_a_killed_run_goes_on_to_the_same_rows(tmp_path, undisturbed, flags):
    run = Started(tmp_path, *flags)
    assert run.stop(lambda: run.count() >= 2, signal.SIGKILL) == -signal.SIGKILL
    kept = run.rows.read_bytes()
    assert 2 <= run.count() < 8, "the kill must come in the middle"
    assert run.status() == "killed"
    with run.rows.open("ab") as file:
        file.write(b'{"schema": 1, "study": "to')  # a row torn by the crash
    done = subprocess.run(command(tmp_path, *FAST, *flags), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert run.rows.read_bytes().startswith(kept), "finished rows survive as they were"
    assert run.status() == "done"
    assert same_rows(run.study.collect(run.settings).rows, undisturbed) == []
    assert len(json.loads((run.folder / "seed-0" / "manifest.json").read_text())["attempts"]) == 1


def test_a_kill_during_training_goes_on_from_the_checkpoint(tmp_path, undisturbed):
    run = Started(tmp_path, "--no-notebook", pause=1)
    state = run.arm / "checkpoints" / "state.json"
    run.stop(state.exists, signal.SIGKILL)
    assert not run.rows.exists() and json.loads(state.read_text())[0] < 3
    # at once, while an orphan might still be there
    assert same_rows(run.study.run(run.settings).rows, undisturbed) == []


@pytest.mark.parametrize("flags", [["--no-notebook"], []], ids=["study", "notebook"])
def test_a_terminated_run_says_so_and_goes_on(tmp_path, undisturbed, flags):
    run = Started(tmp_path, *flags)
    assert run.stop(lambda: run.count() >= 2, signal.SIGTERM) == 143
    assert "the same command goes on" in run.err
    assert run.status() == "killed"
    if not flags:
        assert read_status(run.folder / "status.json")["state"] == "killed"
    assert same_rows(run.study.run(run.settings).rows, undisturbed) == []


def test_an_orphan_and_a_new_worker_never_write_at_once(tmp_path, undisturbed):
    """A worker whose folder is still held waits until the other has gone."""
    study = ToyStudy()
    settings = study.settings({"items": 8, "jobs": 2, "results": str(tmp_path)})
    arm = study.run_folder(settings) / "seed-0" / "arms" / "native"
    hold = (
        f"import time\nfrom pathlib import Path\nfrom workbook.runs.shards import held\n"
        f"with held(Path({str(arm)!r})): print('held', flush=True); time.sleep(3)"
    )
    orphan = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True)
    assert orphan.stdout.readline() == "held\n"
    began = time.monotonic()
    rows = study.run(settings).rows
    assert time.monotonic() - began > 2 and orphan.wait() == 0
    assert same_rows(rows, undisturbed) == []
