"""SigLIP to OryxViT: the same features at the trained size, tanh GELU refused, the table stretched."""

import pytest
import torch
from transformers import SiglipVisionConfig, SiglipVisionModel

from oryx.errors import CheckpointError
from oryx.model.siglip import stretch_positions, vit_from_siglip
from oryx.model.vit import pack_images


def siglip(**changes) -> SiglipVisionModel:
    torch.manual_seed(0)
    shape = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = SiglipVisionConfig(**shape, image_size=48, patch_size=8, **{"hidden_act": "gelu", **changes})
    model = SiglipVisionModel(config).eval()
    torch.nn.init.normal_(model.embeddings.position_embedding.weight)
    return model


@torch.no_grad()
def test_features_equal_siglips_before_its_final_norm():
    model = siglip()
    images = torch.randn(2, 3, 48, 48)
    patches, grids = pack_images(list(images), 8)
    ours = vit_from_siglip(model).eval()(patches, grids).tokens.view(2, 36, 48)
    theirs = model(images, output_hidden_states=True).hidden_states[-1]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_the_tanh_approximation_is_refused_by_name():
    with pytest.raises(CheckpointError, match=r"hidden_act.*gelu_pytorch_tanh"):
        vit_from_siglip(siglip(hidden_act="gelu_pytorch_tanh"))


def test_stretching_keeps_the_order_and_pace_of_positions():
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij")
    table = torch.stack([rows.flatten(), columns.flatten()], 1)
    assert stretch_positions(table, 6) is table
    wide = stretch_positions(table, 24).view(24, 24, 2)
    steps = wide[8:16, 8:16, 1].diff(dim=1)
    assert (steps > 0).all() and steps.mean() == pytest.approx(0.25, abs=0.02)
