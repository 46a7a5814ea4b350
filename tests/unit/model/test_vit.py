import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx.errors import InputError, SettingsError
from oryx.model import OryxVisionConfig, OryxViT
from tests.pixels import pack_images, patchify, resampled_table

from .builders import pictures, tiny_tower

SIZES = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=5)
GRIDS = st.tuples(st.integers(1, 30), st.integers(1, 30))
# Relative drift of a bfloat16 tower against float32, ||difference|| / ||float32||: one rounding is 0.4 %, and 0.009 to
# 0.012 was measured over seeds and the sizes below (12 blocks).
BF16_DRIFT = 0.03


@settings(max_examples=25)
@given(SIZES, st.integers(0, 99))
def test_packed_equals_one_picture_at_a_time(sizes, seed):
    tower, images = tiny_tower(), pictures(sizes, seed)
    weights = [torch.randn(tower.config.hidden_size) for _ in images]
    packed = tower(*pack_images(images, 8)).maps()
    alone = [tower(*pack_images([image], 8)).tokens for image in images]
    for a, b in zip(packed, alone, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    gradients = []
    for maps in (packed, alone):
        loss = sum((one * weight).tanh().sum() for one, weight in zip(maps, weights, strict=True))
        gradients.append(torch.autograd.grad(loss, list(tower.parameters())))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=2e-4)


def test_a_picture_does_not_see_its_neighbours():
    tower, images = tiny_tower(), pictures([(24, 24), (40, 8), (16, 32)])
    before = tower(*pack_images(images, 8)).maps()
    images[1] = images[1] + 1
    after = tower(*pack_images(images, 8)).maps()
    assert torch.equal(before[0], after[0]) and torch.equal(before[2], after[2])
    assert not torch.allclose(before[1], after[1], atol=1e-2)


@settings(max_examples=60)
@given(st.lists(GRIDS, min_size=1, max_size=4), st.sampled_from([1, 5, 6]))
def test_position_gather_equals_interpolation(grids, side):
    tower = tiny_tower(position_grid=side)
    gathered = tower.positions(grids)
    resampled = torch.cat([resampled_table(tower, grid) for grid in grids])
    torch.testing.assert_close(gathered, resampled, atol=2e-6, rtol=1e-5)
    weights = torch.randn_like(gathered)
    a, b = (torch.autograd.grad((out * weights).sum(), tower.pos_embed)[0] for out in (gathered, resampled))
    # many tokens add up in one entry of a small table: what float32 loses grows with the sum of their sizes
    room = 1e-6 * float(weights.abs().sum(0).max())
    torch.testing.assert_close(a, b, atol=room, rtol=1e-4)


def test_the_tables_own_grid_gets_it_unchanged():
    tower = tiny_tower()
    assert torch.equal(tower.positions([(6, 6)]), tower.pos_embed[0])


@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from([4, 8]))
def test_patchify_is_the_convolution_on_a_zero_padded_picture(height, width, patch):
    (image,) = pictures([(height, width)])
    patches, (rows, columns) = patchify(image, patch)
    padded = torch.zeros(3, rows * patch, columns * patch)
    padded[:, :height, :width] = image
    weight = torch.randn(5, 3, patch, patch)
    expected = torch.nn.functional.conv2d(padded[None], weight, stride=patch)[0].flatten(1).T
    torch.testing.assert_close(patches @ weight.flatten(1).T, expected, atol=1e-4, rtol=1e-4)


def test_hidden_states_end_with_the_output():
    tower = tiny_tower()
    out = tower(*pack_images(pictures([(16, 24), (8, 8)]), 8), output_hidden_states=True)
    assert len(out.hidden_states) == 1 + tower.config.num_hidden_layers
    assert torch.equal(out.hidden_states[-1], out.tokens)
    assert tower(*pack_images(pictures([(8, 8)]), 8)).hidden_states is None


def test_gradients_reach_every_parameter():
    tower = tiny_tower()
    tower(*pack_images(pictures([(16, 24), (40, 40)]), 8)).tokens.tanh().sum().backward()
    without = [name for name, parameter in tower.named_parameters() if not parameter.grad.any()]
    assert without == []


def test_gradient_checkpointing_changes_nothing():
    tower = tiny_tower()
    inputs = pack_images(pictures([(16, 24), (40, 40)]), 8)
    plain = torch.autograd.grad(tower(*inputs).tokens.tanh().sum(), tower.pos_embed)[0]
    tower.train()
    tower.gradient_checkpointing_enable()
    runs = []
    tower.blocks[0].attn.register_forward_hook(lambda *_: runs.append(1))
    checkpointed = torch.autograd.grad(tower(*inputs).tokens.tanh().sum(), tower.pos_embed)[0]
    torch.testing.assert_close(plain, checkpointed)
    assert len(runs) == 2, "the block must run again in the backward pass"


@pytest.mark.parametrize("sizes", [[(64, 64)], [(16, 80), (48, 40), (8, 8)]])
def test_bfloat16_drift_is_bounded(sizes):
    tower = tiny_tower(num_hidden_layers=12)
    inputs = pack_images(pictures(sizes), 8)
    with torch.no_grad():
        exact = tower(*inputs).tokens
        half = tower.to(torch.bfloat16)(*inputs).tokens
    assert half.dtype == torch.bfloat16
    drift = (half.float() - exact).norm() / exact.norm()
    assert 0 < drift < BF16_DRIFT


def test_save_and_load(tmp_path):
    tower = tiny_tower()
    tower.save_pretrained(tmp_path)
    loaded = OryxViT.from_pretrained(tmp_path)
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in tower.state_dict().items())


def test_parameter_count_of_the_paper():
    with torch.device("meta"):
        tower = OryxViT(OryxVisionConfig())
    assert sum(parameter.numel() for parameter in tower.parameters()) == 431_226_864
    assert len(tower.state_dict()) == 327


def test_bad_inputs_are_named():
    tower = tiny_tower()
    patches, grids = pack_images(pictures([(16, 16)]), 8)
    with pytest.raises(InputError, match=r"expected shape \(6, 192\)"):
        tower(patches, [(2, 3)])
    with pytest.raises(InputError, match=r"got \(4, 191\)"):
        tower(patches[:, 1:], grids)
    with pytest.raises(SettingsError, match="num_attention_heads 5"):
        OryxVisionConfig(hidden_size=48, num_attention_heads=5)


@pytest.mark.parametrize("name", ["sdpa", "flex_attention"])
def test_transformers_names_of_attention_are_taken(tmp_path, name):
    tiny_tower().save_pretrained(tmp_path)
    inputs = pack_images(pictures([(16, 24)]), 8)
    loaded = OryxViT.from_pretrained(tmp_path, attn_implementation=name)
    torch.testing.assert_close(loaded(*inputs).tokens, tiny_tower()(*inputs).tokens)
