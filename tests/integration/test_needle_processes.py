"""Several processes share the questions of released weights: the same rows as one process, also after a kill."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest

from oryx.evidence.rows import read_rows
from tests.integration.test_needle_released import SMALL, checkpoint
from workbook.runs import worker
from workbook.studies.needle.study import NeedleInAHaystack

__all__ = ["checkpoint"]
pytestmark = pytest.mark.integration
VALUES = {**SMALL, "trials": 2}
NAMES = ["condition", "item"]


def start(checkpoint, results) -> subprocess.Popen:
    wanted = {**VALUES, "checkpoint": str(checkpoint), "processes": 2}
    flags = [flag for name, value in wanted.items() if name != "scale" for flag in ("-p", f"{name}={value}")]
    command = [sys.executable, "-m", "oryx", "run", "needle_in_a_haystack", "--scale", "paper", "--no-merge", *flags]
    return subprocess.Popen(
        [*command, "--results", str(results)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def arm_folder(checkpoint, results):
    study = NeedleInAHaystack()
    settings = study.settings({**VALUES, "checkpoint": str(checkpoint), "results": str(results)})
    return study.run_folder(settings) / "seed-0" / "arms" / "released"


def rows_of_one_process(checkpoint, results) -> pd.DataFrame:
    study, folder = NeedleInAHaystack(), arm_folder(checkpoint, results)
    settings = study.settings({**VALUES, "checkpoint": str(checkpoint), "results": str(results)})
    study.run_job(settings, "released", 0, folder, lambda *_: None)
    return read_rows([folder / "rows.jsonl"]).sort_values(NAMES).reset_index(drop=True)


def finished(run: subprocess.Popen, folder) -> pd.DataFrame:
    out, _ = run.communicate(timeout=240)
    assert run.returncode == 0, out[-3000:]
    assert not list(folder.glob("rows.part-*")), "parts are gathered"
    return read_rows([folder / "rows.jsonl"]).sort_values(NAMES).reset_index(drop=True)


def test_two_processes_give_the_rows_of_one_also_after_a_kill(checkpoint, tmp_path):
    two = arm_folder(checkpoint, tmp_path / "two")
    expected = rows_of_one_process(checkpoint, tmp_path / "one")
    run, end = start(checkpoint, tmp_path / "two"), time.monotonic() + 240
    parts = [two / f"rows.part-{number}.jsonl" for number in range(2)]
    while not all(part.exists() and part.stat().st_size for part in parts):
        assert run.poll() is None and time.monotonic() < end, "ended before it could be killed"
        time.sleep(0.01)
    family = psutil.Process(run.pid).children(recursive=True)
    words = {process: process.cmdline() for process in family}  # those that drew the haystacks are there too
    asking = [one for one in family if worker.__name__ in words[one] and "torch.distributed.run" not in words[one]]
    for process in asking:
        process.suspend()  # or they end before they notice
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    for process in asking:
        process.resume()
    _, alive = psutil.wait_procs(family, timeout=30)
    run.communicate()
    assert len(asking) == 2 and len(family) >= 3 and not alive, "launcher and both processes end with the run"
    kept = read_rows(parts)
    assert {0, 1} == set(kept["haystack"]) and len(kept) < len(expected)
    assert all(read_rows([part])["haystack"].nunique() == 1 for part in parts), "each reads haystacks of its own"
    found = finished(start(checkpoint, tmp_path / "two"), two)
    assert len(found) == len(expected) and found["error"].isna().all()
    exact = [*NAMES, "cluster", "question", "truth", "answer", "score", "visual_tokens", "frames"]
    pd.testing.assert_frame_equal(found[exact], expected[exact])
    # other trials share a batch, which moves the last digits
    pd.testing.assert_series_equal(found["logprob"], expected["logprob"], atol=1e-3, rtol=0)
