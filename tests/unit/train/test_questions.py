"""Several questions in one pass equal one sample per question."""

import pytest
import torch

from oryx.errors import InputError
from oryx.layout import Layout
from oryx.train.batches import text_batch
from oryx.train.questions import answers_loss, lay_out, turns_mask
from workbook.stages.recipes import recipe
from workbook.stages.shared import build_reader

SAMPLES = [[("name", "axe"), ("read", "47"), ("move", "left")], [("count", "3")]]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_reader(recipe("smoke")).eval()


def visual(model, count, frames=2):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(count * frames * 16, model.config.vision_config.hidden_size, generator=generator)
    grids, spec = torch.tensor([[4, 4]] * (count * frames)), torch.tensor([[Layout.VIDEO, frames, 2]] * count)
    return {"vision_features": features, "image_grids": grids, "visual_spec": spec}


def test_loss_and_gradients_equal_those_of_separate_samples(model):
    shown = visual(model, 2)
    model.zero_grad()
    together = answers_loss(model, shown, SAMPLES)
    together.backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    features = shown["vision_features"].view(2, 32, -1)
    whole = [i for i, turns in enumerate(SAMPLES) for _ in turns]
    batch = text_batch([q for turns in SAMPLES for q, _ in turns], [a for turns in SAMPLES for _, a in turns])
    apart = model(
        **batch,
        vision_features=features[whole].flatten(0, 1),
        image_grids=torch.tensor([[4, 4]] * (2 * len(whole))),
        visual_spec=torch.tensor([[Layout.VIDEO, 2, 2]] * len(whole)),
    ).loss
    apart.backward()
    torch.testing.assert_close(together, apart)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(ours[name], parameter.grad, atol=1e-5, rtol=1e-3, msg=name)


def test_a_question_sees_the_visual_and_itself_alone():
    turns = lay_out([[("a", "b"), ("c", "d")], [("e", "f")]])
    mask = turns_mask(turns.turn, 3)[:, 0]
    assert mask[0, :3, :3].equal(torch.ones(3, 3, dtype=torch.bool).tril())
    length = 4  # a question of one byte, a newline, an answer of one byte, the end
    assert turns.turn[0].tolist() == [0] * length + [1] * length and turns.turn[1].tolist() == [0] * length + [-1] * 4
    second = mask[0, 3 + length + 1]
    assert second.tolist() == [True] * 3 + [False] * length + [True, True, False, False]
    assert turns.place[0].tolist() == [0, 1, 2, 3] * 2


def test_what_does_not_fit_is_refused(model):
    with pytest.raises(InputError, match="expected 1 visuals of one length, got lengths"):
        answers_loss(model, visual(model, 2), SAMPLES[:1])
    with pytest.raises(InputError, match="at least one question"):
        answers_loss(model, visual(model, 2), [SAMPLES[0], []])
