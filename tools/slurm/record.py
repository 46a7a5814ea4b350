"""Run a study on a one-node Slurm, kill a job and Snakemake itself, go on, compare; write what happened.

    python -m tools.slurm.record --output docs/cluster-run.md

The page holds the commands as they were run and what they printed, nothing typed by hand.
"""

import argparse
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

from oryx.evidence.rows import read_rows, same_rows
from oryx.files import atomic_write_text
from tools.slurm.node import OneNode
from workbook import cli

ROOT = Path(__file__).resolve().parents[2]
STUDY, SEEDS = "native_vs_fixed_resolution", (0, 1)
SUBMIT = [
    *("snakemake", "--profile", "workflow/profiles/slurm", "--config"),
    *(f"study={STUDY}", "scale=smoke", f"seeds={','.join(map(str, SEEDS))}", "jobs=1"),
    # this node has no accounting database; its jobs take seconds, so it is asked often
    *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "3"),
]
QUEUE = ["squeue", "--states=all", "--format=%.6i %.10T %.8M %k", "--sort=i"]
PACKAGES = ("oryx-workbook", "snakemake", "snakemake-executor-plugin-slurm", "torch")
WAIT_SECONDS = 300.0


class Record:
    """Runs commands in a working folder and keeps them with their output, without this machine's names."""

    def __init__(self, folder: Path, node: OneNode):
        self.folder, self.node, self.parts = folder, node, []
        (folder / "workflow").symlink_to(ROOT / "workflow")
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def say(self, text: str) -> None:
        self.parts.append(text)

    def run(self, command: list[str], last: int | None = None) -> subprocess.CompletedProcess:
        """Run ``command`` to its end and keep it with its output, or the ``last`` lines of that."""
        done = subprocess.run(
            _real(command), cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        self.keep(command, done.stdout, last, done.returncode)
        return done

    def start(self, command: list[str]) -> subprocess.Popen:
        """Start ``command``; its output goes to ``snakemake.out`` in the working folder."""
        with (self.folder / "snakemake.out").open("wb") as out:
            return subprocess.Popen(_real(command), cwd=self.folder, env=self.environment, stdout=out, stderr=out)

    def keep(self, command: list[str], output: str, last: int | None = None, code: int = 0) -> None:
        """Put a command and its output on the page."""
        lines = output.strip("\n").splitlines()
        lines = lines if last is None or len(lines) <= last else ["...", *lines[-last:]]
        ending = f"\n(exit code {code})" if code else ""
        self.say("\n".join(["```console", f"$ {shlex.join(command)}", *lines]) + ending + "\n```")

    def page(self) -> str:
        names = {sys.executable: "python", str(self.folder): ".", str(ROOT): ".", socket.gethostname(): "node"}
        text = "\n\n".join(self.parts) + "\n"
        for name, instead in names.items():
            text = text.replace(name, instead)
        return text


def _real(command: list[str]) -> list[str]:
    inside = {"snakemake": [sys.executable, "-m", "snakemake"], "python": [sys.executable]}
    return [*inside.get(command[0], command[:1]), *command[1:]]


def _wait(condition, what: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {WAIT_SECONDS:.0f} s for {what}")
        time.sleep(0.1)


def record(folder: Path, node: OneNode) -> str:
    """The whole story; returns the page."""
    page, study = Record(folder, node), cli.find_study(STUDY)
    settings = study.settings({"scale": "smoke", "seeds": list(SEEDS), "results": str(folder / "results")})
    run, arms = study.run_folder(settings), study.arms(settings)

    def done_arms(seed: int) -> int:
        return sum((run / f"seed-{seed}/arms/{arm}/done").exists() for arm in arms)

    def running() -> dict[str, str]:
        lines = node.ask("squeue", "--noheader", "--format=%i %k", "--states=RUNNING").splitlines()
        return {rule: number for number, rule in (line.split(maxsplit=1) for line in lines)}

    page.say("# A run on Slurm, killed and resumed")
    page.say(
        "Written by `python -m tools.slurm.record` on a one-node Slurm that it starts on the loopback device and\n"
        "stops again: the commands as they were run, and what they printed. How to do the same on a real cluster:\n"
        "[cluster.md](cluster.md)."
    )
    page.say(
        "\n".join(f"- {name} {metadata.version(name)}" for name in PACKAGES) + f"\n- {node.ask('sinfo', '-V').strip()}"
    )
    page.run(["sinfo"])
    page.say("## Submitted; a job is killed and submitted again")
    snakemake = page.start(SUBMIT)
    _wait(lambda: done_arms(0) >= 1 and done_arms(1) >= 1, "an arm of both seeds")
    lost = next(number for rule, number in running().items() if rule.endswith("_0"))
    page.run(["scancel", "--signal=KILL", "--full", lost])
    before = {seed: done_arms(seed) for seed in SEEDS}
    _wait(lambda: done_arms(0) > before[0], "the killed seed to go on")
    page.keep(SUBMIT, (folder / "snakemake.out").read_text(), 45)
    page.run(QUEUE)
    page.say("## Snakemake itself is killed; its jobs are cancelled; the same command goes on")
    snakemake.kill()
    snakemake.wait()
    page.run(["scancel", *running().values()])
    _wait(lambda: not running(), "the jobs to end")
    counts = {f"seed {seed}": f"{done_arms(seed)} of {len(arms)} arms done" for seed in SEEDS}
    page.say("; ".join(f"{name}: {words}" for name, words in counts.items()) + ".")
    page.run(SUBMIT, 6)
    page.run(["snakemake", "--unlock"], 2)
    page.run(SUBMIT, 12)
    page.run(QUEUE)
    page.run(["python", "-m", "oryx", "status"])
    page.say("## The rows are those of an undisturbed run")
    alone = ["python", "-m", "oryx", "run", STUDY, "--scale", "smoke", "--seeds", "0,1", "--no-merge", "--jobs", "2"]
    page.run([*alone, "--results", "undisturbed"], 3)
    other = study.run_folder(study.settings({**settings.to_dict(), "results": str(folder / "undisturbed")}))
    here, there = (_rows(place, arms) for place in (run, other))
    different = same_rows(here, there)
    page.say(
        f"`oryx.evidence.rows.same_rows` over {len(here)} rows of the killed and resumed run and {len(there)} of the "
        f"undisturbed one (timing fields aside): {'no difference' if not different else '; '.join(different)}."
    )
    if different:
        raise RuntimeError(page.parts[-1])
    return page.page()


def _rows(run: Path, arms: list[str]):
    return read_rows([run / f"seed-{seed}/arms/{arm}/rows.jsonl" for seed in SEEDS for arm in arms])


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="page to write")
    parsed = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="oryx-slurm-"))
    try:
        (folder / "work").mkdir()
        with OneNode(folder / "slurm", cores=os.cpu_count()) as node:
            atomic_write_text(parsed.output, record(folder / "work", node))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
