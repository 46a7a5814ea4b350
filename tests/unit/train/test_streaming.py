"""Pictures that are encoded step by step: the same features as kept ones, and nothing is held."""

import pickle
from functools import partial

import pytest
import torch

from oryx.processing.sizes import picture_forms
from oryx.train.device import compute
from oryx.train.inputs import PictureInputs, maps_of
from oryx.train.loop import answer_loss
from oryx.train.streaming import StreamedInputs, streamed_batches, streamed_loss
from workbook.data.items import training_item
from workbook.data.pictures import PictureSizes
from workbook.stages.models import build_reader
from workbook.stages.recipes import recipe

SIZES, FORMS = PictureSizes(), picture_forms(48)


@pytest.fixture(scope="module")
def reader():
    torch.manual_seed(0)
    return build_reader(recipe("smoke")).eval().requires_grad_(False)


def drawn(step: int) -> list:
    """Five items; a function of the step."""
    return [training_item(step, index, {"number": 1.0, "page": 1.0}, SIZES) for index in range(5)]


@pytest.mark.parametrize("view", [*FORMS.values(), None], ids=[*FORMS, "blind"])
def test_a_streamed_step_has_the_loss_of_kept_features(reader, view):
    items = sorted(drawn(3), key=lambda item: len(item.question))
    kept = PictureInputs(items, view, 8, reader, compute=compute("fp32"))
    expected = answer_loss(reader, kept.batch(range(5)))
    batches = streamed_batches(partial(drawn), view, 8, steps=4)
    found = streamed_loss(reader, pickle.loads(pickle.dumps(batches))[3])
    targets = sum(map(kept.targets, range(5)))
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=2e-3)  # kept ones are rounded to half precision
    assert float(batches[3]["num_items_in_batch"]) == targets


@pytest.mark.parametrize("view", FORMS.values(), ids=FORMS)
def test_streamed_inputs_are_those_of_kept_ones_and_hold_no_feature(reader, view):
    items = drawn(1)
    kept, streamed = (kind(items, view, 8, reader, compute=compute("fp32")) for kind in (PictureInputs, StreamedInputs))
    assert streamed.parts == [] and kept.maps == streamed.maps == [maps_of(item.size, view, 8) for item in items]
    expected, found = kept.batch([4, 0, 2], answers=False), streamed.batch([4, 0, 2], answers=False)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=5e-3, rtol=5e-3)
    assert [streamed.visual_tokens(i) for i in range(5)] == [kept.visual_tokens(i) for i in range(5)]
