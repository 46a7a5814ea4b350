import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oryx.errors import InputError
from oryx.layout import Layout, Visual, arrange, read_spec, visual_token_count
from oryx.model.compressor import Projector

from .model.builders import tiny_config

GRID = st.tuples(st.integers(1, 5), st.integers(1, 5))
VISUALS = st.one_of(
    st.tuples(st.just(Layout.ONE_VIEW), st.lists(GRID, min_size=1, max_size=1)),
    st.tuples(st.just(Layout.TWO_VIEW), st.lists(GRID, min_size=2, max_size=2)),
    st.tuples(st.just(Layout.VIDEO), st.lists(GRID, min_size=1, max_size=4)),
    st.tuples(st.just(Layout.TEXT), st.lists(GRID, max_size=2)),
)
N, B, E, S = range(4)


@pytest.mark.parametrize(
    ("layout", "grids", "expected"),
    [
        (Layout.ONE_VIEW, ((2, 2),), [B, 4, 5, N, 6, 7, N, E]),
        (Layout.TWO_VIEW, ((1, 1), (1, 2)), [B, 4, N, S, 5, 6, N, E]),
        (Layout.VIDEO, ((1, 2), (1, 2)), [B, 4, 5, N, S, 6, 7, N, S, E]),
        (Layout.VIDEO, ((2, 1),), [B, 4, N, 5, N, S, E]),
        (Layout.TEXT, ((1, 2),), []),
    ],
)
def test_layouts_of_the_documentation(layout, grids, expected):
    assert arrange(layout, grids).tolist() == expected


@given(VISUALS)
def test_every_token_once_and_in_order(visual):
    layout, grids = visual
    sequence = arrange(layout, tuple(grids))
    assert len(sequence) == visual_token_count(layout, grids)
    if layout != Layout.TEXT:
        tokens = [index - 4 for index in sequence if index >= 4]
        assert tokens == list(range(sum(h * w for h, w in grids)))
        assert (sequence == N).sum() == sum(h for h, _ in grids)


@given(st.lists(VISUALS, min_size=1, max_size=4))
def test_projector_lays_out_a_batch_as_one_by_one(visuals):
    torch.manual_seed(0)
    projector = Projector(tiny_config(vision={"hidden_size": 12}))
    grids = [grid for _, own in visuals for grid in own]
    tokens = torch.randn(sum(h * w for h, w in grids), 12)
    ours = projector(tokens, grids, [(layout, len(own)) for layout, own in visuals])
    table, start = torch.cat([torch.stack(projector.vectors()), projector.proj(tokens)]), 0
    for (layout, own), sequence in zip(visuals, ours, strict=True):
        index = torch.tensor(arrange(layout, tuple(own)))
        torch.testing.assert_close(sequence, table[torch.where(index < 4, index, index + start)])
        start += sum(h * w for h, w in own)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0, 2, 1], "ONE_VIEW: expected 1 map, got 2"),
        ([1, 1, 1], "TWO_VIEW: expected 2 maps, got 1"),
        ([2, 0, 2], "VIDEO: expected 1 or more maps, got 0"),
        ([2, 3, 0], "side >= 1, got 0"),
        ([4, 1, 1], r"layout 0\.\.3.*got \[4, 1, 1\]"),
        ([1, 2], r"got \[1, 2\]"),
    ],
)
def test_a_bad_spec_is_named(row, message):
    with pytest.raises(InputError, match=message):
        read_spec([row])


def test_spec():
    assert read_spec([[2, 5, 4], [3, 0, 1]]) == [Visual(Layout.VIDEO, 5, 4), Visual(Layout.TEXT, 0, 1)]
