"""Grouping by length changes the cost of a batch, never its loss."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx.data.items import draw_item, generator
from oryx.data.pictures import PictureSizes
from oryx.errors import SettingsError
from oryx.processing.resolution import Resolution
from oryx.training import batches
from oryx.training.batches import length_groups, loss_by_length
from oryx.training.inputs import PictureInputs
from oryx.training.recipes import recipe
from oryx.training.shared import build_reader


def cost(lengths, groups, group_cost):
    return sum(len(group) * max(lengths[i] for i in group) + group_cost for group in groups)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=40), st.integers(0, 500))
def test_groups_hold_every_sample_once_in_order_of_length(lengths, group_cost):
    groups = length_groups(lengths, group_cost)
    flat = [i for group in groups for i in group]
    assert sorted(flat) == list(range(len(lengths)))
    assert [lengths[i] for i in flat] == sorted(lengths)
    assert all(groups)


@settings(max_examples=40)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(0, 60))
def test_no_other_split_is_cheaper(lengths, group_cost):
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    splits = itertools.chain.from_iterable(
        itertools.combinations(range(1, len(order)), cuts) for cuts in range(len(order))
    )
    least = min(
        cost(lengths, [order[a:b] for a, b in itertools.pairwise([0, *cuts, len(order)])], group_cost)
        for cuts in splits
    )
    assert cost(lengths, length_groups(lengths, group_cost), group_cost) == least


def test_equal_lengths_stay_together():
    assert length_groups([7] * 32) == [list(range(32))]


@given(st.lists(st.integers(1, 600), max_size=40), st.integers(1, 5))
def test_shares_are_disjoint_and_of_like_length(lengths, processes):
    shares = [batches.share_of(rank, processes, lengths) for rank in range(processes)]
    assert sorted(sample for share in shares for sample in share) == list(range(len(lengths)))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    totals = [sum(lengths[i] for i in share) for share in shares]
    assert max(totals) - min(totals) <= 2 * max(lengths, default=0)


def test_shares_of_several_processes_make_up_the_batch(monkeypatch):
    """The mean of what two processes compute is what one computes; each takes half of the samples."""
    torch.manual_seed(0)
    model = build_reader(recipe("smoke"))
    rng, sizes = generator("shares"), PictureSizes()
    items = [draw_item(rng, ("number", "icon")[i % 2], "train", sizes, "t") for i in range(7)]
    inputs = PictureInputs(items, Resolution("native"), sizes.patch)
    lengths, taken = [inputs.length(i) for i in range(len(items))], []

    def batch_of(group):
        taken.append(group)
        return inputs.batch(group, answers=True)

    whole = loss_by_length(model, lengths, batch_of)
    total = sum(len(item.answer) + 1 for item in items)
    monkeypatch.setattr(batches, "reduce", lambda tensor, how: total)
    shares = []
    for rank in (0, 1):
        taken.clear()
        monkeypatch.setattr(
            batches, "PartialState", lambda rank=rank: SimpleNamespace(process_index=rank, num_processes=2)
        )
        shares.append(loss_by_length(model, lengths, batch_of))
        assert sorted(i for group in taken for i in group) == batches.share_of(rank, 2, lengths)
    torch.testing.assert_close(sum(shares) / 2, whole, atol=1e-5, rtol=1e-5)
    with pytest.raises(SettingsError, match="at least one sample for each of 2 processes, got 1"):
        loss_by_length(model, lengths[:1], batch_of)


@pytest.mark.parametrize("mixture", [("page",), ("digit", "word", "icon")])
def test_loss_and_gradients_are_those_of_the_whole_batch(mixture):
    torch.manual_seed(0)
    model = build_reader(recipe("smoke"))
    rng, sizes = generator("grouping"), PictureSizes()
    items = [draw_item(rng, mixture[i % len(mixture)], "train", sizes, "t") for i in range(10)]
    inputs = PictureInputs(items, Resolution("native"), sizes.patch)
    lengths = [inputs.length(i) for i in range(len(items))]
    calls = []

    def batch_of(group):
        calls.append(group)
        return inputs.batch(group, answers=True)

    whole = model(**inputs.batch(range(len(items)), answers=True)).loss
    whole.backward()
    used = {name: parameter for name, parameter in model.named_parameters() if parameter.grad is not None}
    expected = {name: parameter.grad.clone() for name, parameter in used.items()}
    assert any(name.startswith("vision_tower") for name in used)
    model.zero_grad()
    grouped = loss_by_length(model, lengths, batch_of)
    grouped.backward()
    assert len(calls) > 1, "one group shows nothing"
    torch.testing.assert_close(grouped, whole, atol=1e-5, rtol=1e-5)
    for name, parameter in used.items():
        torch.testing.assert_close(parameter.grad, expected[name], atol=1e-5, rtol=1e-4, msg=name)
