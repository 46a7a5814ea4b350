"""The shares of several processes make up a batch: its samples, its loss, its gradients."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oryx.errors import SettingsError
from oryx.processing.resolution import Resolution
from oryx.train import batches
from oryx.train.batches import batch_loss
from oryx.train.inputs import PictureInputs
from workbook.data.items import draw_item, generator
from workbook.data.pictures import PictureSizes
from workbook.stages.recipes import recipe
from workbook.stages.shared import build_reader


@given(st.lists(st.integers(1, 600), max_size=40), st.integers(1, 5))
def test_shares_are_disjoint_and_of_like_length(lengths, processes):
    shares = [batches.share_of(rank, processes, lengths) for rank in range(processes)]
    assert sorted(sample for share in shares for sample in share) == list(range(len(lengths)))
    assert all(shares) or len(lengths) < processes
    totals = [sum(lengths[i] for i in share) for share in shares]
    assert max(totals) - min(totals) <= max(lengths, default=0)


def test_shares_of_several_processes_make_up_the_batch(monkeypatch):
    """The mean of what two processes compute is what one computes; each takes half of the samples."""
    torch.manual_seed(0)
    model = build_reader(recipe("smoke"))
    rng, sizes = generator("shares"), PictureSizes()
    items = [draw_item(rng, ("number", "icon")[i % 2], "train", sizes, "t") for i in range(7)]
    inputs = PictureInputs(items, Resolution("native"), sizes.patch)
    lengths, taken = [inputs.length(i) for i in range(len(items))], []
    answers = [item.answer for item in items]

    def batch_of(group):
        taken.append(group)
        return inputs.batch(group, answers=True)

    def gradients(loss):
        found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
        return [gradient for gradient in found if gradient is not None]

    whole = batch_loss(model, lengths, answers, batch_of)
    torch.testing.assert_close(whole, model(**inputs.batch(range(len(items)), answers=True)).loss)
    shares = []
    for rank in (0, 1):
        state = SimpleNamespace(process_index=rank, num_processes=2)
        monkeypatch.setattr(batches, "PartialState", lambda state=state: state)
        shares.append(batch_loss(model, lengths, answers, batch_of))
        assert taken[-1] == batches.share_of(rank, 2, lengths)
    torch.testing.assert_close(sum(shares) / 2, whole, atol=1e-5, rtol=1e-5)
    for own, expected in zip(gradients(sum(shares) / 2), gradients(whole), strict=True):
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-4)
    with pytest.raises(SettingsError, match="at least one sample for each of 2 processes, got 1"):
        batch_loss(model, lengths[:1], answers[:1], batch_of)
