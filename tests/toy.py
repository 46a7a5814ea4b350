"""A study without torch, for testing the frame: quick, deterministic, and able to be killed, to fail and to go on."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Literal

import workbook
from oryx.evidence.store import RowWriter
from oryx.files import atomic_write_json
from workbook.runs.settings import StudySettings, setting
from workbook.studies.base import Study


class ToySettings(StudySettings):
    items: int = setting(6, "items per task", least=1)
    steps: int = setting(3, "training steps")
    seconds: float = setting(0.0, "pause per step and item", counts=False)
    fail: str = setting("", "an arm that fails, or 'cell' or 'kernel' of the notebook", counts=False)
    errors: int = setting(0, "items that fail", least=0)
    kind: Literal["plain", "fancy"] = setting("plain", "a choice")
    span: tuple[int, float] = setting((1, 2.0), "a pair")
    width: int = setting(1, "a number")
    names: tuple[str, ...] = setting(("a",), "a list that is younger than published rows", added_later=True)

    presets = {"smoke": {}, "medium": {"items": 8}}  # noqa: RUF012


class ToyStudy(Study[ToySettings]):
    id = "native_vs_fixed_resolution"  # has hypotheses; the toy's arms are named after theirs
    title = "Toy"
    notebook = str(Path(__file__).with_name("toy.ipynb"))
    settings_class = ToySettings
    arm_order = ("native", "area_1")
    baseline = "native"
    needs_torch = False
    hypotheses_file = Path(workbook.__path__[0], "studies", "native_resolution", "hypotheses.toml")
    weights = "w"

    def arms(self, settings):
        return list(self.arm_order)

    def prepare(self, settings, seed):
        return [["shared"]] if settings.from_scratch else []

    def hashes(self, settings):
        return {"weights_hash": self.weights, "data_hash": "d"}

    def describe(self, settings):
        return {"dtype": "float32", "attention": "none", "decoder": "none", "prompts": {"number": "read"}}

    def figures(self, run, settings):
        return {}

    def run_job(self, settings, arm: str, seed: int, folder: Path, progress):
        if arm == "shared":
            atomic_write_json(folder / "weights.json", seed)
            return
        if settings.from_scratch:
            assert json.loads((folder.parent / "shared" / "weights.json").read_text()) == seed
        learned = self.train(settings, seed, folder, progress)
        with RowWriter(folder / "rows.jsonl") as writer:
            for i in range(settings.items):
                row = self.row(settings, arm, seed, i, learned)
                if not writer.has(row):
                    time.sleep(settings.seconds)
                    writer.write([row])
                progress("evaluate", i + 1, settings.items)
        if arm == settings.fail:
            raise ValueError("this arm was told to fail")

    def train(self, settings, seed: int, folder: Path, progress) -> int:
        """A number that depends on every step: a step left out or taken twice shows in the rows."""
        path = folder / "checkpoints" / "state.json"
        done, state = json.loads(path.read_text()) if path.exists() else (0, seed)
        for step in range(done, settings.steps):
            time.sleep(settings.seconds)
            state = (state * 31 + step) % 1009
            atomic_write_json(path, [step + 1, state])
            progress("train", step + 1, settings.steps)
        atomic_write_json(folder / "curve.json", [{"step": settings.steps, "loss": state / 1009, "rate": 1e-3}])
        return state

    def row(self, settings, arm: str, seed: int, i: int, learned: int) -> dict:
        error = "no picture" if i < settings.errors else None
        return {
            "schema": 1, "study": self.id, "arm": arm, "condition": "visual", "item": f"report/number/{i}",
            "seed": seed, "settings_hash": settings.settings_hash, **self.hashes(settings), "split": settings.split,
            "task": "number", "cluster": f"c{i}", "question": "read", "truth": "7",
            "answer": None if error else str(learned), "chance": 0.1, "error": error,
            "score": None if error else float((i + learned + (arm == "native")) % 3 > 0), "logprob": -0.5,
            "visual_tokens": 9, "frames": 1, "sizes": [[8, 8]], "picture_size": [8, 8], "seconds": time.perf_counter(),
            "size_bin": "smaller", "area_ratio": 0.3,
        }  # fmt: skip


class ChangedToyStudy(ToyStudy):
    """The same study after its shipped weights have changed."""

    weights = "other"


class MendedToyStudy(ToyStudy):
    """The first ``errors`` items of the first arm fail until there is a file ``mended`` in the results folder."""

    def row(self, settings, arm: str, seed: int, i: int, learned: int) -> dict:
        mended = arm != self.arm_order[0] or Path(settings.results, "mended").exists()
        own = settings.model_copy(update={"errors": 0}) if mended else settings
        return super().row(own, arm, seed, i, learned) | {"settings_hash": settings.settings_hash}


class ThreadsToyStudy(ToyStudy):
    """Writes down how many threads torch may use in a job."""

    def run_job(self, settings, arm: str, seed: int, folder: Path, progress):
        import torch

        atomic_write_json(folder / "threads.json", torch.get_num_threads())


class DeviceToyStudy(ToyStudy):
    """Writes down which GPU a job sees, and from when to when it ran."""

    def run_job(self, settings, arm: str, seed: int, folder: Path, progress):
        began = time.monotonic()
        time.sleep(settings.seconds)
        atomic_write_json(folder / "device.json", [os.environ["CUDA_VISIBLE_DEVICES"], began, time.monotonic()])


class BreakingToyStudy(ToyStudy):
    """Ends a job as the file ``how`` in its folder says."""

    def run_job(self, settings, arm: str, seed: int, folder: Path, progress):
        how = (folder / "how").read_text() if (folder / "how").exists() else ""
        print("about to", how, flush=True)
        if how == "raise":
            raise ValueError("this arm was told to fail")
        if how == "exit":
            os._exit(7)
        if how:
            os.kill(os.getpid(), signal.SIGSEGV if how == "segfault" else signal.SIGKILL)
