"""The one model's training: every task gives a finite loss, a step is a function of (seed, step), pooled pictures."""

from dataclasses import replace

import pytest
import torch

from oryx.errors import SettingsError
from oryx.train.device import compute
from oryx.train.loop import StepBatches, answer_loss
from workbook.stages.models import build_reader
from workbook.stages.one_model import SIDES, CoolingPlan, TaskMixture
from workbook.stages.recipes import joint_recipe, recipe
from workbook.stages.stage import Options
from workbook.stages.videos import clip_targets


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    torch.manual_seed(0)
    model = build_reader(recipe("smoke")).eval()
    model.freeze_vision()
    return model, TaskMixture(
        joint_recipe("smoke"), Options("smoke", 100, tmp_path_factory.mktemp("one")), model, compute()
    )


def batch_of(mixture, step, **changes):
    mixture.recipe = replace(joint_recipe("smoke"), tokens=200, longest=4, **changes)
    return StepBatches(mixture.draw, mixture.collate, 6, lambda sample: clip_targets(sample.clip))[step]


def test_every_task_at_every_side_learns_and_a_step_repeats(made):
    model, mixture = made
    losses = {}
    for name, _ in joint_recipe("smoke").shares:
        for number, side in enumerate(SIDES):
            sides = tuple(float(i == number) for i in range(3))
            chosen = {"shares": ((name, 1.0),), "first": 0.0, "picture_sides": sides, "frame_sides": sides}
            loss = answer_loss(model, batch_of(mixture, 5, **chosen, blind=0.0))
            loss.backward()
            again = answer_loss(model, batch_of(mixture, 5, **chosen, blind=0.0))
            assert torch.isfinite(loss) and loss.item() == again.item()
            losses[name, side] = loss.item()
    assert len(set(losses.values())) == len(losses)
    assert all(p.grad is None for p in model.vision_tower.parameters())
    assert model.compressor.vlm_query_projector.weight.grad.abs().sum() > 0


def test_a_blind_step_sees_nothing(made):
    model, mixture = made
    model.zero_grad()
    for step in range(6):
        batch = batch_of(mixture, step, blind=1.0)
        assert not {"vision_features", "image_grids"} & set(batch)
        answer_loss(model, batch).backward()
    gradient = model.projector.proj[0].weight.grad
    assert gradient is None or not gradient.any()


def test_pooled_pictures_have_the_tokens_that_their_length_says(made):
    model, mixture = made
    for inputs in mixture.pictures.values():
        for side in SIDES:
            own = inputs.at_side(side)
            batch = own.batch([0], answers=False)
            encoded = model.encode_visuals(
                batch["image_grids"], batch["visual_spec"], vision_features=batch["vision_features"]
            )
            assert [len(one) for one in encoded] == [own.visual_tokens(0)]


def test_shares_that_do_not_add_up_are_refused():
    with pytest.raises(SettingsError, match="shares that add up to 1"):
        joint_recipe("nano", shares=(("pictures", 0.5),))


def test_a_run_may_end_anywhere_and_its_rate_falls_to_the_end():
    """Before the cooldown begins runs of every length take the same steps: so a longer one may be cut short."""
    short, long_ = (CoolingPlan(steps, 1e-3, horizon=100, cooldown=20) for steps in (60, 90))
    assert [short.rate(i) for i in range(40)] == [long_.rate(i) for i in range(40)]
    cooled = [short.rate(i) for i in range(40, 60)]
    assert cooled == sorted(cooled, reverse=True) and cooled[-1] < 0.11 * cooled[0]
    assert short.rate(40) == pytest.approx(short.rate(39), rel=0.05)
