"""Measures of the shift on tokens whose shift is known, and attention maps against a loop."""

import numpy as np
import pytest
import torch

from oryx.eval.features import FrameTokens
from oryx.model.config import OryxConfig
from oryx.model.connectors import build_compressor
from oryx.model.inspect import compressor_attention
from workbook.studies.compressor.shift import effective_rank, linear_cka, region_of_token, shift


def connector(name, width=6):
    torch.manual_seed(0)
    vision = {"hidden_size": width, "num_attention_heads": 1}
    return build_compressor(OryxConfig(vision_config=vision, compressor_dim=4, compressor=name))


def film(grid=(4, 6), frames=3, width=6):
    return FrameTokens(torch.randn(frames, grid[0] * grid[1], width, generator=torch.Generator().manual_seed(1)), grid)


def blocks(side, grid=(4, 6), frames=3, width=6):
    """A film whose regions hold one and the same token: nothing is lost by any pooling."""
    rows, columns = grid[0] // side, grid[1] // side
    small = torch.randn(frames, rows, columns, width, generator=torch.Generator().manual_seed(2))
    return FrameTokens(small.repeat_interleave(side, 1).repeat_interleave(side, 2).flatten(1, 2), grid)


@pytest.mark.parametrize("name", ["average", "average_x2", "dynamic", "dynamic_max", "dynamic_dwconv"])
def test_where_nothing_is_lost_nothing_shifts(name):
    found = shift(connector(name), blocks(2), 2)
    assert found["cka"] == pytest.approx(1, abs=1e-6) and found["mean"] == pytest.approx(0, abs=1e-6)
    assert found["variance"] == pytest.approx(1, abs=1e-5) and found["rank"] == pytest.approx(
        found["full_rank"], rel=1e-5
    )


def test_the_scale_of_an_arm_is_no_shift():
    once, twice = (shift(connector(name), film(), 2) for name in ("average", "average_x2"))
    assert once == pytest.approx(twice, rel=1e-5)
    assert once["variance"] == pytest.approx(0.25, rel=0.35), "the mean of four independent tokens"


def test_max_pooling_moves_the_mean_and_averaging_does_not():
    assert shift(connector("dynamic_max"), film(), 2)["mean"] > 0.3
    assert shift(connector("average"), film(), 2)["mean"] < 1e-5


def test_cka_is_one_for_rotations_and_scales_and_small_for_noise():
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=(400, 5)))
    rotation = torch.tensor(np.linalg.qr(rng.normal(size=(5, 5)))[0])
    assert linear_cka(x, 3 * x @ rotation + 7) == pytest.approx(1)
    assert linear_cka(x, torch.tensor(rng.normal(size=(400, 5)))) < 0.05
    assert linear_cka(x, torch.ones(400, 5, dtype=x.dtype)) == 0
    direct = np.corrcoef(x[:, 0], x[:, 0] + x[:, 1])[0, 1] ** 2
    assert linear_cka(x[:, :1], (x[:, :1] + x[:, 1:2])) == pytest.approx(direct), "one channel: the squared correlation"


def test_effective_rank_counts_equal_directions():
    x = torch.cat([torch.eye(4), -torch.eye(4)]).double()
    assert effective_rank(x) == pytest.approx(4)
    assert effective_rank(x[:, :1]) == pytest.approx(1) and effective_rank(torch.ones(5, 3).double()) == 1


def test_every_token_belongs_to_its_region():
    assert region_of_token((3, 4), (2, 2), 2).tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3]


def test_the_pooled_mean_is_not_what_is_compared_with():
    """Against the region's own mean every average would be perfect; against the tokens it is not."""
    assert shift(connector("average"), film(), 2)["cka"] < 0.9


@pytest.mark.parametrize("grid", [(4, 4), (5, 3)])
def test_attention_maps_put_each_weight_on_its_token(grid):
    module, tokens = connector("dynamic"), film(grid)
    maps = compressor_attention(module, tokens.tokens, tokens.grid, 2)
    assert maps.shape == (3, *grid)
    x = tokens.tokens.view(3, *grid, -1)
    for top in range(0, grid[0], 2):
        for left in range(0, grid[1], 2):
            values = x[:, top : top + 2, left : left + 2].flatten(1, 2)
            query = module.vlm_query_projector(values.mean(1, keepdim=True))
            weights = (query @ module.vlm_key_projector(values).transpose(1, 2) / 2).softmax(-1)[:, 0]
            expected = weights * values.shape[1]
            torch.testing.assert_close(maps[:, top : top + 2, left : left + 2].flatten(1), expected)
