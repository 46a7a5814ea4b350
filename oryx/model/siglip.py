"""From a SigLIP vision model (transformers' own) to OryxViT: the same blocks, a stretched position table.

The authors started OryxViT from SigLIP so400m (maintainers' answer in the public repository). SigLIP's final norm and
pooling head have no place in OryxViT and are left out: at the trained size OryxViT's features equal SigLIP's last
hidden state before its final norm.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import SiglipVisionModel

from oryx.errors import CheckpointError
from oryx.model.config import OryxVisionConfig
from oryx.model.vit import OryxViT


def vit_config_from_siglip(siglip, position_grid: int | None = None) -> OryxVisionConfig:
    """The OryxViT configuration with the shape of a ``SiglipVisionConfig``.

    ``position_grid`` defaults to SigLIP's own. Raises CheckpointError if SigLIP was trained with the tanh
    approximation of GELU and so would not compute the same function.
    """
    if siglip.hidden_act != "gelu":
        raise CheckpointError(
            f"hidden_act: OryxViT computes the exact GELU ('gelu'), this SigLIP was trained with {siglip.hidden_act!r}"
        )
    return OryxVisionConfig(
        hidden_size=siglip.hidden_size,
        num_hidden_layers=siglip.num_hidden_layers,
        num_attention_heads=siglip.num_attention_heads,
        intermediate_size=siglip.intermediate_size,
        patch_size=siglip.patch_size,
        num_channels=siglip.num_channels,
        position_grid=position_grid or siglip.image_size // siglip.patch_size,
        layer_norm_eps=siglip.layer_norm_eps,
    )


def stretch_positions(table: Tensor, side: int) -> Tensor:
    """A square position table (n², C), rows first, enlarged to (side², C) by bicubic interpolation.

    Bicubic is what the reference's (never called) enlargement routine uses (reference file ``oryx_vit.py``).
    """
    own = round(table.shape[0] ** 0.5)
    if own == side:
        return table
    grid = table.T.reshape(1, -1, own, own)
    return F.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)[0].flatten(1).T


@torch.no_grad()
def vit_from_siglip(siglip: SiglipVisionModel, position_grid: int | None = None) -> OryxViT:
    """An OryxViT with SigLIP's weights and its position table stretched to ``position_grid``²."""
    vit = OryxViT(vit_config_from_siglip(siglip.config, position_grid))
    source = siglip.state_dict()
    state = {
        "patch_embed.proj.weight": source["embeddings.patch_embedding.weight"],
        "patch_embed.proj.bias": source["embeddings.patch_embedding.bias"],
        "pos_embed": stretch_positions(source["embeddings.position_embedding.weight"], vit.config.position_grid)[None],
    }
    names = {
        "norm1": "layer_norm1",
        "norm2": "layer_norm2",
        "attn.proj": "self_attn.out_proj",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
    }
    for i in range(vit.config.num_hidden_layers):
        layer = f"encoder.layers.{i}"
        for kind in ("weight", "bias"):
            for ours, theirs in names.items():
                state[f"blocks.{i}.{ours}.{kind}"] = source[f"{layer}.{theirs}.{kind}"]
            qkv = [source[f"{layer}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            state[f"blocks.{i}.attn.qkv.{kind}"] = torch.cat(qkv)
    vit.load_state_dict(state)
    return vit
