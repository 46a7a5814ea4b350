"""What workers write about their progress, and what is shown of it."""

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest

from workbook.runs import progress
from workbook.runs.progress import Display, Progress, shares


class Clock:
    """Time that passes when told to."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def job(folder, done=False):
    folder.mkdir(exist_ok=True)
    return SimpleNamespace(folder=folder, done=done)


def test_a_job_writes_at_most_once_a_second_and_always_its_ends(tmp_path, clock):
    report = Progress(tmp_path)
    seen = []
    for step in range(1, 9):
        report("train", step, 8)
        seen.append(json.loads((tmp_path / "progress.json").read_text())["train"]["done"])
        clock.now += 0.3
    assert seen == [1, 1, 1, 1, 5, 5, 5, 8]


def test_shares_and_pace_of_a_resumed_job_count_this_attempt_only(tmp_path, clock):
    one = job(tmp_path / "a")
    assert shares(one) == {"train": (0.0, None), "evaluate": (0.0, None)}
    report = Progress(one.folder)
    report("encode", 1, 2)
    clock.now += 4
    report("encode", 2, 2)
    report("train", 50, 100)  # went on from a checkpoint
    clock.now += 10
    report("train", 75, 100)
    assert shares(one)["train"] == (0.75, pytest.approx((10 + 4) / 0.25))
    report("evaluate", 1, 10)
    assert shares(one)["train"][0] == 1.0 and shares(one)["evaluate"] == (0.1, None)
    assert shares(job(tmp_path / "b", done=True))["evaluate"] == (1.0, None)


def test_plain_lines_tell_time_left_per_stage(tmp_path, clock, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    jobs = [job(tmp_path / name) for name in "abcd"]
    display = Display(jobs, workers=2)
    display.update()
    assert capsys.readouterr().err == "", "no line before 20 seconds"
    report = Progress(jobs[0].folder)
    report("train", 0, 10)
    clock.now += 30
    report("train", 5, 10)
    display.update()
    # half a job took 30 s, so 3.5 jobs of 60 s are left for two workers
    assert capsys.readouterr().err == (
        "train 0.5 of 4 jobs, about 1 min 45 s left; evaluate 0.0 of 4 jobs, time left not known yet (30 s gone)\n"
    )
    for each in jobs:
        each.done = True
    display.close()
    assert capsys.readouterr().err == "train 4.0 of 4 jobs, done; evaluate 4.0 of 4 jobs, done (30 s gone)\n"


def test_a_terminal_gets_two_bars(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    display = Display([job(tmp_path / "a", done=True), job(tmp_path / "b")], workers=2)
    display.close()
    err = capsys.readouterr().err
    assert "train" in err and "evaluate" in err and "1.0 of 2 jobs" in err


def test_an_ipython_that_another_thread_is_importing_is_no_notebook(tmp_path, monkeypatch):
    """``papermill`` imports IPython while the display starts in a thread of its own."""
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    assert not Display([job(tmp_path / "a")], workers=1).notebook


def test_a_notebook_gets_one_output_that_renews_itself(tmp_path, monkeypatch):
    shown = []
    handle = SimpleNamespace(update=lambda html: shown.append(html.data))
    monkeypatch.setattr(progress, "_in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda html, display_id: shown.append(html.data) or handle)
    one = job(tmp_path / "a")
    display = Display([one], workers=2)
    one.done = True
    display.close()
    assert len(shown) == 2 and "value='0.00' max='1'" in shown[0] and "1.0 of 1 jobs, done" in shown[1]
