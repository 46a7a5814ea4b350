"""How many jobs run at a time."""

from pathlib import Path

from workbook.runs.jobs import Job, _room


def job(processes: int = 1) -> Job:
    return Job("none", {}, "arm", 0, Path("nowhere"), processes=processes)


def test_a_job_takes_a_place_for_each_of_its_processes():
    assert _room(job(2), [], workers=2) and not _room(job(2), [job()], workers=2)
    assert not _room(job(), [job(2)], workers=2) and _room(job(), [job(2)], workers=3)


def test_a_job_of_more_processes_than_places_runs_alone():
    assert _room(job(4), [], workers=1) and not _room(job(), [job(4)], workers=1)
