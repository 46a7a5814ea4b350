"""Every job of every study at scale smoke, in this process."""

import importlib.util
import json
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.acceptance.bench import Bench, forget_devices
from workbook.cli import STUDIES, TEMPLATES
from workbook.studies.base import Study, study_at

PLACES = STUDIES | TEMPLATES
FEW: dict[str, dict[str, Any]] = {
    "native_vs_fixed_resolution": {
        "arms": ["native", "pad", "blind"], "encoder": "trained", "train_items": 8, "train_steps": 2, "batch": 4,
        "text_items": 2, "object_items": 2,
    },
    "oryxvit_vs_siglip": {
        "train_items": 8, "train_steps": 2, "batch": 4, "text_items": 2, "object_items": 2,
    },
    "pooling_vs_dynamic_compression": {
        "arms": ["average", "average_x2", "dynamic", "dynamic_dwconv", "dynamic_convmlp", "dynamic_bilinear",
                 "dynamic_max", "dynamic_value_output", "mlp_smaller", "blind", "on_demand"],
        "train_steps": 2, "start_steps": 2, "short_stories": 2, "long_stories": 1, "on_demand_stories": 1,
    },
    "needle_in_a_haystack": {"lengths": [16], "beyond": [], "depths": [0.5], "trials": 2, "train_steps": 2},
    "own_data": {"items": 4, "models": ["nano"]},
}  # fmt: skip
"""Study -> settings that make its smoke shorter still."""

VIDEOS = ("pooling_vs_dynamic_compression", "needle_in_a_haystack", "spatial_correspondence", "own_data", "one_model")
"""Studies that write video files, which takes PyAV."""


def jobs_of(study: Study, settings: Any) -> tuple[list[str], list[str]]:
    """The jobs of a seed that others wait for, and all others."""
    first = [name for level in study.prepare(settings, 0) for name in level]
    return first, [*study.arms(settings), *study.further_jobs(settings)]


def run_job(study: Study, settings: Any, folder: Path, job: str) -> list[dict]:
    """Do one job in ``folder`` (of all jobs of the seed); the rows that it wrote."""
    own = folder / job
    own.mkdir(parents=True, exist_ok=True)
    study.run_job(settings, job, 0, own, lambda *_: None)
    written = own / "rows.jsonl"
    return [json.loads(line) for line in written.read_text().splitlines()] if written.exists() else []


def rows_of(name: str, folder: Path) -> Iterator[list[dict]]:
    """The rows of one job of a study after the other."""
    study = study_at(PLACES[name])
    settings = study.settings({"scale": "smoke", "results": str(folder), **FEW.get(name, {})})
    study.check(settings)
    for job in chain(*jobs_of(study, settings)):
        yield run_job(study, settings, folder / "arms", job)


def run(bench: Bench) -> None:
    """All studies; those on videos are skipped where PyAV is not installed."""
    for name in PLACES:
        if name in VIDEOS and importlib.util.find_spec("av") is None:
            bench.check(f"study {name} at smoke", None, "SKIPPED: writes video files, PyAV is not installed")
            continue
        forget_devices()
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder, bench.peak_memory() as peak:
            try:
                jobs = list(rows_of(name, Path(folder)))
            except Exception as error:  # of any kind: the other studies are still to be seen
                bench.check(f"study {name} at smoke", False, f"{type(error).__name__}: {str(error)[:300]}")
                continue
            failed = [row["error"] for rows in jobs for row in rows if row["error"] is not None]
            found = f"{len(jobs)} jobs, {sum(map(len, jobs))} rows, {len(failed)} failed, {peak():.1f} GB"
            found += f", {time.perf_counter() - began:.0f} s{': ' + failed[0][:200] if failed else ''}"
            bench.check(f"study {name} at smoke", not failed and any(jobs), found)
