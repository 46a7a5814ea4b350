"""The Snakefile with local cores: a job per seed and a merge, killed and resumed, to an undisturbed run's rows."""

import os
import re
import shlex
import subprocess
import sys

import nbformat
import psutil
import pytest

from tests.integration.workflow_runs import ITEMS, ROOT, ToyWorkflow, undisturbed_rows, wait_for
from tests.rows import same_rows
from workbook.runs.shards import read_status

pytestmark = [pytest.mark.integration, pytest.mark.workflow]
LOCAL = ("--cores", "2")
SLOW = {"seconds": 0.25, "fail": "cell"}


def test_a_killed_job_a_killed_snakemake_and_a_failed_notebook_go_on_to_the_same_rows(tmp_path):
    """One folder, four calls; each does only what is missing."""
    toy = ToyWorkflow(tmp_path)
    snakemake = toy.start(*LOCAL, **SLOW)
    wait_for(lambda: toy.count(1) >= 2)
    (one_seed,) = toy.runs_of(1)
    one_seed.kill()
    assert snakemake.wait(timeout=300) != 0
    kept = toy.rows_file(1).read_bytes()
    assert toy.count(0) == ITEMS and 2 <= toy.count(1) < ITEMS, "the kill came in the middle, the other seed went on"
    marks = toy.run_folder / "workflow"
    assert (marks / "seed-0").exists() and not (marks / "seed-1").exists()
    assert not (toy.run_folder / "table.csv").exists(), "nothing is merged by a seed's job"

    before = toy.count(1)
    snakemake = toy.start(*LOCAL, **SLOW)
    wait_for(lambda: toy.count(1) > before)
    assert not toy.runs_of(0), "a finished seed is left alone"
    family = psutil.Process(snakemake.pid).children(recursive=True)
    for process in (snakemake, *family):  # as when the machine goes down
        process.kill()
    snakemake.wait()
    psutil.wait_procs(family, timeout=20)
    assert toy.rows_file(1).read_bytes().startswith(kept) and toy.count(1) < ITEMS
    assert toy.call("--unlock").returncode == 0

    failed = toy.call(*LOCAL, **SLOW)
    assert failed.returncode != 0 and toy.count(1) == ITEMS
    executed = nbformat.read(toy.run_folder / "notebook.ipynb", 4)
    assert "this cell was told to fail" in str(executed), "the executed notebook of a failed job stays"
    assert not (marks / "merged").exists()

    done = toy.call(*LOCAL)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert toy.rows_file(1).read_bytes().startswith(kept), "finished rows survive as they were"
    assert same_rows(toy.rows(), undisturbed_rows(tmp_path / "undisturbed")) == []
    status = read_status(toy.run_folder / "status.json")
    assert (status["state"], status["made_from"]["settings"]["seeds"]) == ("done", [0, 1])


def test_wrong_words_stop_before_any_job(tmp_path):
    toy = ToyWorkflow(tmp_path)
    wrong = toy.call(*LOCAL, item=3)
    assert wrong.returncode != 0 and "unknown parameter 'item'; did you mean 'items'" in wrong.stdout + wrong.stderr
    assert not toy.run_folder.exists()


def test_the_commands_of_the_docs_are_understood(tmp_path):
    """Each as it stands there, but for a dry run."""
    text = (ROOT / "docs/cluster.md").read_text()
    commands = re.findall(r"^snakemake .*$", text, re.MULTILINE)
    (tmp_path / "workflow").symlink_to(ROOT / "workflow")
    (tmp_path / "sweep.yaml").write_text(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
    jobs = []
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", *shlex.split(command), "--dry-run"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        jobs.append(
            {rule: int(count) for rule, count in re.findall(r"^(seed|merge) +(\d+)$", done.stdout, re.MULTILINE)}
        )
    assert jobs == [{"seed": 2, "merge": 1}, {"seed": 6, "merge": 2}, {"seed": 3, "merge": 1}]


def test_the_kubernetes_profile_is_parsed():
    """No more than that: it has never been run."""
    read = (
        "import sys; from snakemake.cli import parse_args\n"
        "_, args = parse_args(sys.argv[1:])\n"
        "print(args.executor, args.container_image, args.default_storage_provider, args.jobs, args.retries,\n"
        "      args.kubernetes_persistent_volumes)"
    )
    profile = ROOT / "workflow/profiles/kubernetes"
    command = [sys.executable, "-c", read, "--profile", str(profile), "--dry-run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:5] == ["kubernetes", "oryx-workbook:latest", "fs", "20", "2"], done.stdout
    assert "oryx:/oryx" in done.stdout
