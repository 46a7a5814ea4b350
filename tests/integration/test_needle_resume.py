"""The needle grid killed, or with items that failed: the next run ends with the rows of an undisturbed one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

from oryx.evidence.rows import read_rows
from tests.rows import same_rows
from workbook.studies.needle.study import NeedleInAHaystack

pytestmark = pytest.mark.integration
VALUES = {"scale": "smoke", "arms": ["retrieval"], "trials": 6, "lengths": [16, 24, 32, 40], "jobs": 1}
WANTED = ["-p", 'arms=["retrieval"]', "-p", "trials=6", "-p", "lengths=[16,24,32,40]", "--jobs", "1"]


def start(results, *flags) -> subprocess.Popen:
    command = [sys.executable, "-m", "oryx", "run", "needle_in_a_haystack", "--scale", "smoke", "--no-merge"]
    return subprocess.Popen(
        [*command, *WANTED, *flags, "--results", str(results)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def rows_file(results):
    study = NeedleInAHaystack()
    folder = study.run_folder(study.settings({**VALUES, "results": str(results)}))
    return folder / "seed-0" / "arms" / "retrieval" / "rows.jsonl"


def finish(results, *flags) -> None:
    run = start(results, *flags)
    out, _ = run.communicate(timeout=900)
    assert run.returncode == 0, out[-2000:]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """(results folder, file of rows, its rows) of a whole run."""
    results = tmp_path_factory.mktemp("results")
    finish(results)
    return results, rows_file(results), read_rows([rows_file(results)])


def test_a_killed_grid_goes_on_to_the_same_rows(undisturbed):
    """The arm alone is done again and killed: files and reader are those of the undisturbed run."""
    results, path, expected = undisturbed
    shutil.rmtree(path.parent)
    run, end = start(results), time.monotonic() + 900
    while not (path.exists() and path.read_bytes().count(b"\n") >= 20):
        assert run.poll() is None and time.monotonic() < end, "ended before it could be killed"
        time.sleep(0.01)
    children = psutil.Process(run.pid).children(recursive=True)
    os.kill(run.pid, signal.SIGKILL)
    psutil.wait_procs(children, timeout=20)
    run.communicate()
    kept = path.read_bytes()
    assert 20 <= kept.count(b"\n") < len(expected), "the kill must come in the middle"
    finish(results)
    assert path.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1]), "finished rows are not asked again"
    assert same_rows(read_rows([path]), expected) == []


def test_needles_that_failed_are_asked_again_on_request(undisturbed):
    results, path, expected = undisturbed
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows[:3]:
        row |= {"answer": None, "score": None, "logprob": None, "error": "RuntimeError: as if"}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    finish(results)
    assert read_rows([path])["error"].notna().sum() == 3, "the same command leaves them alone"
    finish(results, "--retry-failed")
    assert same_rows(read_rows([path]), expected) == []
    assert len((path.parent / "failed.jsonl").read_text().splitlines()) == 3


def test_a_kill_while_files_are_written_leaves_no_process_behind(tmp_path):
    run, end = start(tmp_path, "-p", "haystack_frames=20000"), time.monotonic() + 60
    family: list[psutil.Process] = []
    while len(family) < 3:  # the worker of the shared job and those that write files
        family = psutil.Process(run.pid).children(recursive=True)
        assert run.poll() is None and time.monotonic() < end, "ended before it could be killed"
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    _, alive = psutil.wait_procs(family, timeout=20)
    for process in alive:
        process.kill()
    assert not alive
