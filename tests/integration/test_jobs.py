"""Workers: one thread and one device each, failures that hurt no other job, and an end with whoever started them."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.toy import ToyStudy
from workbook.runs import jobs as jobs_module
from workbook.runs.jobs import Job, run_jobs

pytestmark = pytest.mark.integration


def jobs_in(folder: Path, study: str = "ToyStudy", arms=("native", "area_1"), torch=False, **values) -> list[Job]:
    settings = ToyStudy().settings(values).to_dict()
    return [Job(f"tests.toy:{study}", settings, arm, 0, folder / arm, torch=torch) for arm in arms]


def test_every_worker_has_one_thread(tmp_path):
    jobs = jobs_in(tmp_path, "ThreadsToyStudy", torch=True)
    assert run_jobs(jobs, workers=2) == []
    assert {(job.folder / "threads.json").read_text() for job in jobs} == {"1\n"}


def test_every_worker_sees_its_own_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs_module, "cuda_devices", lambda: ["3", "GPU-5"])
    jobs = jobs_in(tmp_path, "DeviceToyStudy", arms=("a", "b", "c"), torch=True, seconds=0.5)
    assert run_jobs(jobs) == []
    seen = [json.loads((job.folder / "device.json").read_text()) for job in jobs]
    assert {device for device, _, _ in seen[:2]} == {"3", "GPU-5"} and seen[2][0] in ("3", "GPU-5")
    for device in ("3", "GPU-5"):
        spans = sorted(span for name, *span in seen if name == device)
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans)), "one job at a time"


@pytest.mark.parametrize(("how", "code"), [("raise", 1), ("exit", 7), ("segfault", -signal.SIGSEGV), ("kill", -9)])
def test_a_worker_that_breaks_fails_its_own_job_only(tmp_path, how, code):
    jobs = jobs_in(tmp_path, "BreakingToyStudy", fail="area_1", kind="plain")
    (tmp_path / "area_1").mkdir()
    (tmp_path / "area_1" / "how").write_text(how)
    assert run_jobs(jobs, workers=2) == [(jobs[1], code)]
    assert f"about to {how}" in (tmp_path / "area_1" / "log.txt").read_text()
    assert [job.done for job in jobs] == [True, False]
    (tmp_path / "area_1" / "how").unlink()
    assert run_jobs(jobs, workers=2) == [], "the other job is skipped, this one is done again"


def test_jobs_of_a_level_wait_for_the_levels_below_and_are_left_out_when_these_fail(tmp_path):
    def job(arm, seed, level, study="ToyStudy"):
        settings = ToyStudy().settings({"fail": "first", "items": 1, "seconds": 0.1}).to_dict()
        return Job(f"tests.toy:{study}", settings, arm, seed, tmp_path / f"{arm}-{seed}", torch=False, level=level)

    jobs = [job("second", 0, 1), job("first", 0, 0), job("other", 1, 0), job("second", 1, 1)]
    assert run_jobs(jobs, workers=3) == [(jobs[1], 1)]
    assert [job.done for job in jobs] == [False, False, True, True] and not jobs[0].folder.exists()
    began, ended = (job.folder / name for job, name in ((jobs[3], "job.json"), (jobs[2], "done")))
    assert began.stat().st_mtime >= ended.stat().st_mtime


def test_seeds_end_one_after_the_other(tmp_path):
    settings = ToyStudy().settings({"items": 1, "seconds": 0.01}).to_dict()
    jobs = [
        Job("tests.toy:ToyStudy", settings, arm, seed, tmp_path / f"{arm}-{seed}", torch=False, level=level)
        for seed in (0, 1)
        for level, arm in enumerate(("first", "second"))
    ]
    assert run_jobs(jobs, workers=1) == []
    ended = [(job.folder / "done").stat().st_mtime for job in jobs]
    assert ended == sorted(ended)


def test_a_time_limit_ends_the_workers(tmp_path):
    (job,) = jobs_in(tmp_path, arms=("native",), seconds=5)
    with pytest.raises(TimeoutError):
        run_jobs([job], stop_at=time.monotonic() + 1)
    assert not job.done and not workers_of(os.getpid()), "a worker that was stopped is gone"


def test_workers_end_with_the_process_that_wanted_them(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom tests.integration.test_jobs import jobs_in\n"
        "from workbook.runs.jobs import run_jobs\nrun_jobs(jobs_in(Path(sys.argv[1]), seconds=5), workers=2)"
    )
    run = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[2])
    end = time.monotonic() + 60
    while len(workers_of(run.pid)) < 2:
        assert run.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    family = psutil.Process(run.pid).children(recursive=True)
    run.kill()
    run.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive


def test_a_script_without_a_guard_is_not_run_again_in_its_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from tests.toy import ToyStudy\nstudy = ToyStudy()\n"
        f"print('once', len(study.run(study.settings({{'results': {str(tmp_path)!r}}})).rows))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, "once 12\n"), done.stderr


def workers_of(pid: int) -> list[psutil.Process]:
    """The workers of a process: children of the server that it forks them from."""
    servers = [p for p in psutil.Process(pid).children() if "forkserver" in " ".join(p.cmdline())]
    return [worker for server in servers for worker in server.children()]
