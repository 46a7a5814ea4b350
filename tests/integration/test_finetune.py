"""A fine-tuning that is killed goes on: the losses, answers and scores of an undisturbed one."""

import subprocess
import sys
import time

import pytest

from tests.records import write_records
from tests.rows import same_rows
from oryx.evidence.rows import read_rows

pytestmark = [pytest.mark.integration, pytest.mark.finetune]


def command(data, folder):
    words = {"data": data, "folder": folder, "epochs": 6, "batch": 2, "held-out": 0.34, "max-new-tokens": 3, "rank": 2}
    words |= {"learning-rate": 0.01, "checkpoint-seconds": 0}
    flags = [str(word) for name, value in words.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", "oryx.train", "finetune", *flags]


def test_a_killed_fine_tuning_ends_as_an_undisturbed_one(tmp_path):
    data, whole, killed = write_records(tmp_path / "data", 12), tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(data, whole), check=True, capture_output=True)
    process = subprocess.Popen(command(data, killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not (killed / "training.pt").exists():
        assert process.poll() is None and time.monotonic() < end, "it should have been in training"
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (killed / "curve.csv").exists(), "killed too late"
    done = subprocess.run(command(data, killed), check=True, capture_output=True, text=True)
    assert "step 1 of" not in done.stdout and "step 24 of 24" in done.stdout
    assert (killed / "curve.csv").read_text() == (whole / "curve.csv").read_text()
    for arm in ("before", "after"):
        assert same_rows(read_rows([killed / arm / "rows.jsonl"]), read_rows([whole / arm / "rows.jsonl"]))
