"""Toy runs through the workbook's Snakefile, for the tests of local cores and of Slurm."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.toy import ToyStudy

ROOT = Path(__file__).parents[2]
ITEMS, SEEDS = 8, (0, 1)


def wait_for(condition, seconds: float = 300.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


def undisturbed_rows(results):
    """The rows of the same run by the command line's own study, never stopped."""
    study = ToyStudy()
    values = {"scale": "smoke", "seeds": list(SEEDS), "items": ITEMS, "jobs": 2, "results": str(results)}
    return study.run(study.settings(values)).rows


class ToyWorkflow:
    """Calls of snakemake in a folder of their own; the toy's two seeds write below ``results`` there."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.study = ToyStudy()
        self.settings = self.study.settings(
            {"scale": "smoke", "seeds": list(SEEDS), "items": ITEMS, "results": str(folder / "results")}
        )
        self.run_folder = self.study.run_folder(self.settings)
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def command(self, *flags: str, seconds: float = 0.0, **parameters: object) -> list[str]:
        wanted = {"items": ITEMS, "seconds": seconds, **parameters}
        given = "{" + ", ".join(f"{name}: {value}" for name, value in wanted.items()) + "}"
        config = ["study=tests.toy:ToyStudy", "scale=smoke", "seeds=0,1", f"results={self.folder / 'results'}"]
        files = ["--snakefile", str(ROOT / "workflow/Snakefile"), "--directory", str(self.folder)]
        return [
            *(sys.executable, "-m", "snakemake", *files, *flags),
            *("--config", *config, "jobs=1", f"parameters={given}"),
        ]

    def call(self, *flags: str, **parameters: object) -> subprocess.CompletedProcess:
        command = self.command(*flags, **parameters)
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=600)

    def start(self, *flags: str, **parameters: object) -> subprocess.Popen:
        with (self.folder / "snakemake.log").open("ab") as log:
            command = self.command(*flags, **parameters)
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def rows_file(self, seed: int) -> Path:
        return self.run_folder / f"seed-{seed}" / "arms" / "native" / "rows.jsonl"

    def count(self, seed: int) -> int:
        file = self.rows_file(seed)
        return file.read_bytes().count(b"\n") if file.exists() else 0

    def runs_of(self, seed: int) -> list[psutil.Process]:
        """The ``python -m oryx run`` processes of a seed that are running now, below this folder."""

        def is_one(words: list[str]) -> bool:
            here = words[1:3] == ["-m", "oryx"] and str(self.folder / "results") in words
            return here and words[words.index("--seeds") + 1] == str(seed)

        return [one for one in psutil.process_iter(["cmdline"]) if is_one(one.info["cmdline"] or [])]

    def rows(self):
        return self.study.collect(self.settings).rows
