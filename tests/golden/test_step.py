"""The loss of a step of the stages' own loop is that of the reference, for every golden case that has one."""

from copy import deepcopy

import pytest
import torch

from oryx.train.device import compute
from oryx.train.loop import StepBatches, TrainPlan, answer_loss
from oryx.train.stages import STAGES, Training

from . import harness, runner_e2e
from .golden_inputs import read_batch


def pytest_generate_tests(metafunc: pytest.Metafunc):
    cases = harness.collect(metafunc.config.getoption("--golden-dir"))
    found = [case for case in cases if case.runner is runner_e2e and case.has("loss")]
    metafunc.parametrize("case", found, ids=[case.id for case in found])


def test_the_loss_of_one_step(case: harness.GoldenCase, tmp_path):
    shared = runner_e2e.model_of(case.file)
    model = deepcopy(shared)
    for name in runner_e2e.SETTINGS:
        if name in case.fields:
            setattr(model.config, name, case.fields[name])
    batch = read_batch(case)
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "labels": batch.labels}
    inputs |= batch.visual_inputs(model.config.vision_config.patch_size)
    with torch.no_grad():
        targets = int((model.expand(**inputs).labels[:, 1:] >= 0).sum())
    batches = StepBatches(lambda step: [inputs], lambda samples: dict(samples[0]), 1, lambda sample: targets)
    stage, plan = STAGES["joint"], TrainPlan(1, 2e-5, log_every=1)
    training = Training("joint", model, batches, answer_loss, plan, stage=stage)
    (point,) = training.carry_out(tmp_path, compute=compute("fp32"))
    limits = runner_e2e.tolerance(case, "loss")
    harness.assert_close(torch.tensor([point["loss"]]), case.tensor("loss").reshape(1), "loss of the step", **limits)
    own, before = model.state_dict(), shared.state_dict()
    moved = {name.split(".")[0] for name in own if not torch.equal(own[name], before[name])}
    assert "language_model" in moved and moved <= set(stage.trains), "a step was taken, and the tower stays"
