"""A study without torch, for testing the frame: quick, deterministic, and able to be killed, to fail and to go on."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from oryx.evidence.rows import RowWriter
from oryx.runs.settings import StudySettings, setting
from oryx.studies.base import Study


@dataclass(frozen=True)
class ToySettings(StudySettings):
    items: int = setting(6, "items per task")
    seconds: float = setting(0.0, "pause per item")
    fail: str = setting("", "an arm that fails")
    kind: Literal["plain", "fancy"] = setting("plain", "a choice")


class ToyStudy(Study):
    id = "native_vs_fixed_resolution"  # has hypotheses; the toy's arms are named after theirs
    title = "Toy"
    settings_class = ToySettings
    arm_order = ("native", "area_1")
    baseline = "native"
    needs_torch = False

    def arms(self, settings):
        return list(self.arm_order)

    def figures(self, run, settings):
        return {}

    def run_job(self, settings, arm: str, seed: int, folder: Path, progress):
        if arm == settings.fail:
            raise ValueError("this arm was told to fail")
        with RowWriter(folder / "rows.jsonl") as writer:
            for i in range(settings.items):
                row = self.row(settings, arm, seed, i)
                if not writer.has(row):
                    time.sleep(settings.seconds)
                    writer.write([row])
                progress("evaluate", i + 1, settings.items)

    def row(self, settings, arm: str, seed: int, i: int) -> dict:
        return {
            "schema": 1, "study": self.id, "arm": arm, "condition": "visual", "item": f"report/number/{i}",
            "seed": seed,
            "settings_hash": settings.settings_hash, "weights_hash": "w", "data_hash": "d", "split": "report",
            "task": "number", "cluster": f"c{i}", "question": "read", "truth": "7", "answer": "7",
            "score": float((i + seed + (arm == "native")) % 3 > 0), "logprob": -0.5, "chance": 0.1, "visual_tokens": 9,
            "frames": 1, "sizes": [[8, 8]], "picture_size": [8, 8], "seconds": time.perf_counter(), "error": None,
            "size_bin": "smaller", "area_ratio": 0.3,
        }  # fmt: skip
