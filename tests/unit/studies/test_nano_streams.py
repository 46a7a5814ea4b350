"""The one model's training: every stream gives a finite loss, a step is a function of (seed, step), pooled pictures."""

import pytest
import torch

from oryx.errors import SettingsError
from oryx.train.losses import answer_loss
from workbook.stages.models import build_reader
from workbook.stages.recipes import RECIPES
from workbook.studies.one_model.streams import AtSide, Streams
from workbook.studies.one_model.training import SIDES, SMOKE, JointRecipe, step_batches


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    torch.manual_seed(0)
    model = build_reader(RECIPES["smoke"]).eval()
    model.freeze_vision()
    return model, Streams(SMOKE.material, 100, model, tmp_path_factory.mktemp("streams"))


def test_every_stream_at_every_side_learns_and_a_step_repeats(made):
    model, streams = made
    losses = {}
    for name, _ in SMOKE.shares:
        for number, side in enumerate(SIDES):
            sides = tuple(float(i == number) for i in range(3))
            r = JointRecipe(
                SMOKE.material, 6, 6, 2, tokens=200, shares=((name, 1.0),), first=0.0, picture_sides=sides,
                frame_sides=sides, blind=0.0, longest=4,
            )  # fmt: skip
            loss = answer_loss(model, step_batches(r, 100, streams)[5])
            loss.backward()
            again = answer_loss(model, step_batches(r, 100, streams)[5])
            assert torch.isfinite(loss) and loss.item() == again.item()
            losses[name, side] = loss.item()
    assert len(set(losses.values())) == len(losses)
    assert all(p.grad is None for p in model.vision_tower.parameters())
    assert model.compressor.vlm_query_projector.weight.grad.abs().sum() > 0


def test_a_blind_step_sees_nothing(made):
    model, streams = made
    r = JointRecipe(SMOKE.material, 6, 6, 2, tokens=200, blind=1.0, longest=4)
    model.zero_grad()
    for step in range(6):
        answer_loss(model, step_batches(r, 100, streams)[step]).backward()
    assert model.projector.proj[0].weight.grad is None


def test_pooled_pictures_have_the_tokens_that_they_are_said_to_have(made):
    model, streams = made
    for inputs in streams.pictures.values():
        for side in SIDES:
            own = AtSide(inputs, side)
            batch = own.batch([0], answers=False)
            encoded = model.encode_visuals(
                None, batch["image_grids"], batch["visual_spec"], vision_features=batch["vision_features"]
            )
            assert [len(one) for one in encoded] == [own.visual_tokens(0)]


def test_shares_that_do_not_add_up_are_refused():
    with pytest.raises(SettingsError, match="shares that add up to 1"):
        JointRecipe(shares=(("pictures", 0.5),))


def test_a_run_may_end_anywhere_and_its_rate_falls_to_the_end():
    """Before the cooldown begins runs of every length take the same steps: so a longer one may be cut short."""
    short, long_ = (JointRecipe(steps=steps, horizon=100, cooldown=20).plan for steps in (60, 90))
    assert [short.rate(i) for i in range(40)] == [long_.rate(i) for i in range(40)]
    cooled = [short.rate(i) for i in range(40, 60)]
    assert cooled == sorted(cooled, reverse=True) and cooled[-1] < 0.11 * cooled[0]
    assert short.rate(40) == pytest.approx(short.rate(39), rel=0.05)
