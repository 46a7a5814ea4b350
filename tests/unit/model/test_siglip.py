"""SigLIP to OryxViT: the same features at the trained size, the table stretched, the patches resampled."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from transformers import SiglipConfig, SiglipModel, SiglipVisionConfig, SiglipVisionModel

from oryx.errors import SettingsError
from oryx.model.config import OryxVisionConfig
from oryx.model.siglip import stretch_positions, vit_from_siglip
from oryx.model.vit import OryxViT
from tests.pixels import pack_images
from workbook.data.corpora import load
from workbook.stages.models import load_siglip
from workbook.stages.recipes import recipe


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


def enlarge_patches(image: torch.Tensor, patch: int, side: int) -> torch.Tensor:
    """A picture (3, H, W) whose patches are each enlarged to ``side`` pixels, without regard to their neighbours."""
    rows, columns = image.shape[1] // patch, image.shape[2] // patch
    cut = image.view(3, rows, patch, columns, patch).permute(1, 3, 0, 2, 4).reshape(-1, 3, patch, patch)
    large = F.interpolate(cut.double(), size=(side, side), mode="bilinear", align_corners=False).float()
    return large.view(rows, columns, 3, side, side).permute(2, 0, 3, 1, 4).reshape(3, rows * side, columns * side)


def write_public(folder, image_size: int) -> None:
    """Tiny random weights in the layout of the public so400m repositories.

    One ``config.json`` that names sizes only (so transformers' defaults decide: tanh GELU, epsilon 1e-6) and one
    safetensors file with text tower, vision tower and logit scale, all under the names of ``SiglipModel``.
    """
    torch.manual_seed(0)
    shape = {"hidden_size": 48, "intermediate_size": 96, "num_attention_heads": 4, "num_hidden_layers": 2}
    vision = {**shape, "image_size": image_size, "model_type": "siglip_vision_model", "patch_size": 14}
    text = {**shape, "model_type": "siglip_text_model", "vocab_size": 20, "max_position_embeddings": 4}
    config = {"architectures": ["SiglipModel"], "initializer_factor": 1.0, "model_type": "siglip"}
    config |= {"text_config": text, "vision_config": vision, "torch_dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(config))
    ends = {"bos_token_id": None, "eos_token_id": 1, "pad_token_id": 1}  # the defaults lie outside this vocabulary
    made = SiglipModel(SiglipConfig(text_config={**text, **ends}, vision_config=vision))
    tensors = {name: torch.randn_like(tensor) * 0.2 for name, tensor in made.state_dict().items()}
    assert "vision_model.embeddings.patch_embedding.weight" in tensors and "logit_scale" in tensors
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@torch.no_grad()
def test_the_public_format_converts_at_both_patch_sizes(tmp_path):
    write_public(tmp_path, image_size=46)  # three patches of 14 and 4 pixels over, as 384 is 27 and 6 over
    model = SiglipVisionModel.from_pretrained(tmp_path).eval()
    assert model.config.hidden_act == "gelu_pytorch_tanh"
    image = torch.randn(3, 46, 46, generator=torch.Generator().manual_seed(1))
    theirs = model(image[None], output_hidden_states=True).hidden_states[-1][0]
    ours = vit_from_siglip(model).eval()
    assert (ours.config.position_grid, ours.config.hidden_act) == (3, "gelu_pytorch_tanh")
    read = image[:, :42, :42]  # SigLIP's convolution stops at whole patches
    torch.testing.assert_close(ours(*pack_images([read], 14)).tokens, theirs, atol=1e-5, rtol=1e-5)
    assert pack_images([image], 14)[1] == [(4, 4)], "OryxViT pads where SigLIP drops"
    larger = vit_from_siglip(model, patch_size=16).eval()
    packed = pack_images([enlarge_patches(read, 14, 16)], 16)
    torch.testing.assert_close(larger(*packed).tokens, theirs, atol=1e-4, rtol=1e-4)
    stretched = vit_from_siglip(model, position_grid=12, patch_size=16)
    assert stretched.pos_embed.shape == (1, 144, 48) and stretched.config.patch_size == 16


@torch.no_grad()
def test_a_picture_resized_as_a_whole_nearly_keeps_its_features():
    """Trained weights on real pictures, patches enlarged by 14 to 16's ratio: 8 to 9, resized as pictures are."""
    trained = load_siglip(recipe("nano")).eval().vision_model
    corpus, maps = load("clipart"), {}
    for side in (8, 9):
        vit = vit_from_siglip(trained, patch_size=side).eval()
        pictures = [corpus.image(item).convert("RGB").resize((6 * 8, 6 * 8)) for item in corpus.items[:12]]
        pictures = [picture.resize((6 * side, 6 * side), Image.Resampling.BICUBIC) for picture in pictures]
        maps[side] = vit(
            *pack_images([torch.tensor(np.asarray(p)).permute(2, 0, 1) / 127.5 - 1 for p in pictures], side)
        )
    small, large = (found.tokens - maps[8].tokens.mean(0) for found in maps.values())
    assert F.cosine_similarity(small, large).mean() > 0.98


def test_the_activation_is_saved_and_another_is_refused(tmp_path):
    vit = vit_from_siglip(siglip(hidden_act="gelu_pytorch_tanh"))
    vit.save_pretrained(tmp_path)
    assert OryxViT.from_pretrained(tmp_path).config.hidden_act == "gelu_pytorch_tanh"
    with pytest.raises(SettingsError, match=r"unknown hidden_act 'relu'.* known: gelu, gelu_pytorch_tanh"):
        OryxVisionConfig(hidden_act="relu")


@pytest.mark.parametrize("side", [14, 16, 21])
@torch.no_grad()
def test_a_picture_enlarged_patch_by_patch_keeps_its_features(side):
    model = siglip(image_size=42, patch_size=14)
    vits = [vit_from_siglip(model, patch_size=size).eval() for size in (14, side)]
    image = torch.randn(3, 42, 42)
    enlarged = enlarge_patches(image, 14, side)
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
