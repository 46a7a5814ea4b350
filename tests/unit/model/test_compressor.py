import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx.errors import InputError, SettingsError
from oryx.grids import compressed_grid
from oryx.model.compressor import (
    DynamicCompressor,
    NoCompressor,
    compress_maps,
)
from oryx.model.connectors import build_compressor

from .builders import tiny_config

GRIDS = st.tuples(st.integers(1, 9), st.integers(1, 9))


def build() -> DynamicCompressor:
    torch.manual_seed(0)
    return build_compressor(tiny_config(vision={"hidden_size": 12}, compressor_dim=16))


def features(frames: int, grid: tuple[int, int], seed: int = 0) -> torch.Tensor:
    return torch.randn(frames, grid[0] * grid[1], 12, generator=torch.Generator().manual_seed(seed))


def region_by_region(module: DynamicCompressor, x: torch.Tensor, grid: tuple[int, int], side: int) -> torch.Tensor:
    """The rule as a loop over regions; border regions hold the tokens that exist."""
    maps, out = x.reshape(x.shape[0], *grid, -1), []
    for top in range(0, grid[0], side):
        for left in range(0, grid[1], side):
            values = maps[:, top : top + side, left : left + side].flatten(1, 2)
            pooled = values.mean(1, keepdim=True)
            logits = module.vlm_query_projector(pooled) @ module.vlm_key_projector(values).transpose(1, 2)
            out.append(pooled + (logits / module.dim**0.5).softmax(-1) @ values)
    return torch.cat(out, 1)


@settings(max_examples=50)
@given(st.integers(1, 3), GRIDS, st.integers(1, 6))
def test_any_grid_and_any_side(frames, grid, side):
    module, x = build(), features(frames, grid).requires_grad_()
    ours, new_grid = module(x, grid, side)
    expected = region_by_region(module, x, grid, side)
    assert new_grid == compressed_grid(grid, side) and ours.shape == expected.shape
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    a, b = (torch.autograd.grad(out.tanh().sum(), x)[0] for out in (ours, expected))
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@settings(deadline=None)
@given(GRIDS)
def test_side_one_is_exactly_twice_the_input(grid):
    x = features(2, grid)
    ours, new_grid = build()(x, grid, 1)
    assert torch.equal(ours, 2 * x) and new_grid == grid


def test_gradients_reach_the_projections():
    module = build()
    module(features(2, (5, 7)), (5, 7), 2)[0].tanh().sum().backward()
    assert module.vlm_query_projector.weight.grad.any() and module.vlm_key_projector.weight.grad.any()


def test_logits_that_are_not_finite_are_replaced():
    module, x = build(), features(1, (2, 2))
    with torch.no_grad():
        module.vlm_key_projector.bias.fill_(torch.inf)
    assert torch.isfinite(module(x, (2, 2), 2)[0]).all()


def test_no_grid_means_a_square():
    module, x = build(), features(1, (4, 4))
    assert torch.equal(module(x, None, 2)[0], module(x, (4, 4), 2)[0])
    with pytest.raises(InputError, match="tokens"):
        module(features(1, (2, 3)), None, 2)


def test_bad_inputs_are_named():
    with pytest.raises(InputError, match=r"15 tokens.*grid \(3, 5\)"):
        build()(features(1, (4, 4)), (3, 5), 2)
    with pytest.raises(InputError, match="side"):
        build()(features(1, (4, 4)), (4, 4), 0)


def test_compressors_by_name():
    assert isinstance(build_compressor(tiny_config(compressor="none")), NoCompressor)
    with pytest.raises(SettingsError, match=r"unknown compressor 'mean'; known: dynamic, none"):
        build_compressor(tiny_config(compressor="mean"))


def test_no_compressor_does_not_double():
    module, x = NoCompressor(tiny_config()), features(1, (2, 3))
    assert torch.equal(module(x, (2, 3), 1)[0], x)
    with pytest.raises(InputError, match="expected side 1, got 2"):
        module(x, (2, 3), 2)


@settings(max_examples=30)
@given(st.lists(st.tuples(GRIDS, st.integers(1, 3)), min_size=1, max_size=6))
def test_packed_maps_equal_one_map_at_a_time(maps):
    module = build()
    grids, sides = [grid for grid, _ in maps], [side for _, side in maps]
    inputs = [features(1, grid, seed) for seed, grid in enumerate(grids)]
    tokens, new_grids = compress_maps(module, torch.cat([x[0] for x in inputs]), grids, sides)
    expected = [module(x, grid, side) for x, grid, side in zip(inputs, grids, sides, strict=True)]
    assert new_grids == [grid for _, grid in expected]
    torch.testing.assert_close(tokens, torch.cat([out[0] for out, _ in expected]), atol=1e-5, rtol=1e-5)
