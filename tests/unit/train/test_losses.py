"""Several questions in one pass equal one sample per question."""

import pytest
import torch

from oryx.errors import InputError
from oryx.layout import Layout
from oryx.train.inputs import questions_batch, text_batch
from oryx.train.loop import answer_loss, questions_mask
from workbook.stages.models import build_reader
from workbook.stages.recipes import recipe

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
    together = answer_loss(model, {**questions_batch(SAMPLES), **shown})
    together.backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    features = shown["vision_features"].view(2, 32, -1)
    whole = [i for i, asked in enumerate(SAMPLES) for _ in asked]
    batch = text_batch([q for asked in SAMPLES for q, _ in asked], [a for asked in SAMPLES for _, a in asked])
    shown = {
        "vision_features": features[whole].flatten(0, 1),
        "image_grids": torch.tensor([[4, 4]] * (2 * len(whole))),
        "visual_spec": torch.tensor([[Layout.VIDEO, 2, 2]] * len(whole)),
    }
    apart = answer_loss(model, {**batch, **shown})
    apart.backward()
    torch.testing.assert_close(together, apart)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(ours[name], parameter.grad, atol=1e-5, rtol=1e-3, msg=name)


def test_a_question_sees_the_visual_and_itself_alone():
    batch = questions_batch([[("a", "b"), ("c", "d")], [("e", "f")]])
    question, place = batch["text_question"], batch["text_place"]
    mask = questions_mask(question, 3)[:, 0]
    assert mask[0, :3, :3].equal(torch.ones(3, 3, dtype=torch.bool).tril())
    length = 4  # a question of one byte, a newline, an answer of one byte, the end
    assert question.tolist() == [[0] * length + [1] * length, [0] * length + [-1] * 4]
    second = mask[0, 3 + length + 1]
    assert second.tolist() == [True] * 3 + [False] * length + [True, True, False, False]
    assert place[0].tolist() == [0, 1, 2, 3] * 2


def test_the_sum_is_over_the_targets_of_the_whole_batch(model):
    batch = {**questions_batch(SAMPLES), **visual(model, 2)}
    targets = sum(len(answer) + 1 for asked in SAMPLES for _, answer in asked)
    own = answer_loss(model, batch)
    scaled = answer_loss(model, {**batch, "num_items_in_batch": torch.tensor(2.0 * targets)})
    torch.testing.assert_close(2 * scaled, own)


def test_what_does_not_fit_is_refused(model):
    with pytest.raises(InputError, match="expected 1 visuals of one length, got lengths"):
        answer_loss(model, {**questions_batch(SAMPLES[:1]), **visual(model, 2)})
    with pytest.raises(InputError, match="at least one question"):
        questions_batch([SAMPLES[0], []])
