"""The script for a borrowed GPU runs here part by part with toy shapes; its studies are those of test_stand_in.py."""

import json
from importlib.util import find_spec

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import gpu_acceptance
from benchmarks.acceptance import sft_step
from benchmarks.acceptance.bench import Bench
from benchmarks.acceptance.released import random_model
from oryx.train.loop import answer_loss
from oryx.train.stages import STAGES

pytestmark = pytest.mark.integration
PARTS = [part for part in gpu_acceptance.PARTS if part != "studies"]


def test_every_part_passes_and_is_kept_with_its_provenance(tmp_path):
    torch.set_num_threads(1)
    out = tmp_path / "report.json"
    code = gpu_acceptance.main(["--tiny", "--parts", ",".join(PARTS), "--out", str(out)])
    report = json.loads(out.read_text())
    assert (code, report["failed"]) == (0, [])
    assert {line["part"] for line in report["checks"]} == set(PARTS) == set(report["seconds"])
    passed = {line["part"] for line in report["checks"] if line["ok"]}
    skipped = set() if find_spec("peft") else {"fine_tuning"}
    assert passed == set(PARTS) - {"facts"} - skipped, "facts are only reported"
    assert report["tiny"] and report["commit"] and report["packages"]["torch"] == torch.__version__


def test_the_operations_of_a_step_are_those_that_torch_counts():
    """All but attention, which its counter does not see on a CPU; the patch embedding is left out of ours."""
    bench, grids = Bench("cpu", tiny=True), ((3, 4), (4, 4), (5, 2))
    model = sft_step.shortened(bench, random_model(bench))
    STAGES["sft"].prepare(model)
    batch = sft_step.noise(3 * model.config.vision_config.patch_size**2, grids)
    assert batch.pop("tokens") == sum(map(sft_step.length, grids))
    with FlopCounterMode(display=False) as counter:
        answer_loss(model, batch).backward()
    counts = counter.get_flop_counts()
    patches = sum(counts["OryxForConditionalGeneration.vision_tower.patch_embed"].values())
    linear, attention = sft_step.operations(model, grids)
    assert linear == pytest.approx(counter.get_total_flops() - patches, rel=0.03) and attention > 0
