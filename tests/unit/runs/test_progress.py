"""What workers write about their progress, and what is shown of it."""

import json
from types import SimpleNamespace

import pytest

from workbook.runs import progress
from workbook.runs.progress import Display, Progress, share


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when told to."""
    made = SimpleNamespace(now=100.0)
    made.monotonic = lambda: made.now
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
        seen.append(json.loads((tmp_path / "progress.json").read_text()))
        clock.now += 0.3
    assert seen == [step / 16 for step in (1, 1, 1, 1, 5, 5, 5, 8)]


def test_training_and_asking_are_half_a_job_each(tmp_path, clock):
    one = job(tmp_path / "a")
    assert share(one) == 0.0
    report = Progress(one.folder)
    for stage, done, total, expected in (("encode", 1, 2, 0.0), ("train", 50, 100, 0.25), ("evaluate", 1, 10, 0.55)):
        clock.now += 1
        report(stage, done, total)
        assert share(one) == expected
    assert share(job(tmp_path / "b", done=True)) == 1.0


def test_a_bar_has_the_time_left_once_it_is_known_from_where_this_attempt_began(tmp_path, capsys):
    jobs = [job(tmp_path / name) for name in "abcd"]
    report = Progress(jobs[0].folder)
    report("train", 10, 10)
    display = Display(jobs, "The study")
    bar = display.bar
    assert (bar.n, bar.initial, bar.total) == (0.5, 0.5, 4)
    bar.start_t -= 150
    bar.refresh()
    shown = capsys.readouterr().err
    assert "The study |" in shown and "0.5 of 4 jobs, 02:30 elapsed" in shown
    Progress(jobs[1].folder)("train", 1, 2)
    display.update()
    bar.refresh()
    shown = capsys.readouterr().err
    assert "0.8 of 4 jobs, 02:30 elapsed" in shown and "left" not in shown, "a fourteenth tells nothing"
    Progress(jobs[0].folder)("evaluate", 10, 10)
    display.update()
    bar.start_t += 75
    bar.refresh()
    assert "1.2 of 4 jobs, 01:15 elapsed, about 04:35 left" in capsys.readouterr().err, "0.75 of 3.5 jobs took 75 s"
    for each in jobs:
        each.done = True
    display.close()
    assert "4.0 of 4 jobs, 01:15 elapsed, about 00:00 left" in capsys.readouterr().err
