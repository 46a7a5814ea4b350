"""Workers forked from a loaded process do what plain workers do, fail alike, and end with whoever started them."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from oryx.evidence.rows import read_rows, same_rows
from tests.toy import ToyStudy
from workbook.runs.jobs import Job, run_jobs
from workbook.runs.nursery import Nursery, can_fork

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not can_fork(), reason="forking needs Linux and a build of torch without CUDA"),
]


def jobs_in(folder: Path, study: str = "ToyStudy", **values) -> list[Job]:
    settings = ToyStudy().settings(values).to_dict()
    return [Job(f"tests.toy:{study}", settings, arm, 0, folder / arm, torch=True) for arm in ("native", "area_1")]


@pytest.fixture(scope="module")
def nursery():
    nursery = Nursery()
    yield nursery
    served = psutil.Process(nursery.process.pid)
    nursery.close()
    assert not served.is_running()


def children_of(nursery: Nursery) -> list[psutil.Process]:
    return psutil.Process(nursery.process.pid).children()


def test_every_worker_has_one_thread(tmp_path, nursery):
    plain, forked = (jobs_in(tmp_path / how, "ThreadsToyStudy") for how in ("plain", "forked"))
    assert run_jobs(plain) == run_jobs(forked, nursery=nursery) == []
    assert {(job.folder / "threads.json").read_text() for job in (*plain, *forked)} == {"1\n"}


def test_forked_workers_do_and_fail_as_plain_ones(tmp_path, nursery):
    plain, forked = jobs_in(tmp_path / "plain", fail="area_1"), jobs_in(tmp_path / "forked", fail="area_1")
    (found,), (expected,) = run_jobs(forked, nursery=nursery), run_jobs(plain)
    assert found.code == expected.code == 1 and "this arm was told to fail" in found.log
    rows = [read_rows([job.folder / "rows.jsonl" for job in jobs]) for jobs in (plain, forked)]
    assert len(rows[0]) and same_rows(*rows) == []
    assert [job.done for job in forked] == [True, False]


def test_a_worker_that_is_stopped_killed_or_cannot_begin(tmp_path, nursery):
    (job, other) = jobs_in(tmp_path, seconds=5)
    with pytest.raises(TimeoutError):
        run_jobs([job], stop_at=time.monotonic() + 1, nursery=nursery)
    assert not children_of(nursery), "a worker that was stopped is gone"
    (failure,) = run_jobs(
        [other], started=lambda _: threading.Timer(1, lambda: children_of(nursery)[0].kill()).start(), nursery=nursery
    )
    assert failure.code == -signal.SIGKILL
    failed = nursery.start([str(tmp_path / "none.json")], tmp_path / "log.txt")
    assert failed.wait() == 1 and "FileNotFoundError" in (tmp_path / "log.txt").read_text()


def test_workers_that_end_together_are_all_noticed(tmp_path, nursery):
    ended = [nursery.start([str(tmp_path / "none.json")], tmp_path / "log.txt") for _ in range(4)]
    while children_of(nursery):  # what is said of them waits to be read
        time.sleep(0.05)
    assert [child.wait() for child in ended] == [1] * 4


def test_workers_end_with_the_process_that_wanted_them(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom tests.integration.test_nursery import jobs_in\n"
        "from workbook.runs.jobs import run_jobs\nfrom workbook.runs.nursery import Nursery\n"
        "run_jobs(jobs_in(Path(sys.argv[1]), seconds=5), nursery=Nursery())"
    )
    run = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[2])
    family, end = [], time.monotonic() + 60
    while len(family) < 3:  # the loaded process and two workers
        family = psutil.Process(run.pid).children(recursive=True)
        assert run.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    run.kill()
    run.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
