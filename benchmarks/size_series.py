"""The main difference of studies 1, 3 and 4 at several sizes of the model, and how it changes with the size.

    python -m benchmarks.size_series --sizes quarter,nano --docs docs/benchmarks.md
    python -m benchmarks.size_series --sizes quarter,nano,quadruple --processes 9     # one GPU

A size is a table of ``workbook/stages/recipes.toml``. Its readers of pictures and of frames are trained first and in
short, once for all seeds; then every seed trains and asks two arms of each study, by the studies' own jobs with less
data and fewer steps (:data:`CONTRASTS`). Where the tower has the shipped shape it is the shipped one, frozen, so that
such sizes differ in projector, compressor and language model. The slope is that of the difference over log2 of the
parameters that differ, a line for each seed, with a t interval over the seeds: what another training of the readers
would change is not in it. ``--work`` keeps everything; the same command goes on where it was stopped.
"""

import argparse
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.series_report import report
from oryx.evidence.rows import read_rows
from oryx.evidence.stats import contrast, mean_score
from oryx.files import atomic_write_json, read_json
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train.checkpoints import save_weights
from oryx.train.device import Compute, compute
from oryx.train.loop import StepBatches, TrainPlan, answer_loss, train
from workbook.cli import STUDIES
from workbook.data.needles import make_dataset
from workbook.data.stories import FINE
from workbook.runs.settings import StudySettings, setting
from workbook.stages.models import build_reader, load_shared, reader_parts, without_tower
from workbook.stages.recipes import Recipe, recipe, video_recipe
from workbook.stages.shared import reader_batches
from workbook.stages.shared import run as train_shared
from workbook.stages.stage import Options
from workbook.stages.video_reader import NAME as READER
from workbook.stages.video_reader import draw_samples, load_video_reader, sample_inputs, train_video_reader
from workbook.stages.videos import clip_targets
from workbook.studies.base import study_at
from workbook.studies.compressor import settings as compressor
from workbook.studies.native_resolution import study as native_resolution
from workbook.studies.native_resolution.study import TEXT_TASKS
from workbook.studies.needle import settings as needle

PARTS_SEED = 100
STEPS = {"siglip_steps": 300, "reader_steps": 720}
VIDEO_STEPS = (60, 280, 480, 180)
"""Of the readers, a sixth and a third of those of nano; SigLIP's where a size has a tower of its own."""


class Sized(StudySettings):
    """Settings of a run whose parts have the shapes of ``size`` and lie where a run from scratch has them."""

    size: str = setting("nano", "shapes of the parts that arms start from: a table of recipes.toml")
    from_scratch: bool = setting(True, "the parts are no shipped ones")

    @property
    def recipe_scale(self) -> str:
        """The table of recipes.toml whose shapes the parts have."""
        return self.size


class Pictures(Sized, native_resolution.Settings):
    """Of study 1."""


class Films(Sized, compressor.Settings):
    """Of study 3."""


class Haystacks(Sized, needle.Settings):
    """Of study 4."""


@dataclass(frozen=True)
class Contrast:
    """Two arms of a study, the tasks on which they are compared, its reduced settings.

    ``weights``: the job whose folder holds what arms start from; ``first``: whether arms wait for the job ``shared``.
    """

    study: str
    arms: tuple[str, str]
    tasks: tuple[str, ...]
    kind: type[Sized]
    weights: str
    first: bool
    reduced: dict[str, Any]

    def settings(self, size: str, work: Path) -> Sized:
        """The settings of its runs at a size, on split dev."""
        where = {"size": size, "results": str(work), "split": "dev", "arms": list(self.arms)}
        return self.kind.from_mapping(where | self.reduced)

    def folder(self, work: Path, size: str, seed: int) -> Path:
        """Where its jobs lie."""
        return work / size / self.study / f"seed-{seed}"


CONTRASTS = (
    Contrast("native_vs_fixed_resolution", ("native", "area_matched"), TEXT_TASKS, Pictures, "shared", False,
             {"train_items": 1500, "train_steps": 150, "text_items": 60, "object_items": 1}),
    Contrast("pooling_vs_dynamic_compression", ("dynamic", "average"), tuple(f"{kind}_4x" for kind in FINE), Films,
             "shared", True,
             {"ratios": [4], "short_stories": 60, "long_stories": 20, "start_steps": 300, "train_steps": 250,
              "bank_signs": 500, "bank_cards": 30, "bank_paths": 60, "bank_photos": 60}),
    Contrast("needle_in_a_haystack", ("retrieval", "short_tokens"), ("number_400",), Haystacks, READER, True,
             {"lengths": [400], "beyond": [], "depths": [0.0, 0.5, 1.0], "trials": 20, "haystacks": 6,
              "haystack_frames": 400, "audit": 0, "train_steps": 200}),
)  # fmt: skip


def learn(
    model: OryxForConditionalGeneration, batches: StepBatches, rate: float, checkpoint: Path, machine: Compute
) -> list[dict]:
    """Train a reader behind its frozen tower."""
    model.freeze_vision(True)
    return train(model, batches, answer_loss, TrainPlan(batches.steps, rate), checkpoint, compute=machine)


def train_parts(size: str, work: Path, steps: dict[str, int], video_steps: Sequence[int]) -> Path:
    """The folder of a size's readers, from which its arms start; what does not lie there is trained."""
    folder, machine = work / size / "parts", compute()
    r, v = recipe(size, **steps), video_recipe(size, steps=video_steps)
    if (folder / "manifest.json").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    dataset = make_dataset(work / "runs" / "cache" / "dataset", PARTS_SEED, v.size, **v.dataset)
    own = r.vision != recipe("nano").vision
    if own:
        train_shared(Options(size, PARTS_SEED, folder / "own", compute=machine, changes=steps))
        train_video_reader(v, Options(size, PARTS_SEED, folder, folder / "own", machine), dataset)
        shutil.copytree(folder / "own", folder, dirs_exist_ok=True)
        curves = {}
    else:
        torch.manual_seed(PARTS_SEED)
        model, frames = build_reader(r), build_reader(v.shapes)
        model.vision_tower = load_shared("nano").vision_tower
        frames.vision_tower = load_video_reader(video_recipe("nano")).vision_tower
        clips = StepBatches(
            partial(draw_samples, v, PARTS_SEED, dataset), partial(sample_inputs, v.shapes.patch), sum(v.steps),
            lambda sample: clip_targets(sample.clip),
        )  # fmt: skip
        curves = {READER: learn(frames, clips, v.rate, folder / f"{READER}.pt", machine)}
        pictures = reader_batches(r, PARTS_SEED)
        curves["reader"] = learn(model, pictures, r.reader_rate, folder / "reader.pt", machine)
        for name, part in {**reader_parts(model), READER: frames}.items():
            save_weights(folder / f"{name}.safetensors", part, torch.float32)
    parameters = {"shared": differing(r, own), READER: differing(v.shapes, own)}
    found = {"size": size, "seed": PARTS_SEED, "own_tower": own, "parameters": parameters, "steps": steps,
             "video_steps": video_steps, "curves": curves}  # fmt: skip
    atomic_write_json(folder / "manifest.json", found)
    return folder


def differing(r: Recipe, own_tower: bool) -> int:
    """How many parameters of a reader are not those of every size."""
    model = build_reader(r)
    return sum(p.numel() for p in (model if own_tower else without_tower(model)).parameters())


def run_seed(size: str, seed: int, work: Path, contrasts: Sequence[Contrast]) -> None:
    """All arms of one size and seed; jobs that are done are passed over."""
    torch.set_num_threads(1)
    for one in contrasts:
        study = study_at(STUDIES[one.study])
        settings, place = one.settings(size, work), one.folder(work, size, seed)
        if not (place / one.weights).exists():
            shutil.copytree(work / size / "parts", place / one.weights, ignore=shutil.ignore_patterns("*.pt", "own"))
        for job in (*("shared",) * one.first, *one.arms):
            if not (place / job / "done").exists():
                (place / job).mkdir(parents=True, exist_ok=True)
                began = time.process_time()
                study.run_job(settings, job, seed, place / job, lambda *_: None)
                atomic_write_json(place / job / "done", {"cpu_seconds": time.process_time() - began})
                print(f"{size}, seed {seed}, {one.study}, {job}: {time.process_time() - began:.0f} CPU s", flush=True)


def carry_out(calls: Sequence[Callable[[], object]], processes: int) -> None:
    """Make every call, ``processes`` at a time; with one process in this one."""
    if processes == 1:
        for call in calls:
            call()
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for job in [pool.submit(call) for call in calls]:
            job.result()


def points_of(one: Contrast, size: str, work: Path, seeds: Sequence[int]) -> pd.DataFrame:
    """The difference of a contrast at a size: of all seeds together, and of each alone."""
    rows = read_rows([one.folder(work, size, seed) / arm / "rows.jsonl" for seed in seeds for arm in one.arms])
    rows = rows[(rows["condition"] == "visual") & rows["task"].isin(one.tasks)]
    parameters, found = read_json(work / size / "parts" / "manifest.json")["parameters"][one.weights], []
    for seed in ("all", *seeds):
        own = rows if seed == "all" else rows[rows["seed"] == seed]
        difference = contrast(own, [(one.arms[0], one.tasks, 1.0), (one.arms[1], one.tasks, -1.0)])
        scores = {f"score_{i}": mean_score(own, arm, tasks=one.tasks).value for i, arm in enumerate(one.arms)}
        found.append({"study": one.study, "size": size, "parameters": parameters, "seed": seed,
                      "difference": difference.value, "low": difference.low, "high": difference.high, **scores,
                      "chance": own.groupby("task")["chance"].mean().mean(), "items": difference.n_items,
                      "first": one.arms[0], "second": one.arms[1]})  # fmt: skip
    return pd.DataFrame(found)


def main(
    arguments: list[str] | None = None,
    contrasts: Sequence[Contrast] = CONTRASTS,
    steps: dict[str, int] = STEPS,
    video_steps: Sequence[int] = VIDEO_STEPS,
) -> pd.DataFrame:
    """Command line: train, ask, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.size_series", description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", default="quarter,nano")
    parser.add_argument("--seeds", default="100,101,102")
    parser.add_argument("--processes", type=int, default=1, help="sizes and seeds at a time")
    parser.add_argument("--work", type=Path, default=Path("results/runs/size_series"))
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/size_series"), help="without an ending")
    parser.add_argument("--docs", type=Path, help="a file whose block between the size-series marks is renewed")
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(1)
    sizes, seeds = parsed.sizes.split(","), [int(seed) for seed in parsed.seeds.split(",")]
    carry_out([partial(train_parts, size, parsed.work, steps, video_steps) for size in sizes], parsed.processes)
    runs = [partial(run_seed, size, seed, parsed.work, contrasts) for seed in seeds for size in sizes]
    carry_out(runs, parsed.processes)
    points = pd.concat([points_of(one, size, parsed.work, seeds) for one in contrasts for size in sizes])
    given = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "-m", "benchmarks.size_series", *given])
    facts = {"command": command, "seeds": seeds, "settings": {one.study: one.reduced for one in contrasts}}
    facts["parts"] = {size: read_json(parsed.work / size / "parts" / "manifest.json") for size in sizes}
    return report(points, facts, parsed.out, parsed.docs)


if __name__ == "__main__":
    main()
