"""The Slurm profile on a one-node Slurm that this test starts and stops: a job and Snakemake itself killed, resumed."""

import pytest

from tests.integration.workflow_runs import ITEMS, ROOT, ToyWorkflow, undisturbed_rows, wait_for
from tests.rows import same_rows
from tools.slurm.node import OneNode

pytestmark = [pytest.mark.integration, pytest.mark.slurm]
# no accounting database here: squeue tells how jobs ended; ask often, jobs take seconds
PROFILE = ("--profile", str(ROOT / "workflow/profiles/slurm"), "--slurm-status-command", "squeue")
SHORT = ("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10", "--default-resources", "mem_mb=500")


@pytest.fixture
def node(tmp_path):
    with OneNode(tmp_path / "slurm") as node:
        yield node


def jobs(node, *states: str) -> dict[str, str]:
    """Slurm's number of every job in these states -> what it does (the executor's comment names rule and wildcards)."""
    lines = node.ask("squeue", "--noheader", "--format=%i|%k", f"--states={','.join(states)}").splitlines()
    return dict(line.split("|", 1) for line in lines)


def test_killed_jobs_and_a_killed_snakemake_go_on_to_the_same_rows(node, tmp_path):
    toy = ToyWorkflow(tmp_path)
    snakemake = toy.start(*PROFILE, *SHORT, seconds=0.4)
    try:
        wait_for(lambda: toy.count(0) >= 2)
        (lost,) = [number for number, comment in jobs(node, "RUNNING").items() if comment.endswith("_0")]
        node.ask("scancel", "--signal=KILL", "--full", lost)
    finally:
        snakemake.kill()
        snakemake.wait()
    wait_for(lambda: lost in jobs(node, "FAILED", "CANCELLED"))
    wait_for(lambda: not toy.runs_of(0))
    kept = toy.rows_file(0).read_bytes()
    assert 2 <= toy.count(0) < ITEMS, "the kill came in the middle"
    wait_for(lambda: not jobs(node, "RUNNING", "COMPLETING"))
    assert toy.count(1) == ITEMS, "a job of Slurm's goes on without the Snakemake that submitted it"

    assert toy.call("--unlock").returncode == 0
    done = toy.call(*PROFILE, *SHORT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert len(jobs(node, "COMPLETED")) >= 3, "seeds and merge ran as jobs of Slurm's"
    assert toy.rows_file(0).read_bytes().startswith(kept)
    assert same_rows(toy.rows(), undisturbed_rows(tmp_path / "undisturbed")) == []
    assert (toy.run_folder / "notebook.ipynb").exists()
