"""The Slurm profile on a one-node Slurm that this test starts and stops: a job and Snakemake itself killed, resumed."""

import pytest

from oryx.evidence.rows import same_rows
from tests.integration.workflow_runs import ITEMS, ROOT, ToyWorkflow, undisturbed_rows, wait_for
from tools.slurm.node import OneNode

pytestmark = [pytest.mark.integration, pytest.mark.slurm]
# no accounting database here: squeue tells how jobs ended; ask often, jobs take seconds
PROFILE = ("--profile", str(ROOT / "workflow/profiles/slurm"), "--slurm-no-account", "--slurm-status-command", "squeue")
SHORT = ("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10", "--default-resources", "mem_mb=500")


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with OneNode(tmp_path_factory.mktemp("slurm")) as node:
        yield node


def jobs(node, *states: str) -> dict[str, str]:
    """Slurm's number of every job in these states -> what it does (the plugin's comment names rule and wildcards)."""
    lines = node.ask("squeue", "--noheader", "--format=%i|%k", f"--states={','.join(states)}").splitlines()
    return dict(line.split("|", 1) for line in lines)


def test_killed_jobs_and_a_killed_snakemake_go_on_to_the_same_rows(node, tmp_path):
    toy = ToyWorkflow(tmp_path, node.environment)
    snakemake = toy.start(*PROFILE, *SHORT, seconds=0.8)
    wait_for(lambda: toy.count(0) >= 2 and toy.count(1) >= 2)
    running = jobs(node, "RUNNING")
    (lost,) = [number for number, comment in running.items() if "seed_0" in comment or comment.endswith("_0")]
    node.ask("scancel", "--signal=KILL", "--full", lost)
    wait_for(lambda: lost in jobs(node, "FAILED"))
    kept = toy.count(0)
    assert 2 <= kept < ITEMS, "the kill came in the middle"
    wait_for(lambda: len(jobs(node, "all")) == 3)  # submitted again by the profile's retries
    wait_for(lambda: toy.count(0) > kept)

    snakemake.kill()
    snakemake.wait()
    for number in jobs(node, "RUNNING", "PENDING"):
        node.ask("scancel", number)
    wait_for(lambda: not jobs(node, "RUNNING", "PENDING", "COMPLETING"))
    assert toy.count(0) < ITEMS
    assert toy.call("--unlock").returncode == 0
    done = toy.call(*PROFILE, *SHORT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert same_rows(toy.rows(), undisturbed_rows(tmp_path / "undisturbed")) == []
    assert (toy.run_folder / "notebook.ipynb").exists()
