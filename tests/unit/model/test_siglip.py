"""SigLIP to OryxViT: the same features at the trained size, the table stretched, the patches resampled."""

import pytest
import torch
import torch.nn.functional as F
from transformers import SiglipVisionConfig, SiglipVisionModel

from oryx.errors import SettingsError
from oryx.model.config import OryxVisionConfig
from oryx.model.siglip import stretch_positions, vit_from_siglip
from oryx.model.vit import OryxViT, pack_images


def siglip(**changes) -> SiglipVisionModel:
    torch.manual_seed(0)
    shape = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = SiglipVisionConfig(**{**shape, "image_size": 48, "patch_size": 8, "hidden_act": "gelu", **changes})
    model = SiglipVisionModel(config).eval()
    torch.nn.init.normal_(model.embeddings.position_embedding.weight)
    return model


@pytest.mark.parametrize("hidden_act", ["gelu", "gelu_pytorch_tanh"])
@pytest.mark.parametrize("saved", [False, True])
@torch.no_grad()
def test_features_equal_siglips_before_its_final_norm(hidden_act, saved, tmp_path):
    model = siglip(hidden_act=hidden_act)
    if saved:  # the format of the public weights
        model.save_pretrained(tmp_path)
        model = SiglipVisionModel.from_pretrained(tmp_path).eval()
    images = torch.randn(2, 3, 48, 48)
    patches, grids = pack_images(list(images), 8)
    ours = vit_from_siglip(model).eval()(patches, grids).tokens.view(2, 36, 48)
    theirs = model(images, output_hidden_states=True).hidden_states[-1]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_the_activation_is_saved_and_another_is_refused(tmp_path):
    vit = vit_from_siglip(siglip(hidden_act="gelu_pytorch_tanh"))
    vit.save_pretrained(tmp_path)
    assert OryxViT.from_pretrained(tmp_path).config.hidden_act == "gelu_pytorch_tanh"
    with pytest.raises(SettingsError, match=r"hidden_act: expected one of .*, got 'relu'"):
        OryxVisionConfig(hidden_act="relu")


@pytest.mark.parametrize("side", [14, 16, 21])
@torch.no_grad()
def test_a_picture_enlarged_patch_by_patch_keeps_its_features(side):
    model = siglip(image_size=42, patch_size=14)
    vits = [vit_from_siglip(model, patch_size=size).eval() for size in (14, side)]
    image = torch.randn(3, 42, 42)
    cut = image.view(3, 3, 14, 3, 14).permute(1, 3, 0, 2, 4).reshape(9, 3, 14, 14)
    large = F.interpolate(cut.double(), size=(side, side), mode="bilinear", align_corners=False).float()
    enlarged = large.view(3, 3, 3, side, side).permute(2, 0, 3, 1, 4).reshape(3, 3 * side, 3 * side)
    small, big = (
        vit(*pack_images([x], s)).tokens for vit, x, s in zip(vits, (image, enlarged), (14, side), strict=True)
    )
    torch.testing.assert_close(big, small, atol=1e-4, rtol=1e-4)


def test_smaller_patches_are_refused():
    with pytest.raises(SettingsError, match=r"patch_size: expected at least SigLIP's 14, got 8"):
        vit_from_siglip(siglip(image_size=42, patch_size=14), patch_size=8)


def test_stretching_keeps_the_order_and_pace_of_positions():
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij")
    table = torch.stack([rows.flatten(), columns.flatten()], 1)
    assert stretch_positions(table, 6) is table
    wide = stretch_positions(table, 24).view(24, 24, 2)
    steps = wide[8:16, 8:16, 1].diff(dim=1)
    assert (steps > 0).all() and steps.mean() == pytest.approx(0.25, abs=0.02)
