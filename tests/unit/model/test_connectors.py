"""Every connector of study 3: shapes, gradients, border regions, side 1, first weights, saving and loading."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx.errors import InputError
from oryx.grids import compressed_grid
from oryx.layout import Layout
from oryx.model.connectors import LEARNED_SIDES, build_compressor
from oryx.model.modeling import OryxForConditionalGeneration

from .builders import pictures, tiny_config, tiny_model, visual_inputs

POOLING = ("average", "average_x2")
INSIDE = ("dwconv", "dwconv_cold", "convmlp", "bilinear", "max", "value_output")
ARMS = (*POOLING, "dynamic", *(f"dynamic_{name}" for name in INSIDE))
GRIDS = st.tuples(st.integers(1, 9), st.integers(1, 9))
WIDTH = 12


def build(name: str):
    torch.manual_seed(0)
    return build_compressor(tiny_config(vision={"hidden_size": WIDTH}, compressor_dim=16, compressor=name))


def features(grid, frames: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randn(frames, grid[0] * grid[1], WIDTH, generator=torch.Generator().manual_seed(seed))


def pooled_by_loop(x, grid, side, pool) -> torch.Tensor:
    maps = x.reshape(len(x), *grid, -1)
    tops, lefts = range(0, grid[0], side), range(0, grid[1], side)
    return torch.stack([pool(maps[:, t : t + side, a : a + side].flatten(1, 2)) for t in tops for a in lefts], 1)


@pytest.mark.parametrize("name", ARMS)
@settings(max_examples=25, deadline=None)
@given(GRIDS, st.integers(1, 5))
def test_any_grid_and_side_has_its_shape_and_gradients(name, grid, side):
    module, x = build(name), features(grid).requires_grad_()
    out, new_grid = module(x, grid, side)
    assert new_grid == compressed_grid(grid, side) and out.shape == (2, new_grid[0] * new_grid[1], WIDTH)
    assert torch.isfinite(out).all()
    out.tanh().sum().backward()
    assert torch.isfinite(x.grad).all() and x.grad.any()


@pytest.mark.parametrize("name", ARMS[len(POOLING) :])
@pytest.mark.parametrize("side", LEARNED_SIDES)
def test_gradients_reach_every_parameter_of_the_side(name, side):
    module = build(name)
    module(features((7, 9)), (7, 9), side)[0].tanh().sum().backward()
    for label, parameter in module.named_parameters():
        other = any(f".{k}" in label.replace("downsampler", "") for k in LEARNED_SIDES if k != side)
        if label != "vlm_key_projector.bias":  # softmax cancels it
            assert other or parameter.grad.any(), label


@pytest.mark.parametrize("name", ARMS)
def test_side_one(name):
    x = features((3, 5))
    out, grid = build(name)(x, (3, 5), 1)
    assert grid == (3, 5) and torch.equal(out, x if name == "average" else 2 * x)


def test_value_and_output_maps_act_at_side_one_once_they_have_learned():
    module, x = build("dynamic_value_output"), features((3, 5))
    with torch.no_grad():
        module.value_projector.weight.mul_(3)
    torch.testing.assert_close(module(x, (3, 5), 1)[0], 4 * x)


@settings(max_examples=25, deadline=None)
@given(GRIDS, st.integers(2, 5))
def test_averages_are_means_of_the_tokens_that_exist(grid, side):
    x = features(grid)
    mean = pooled_by_loop(x, grid, side, lambda tokens: tokens.mean(1))
    torch.testing.assert_close(build("average")(x, grid, side)[0], mean)
    torch.testing.assert_close(build("average_x2")(x, grid, side)[0], 2 * mean)


@settings(max_examples=25, deadline=None)
@given(GRIDS, st.integers(2, 5))
def test_arms_that_start_warm_start_as_the_papers_compressor(grid, side):
    x, start = features(grid), build("dynamic")
    for name in ("dynamic_dwconv", "dynamic_value_output"):
        arm = build(name)
        arm.load_state_dict(start.state_dict(), strict=False)
        torch.testing.assert_close(arm(x, grid, side)[0], start(x, grid, side)[0], atol=1e-5, rtol=1e-5)


def test_arms_that_start_cold_do_not():
    x, start = features((6, 6)), build("dynamic")
    for name in ("dynamic_dwconv_cold", "dynamic_convmlp"):
        arm = build(name)
        arm.load_state_dict(start.state_dict(), strict=False)
        assert (arm(x, (6, 6), 2)[0] - start(x, (6, 6), 2)[0]).abs().mean() > 0.1, name


def attention_off(module):
    """With query and key weights of zero the attention is uniform: its part is the mean, what is left the pooling."""
    with torch.no_grad():
        for part in (module.vlm_query_projector, module.vlm_key_projector):
            part.weight.zero_(), part.bias.zero_()
    return module


@settings(max_examples=15, deadline=None)
@given(GRIDS, st.integers(2, 5))
def test_downsamplers_do_what_their_name_says(grid, side):
    x = features(grid)
    mean = pooled_by_loop(x, grid, side, lambda tokens: tokens.mean(1))
    top = pooled_by_loop(x, grid, side, lambda tokens: tokens.amax(1))
    torch.testing.assert_close(attention_off(build("dynamic"))(x, grid, side)[0], 2 * mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(attention_off(build("dynamic_max"))(x, grid, side)[0] - mean, top, atol=1e-5, rtol=1e-5)


def test_bilinear_is_the_average_at_side_two_and_the_middle_of_the_region_at_side_four():
    x, module = features((8, 8)), attention_off(build("dynamic_bilinear"))
    mean = pooled_by_loop(x, (8, 8), 2, lambda tokens: tokens.mean(1))
    torch.testing.assert_close(module(x, (8, 8), 2)[0], 2 * mean, atol=1e-5, rtol=1e-5)
    middle = pooled_by_loop(x, (8, 8), 4, lambda tokens: tokens.unflatten(1, (4, 4))[:, 1:3, 1:3].mean((1, 2)))
    mean = pooled_by_loop(x, (8, 8), 4, lambda tokens: tokens.mean(1))
    torch.testing.assert_close(module(x, (8, 8), 4)[0] - mean, middle, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["dynamic_dwconv", "dynamic_convmlp"])
def test_learned_downsamplers_refuse_a_side_without_a_kernel(name):
    with pytest.raises(InputError, match="sides 1 to 5, got 6"):
        build(name)(features((6, 6)), (6, 6), 6)


def test_the_uncompressed_arm_takes_maps_as_they_are_and_no_side():
    x = features((2, 3))
    assert torch.equal(build("mlp")(x, (2, 3), 1)[0], x)
    with pytest.raises(InputError, match="expected side 1, got 2"):
        build("mlp")(x, (2, 3), 2)


@pytest.mark.parametrize("name", ("mlp", *ARMS))
def test_a_model_with_any_connector_answers_trains_and_survives_saving(name, tmp_path):
    model = tiny_model(compressor=name)
    inputs = visual_inputs([(Layout.VIDEO, pictures([(24, 32), (24, 32)]), 1 if name == "mlp" else 2)])
    ids = torch.tensor([[5, -200, 7, 8]])
    loss = model(input_ids=ids, labels=ids.clamp(min=-100), **inputs).loss
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.compressor.parameters() if p.grad is not None)
    model.save_pretrained(tmp_path)
    loaded = OryxForConditionalGeneration.from_pretrained(tmp_path)
    assert loaded.config.compressor == name
    torch.testing.assert_close(loaded(input_ids=ids, labels=ids.clamp(min=-100), **inputs).loss, loss)
