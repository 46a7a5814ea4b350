"""From a SigLIP vision model (transformers' own) to OryxViT: the same blocks, a stretched position table.

The authors started OryxViT from SigLIP so400m (maintainers' answer in the public repository). SigLIP's final norm and
pooling head have no place in OryxViT and are left out: at the trained size OryxViT's features equal SigLIP's last
hidden state before its final norm. The public so400m weights have patches of 14 pixels and the tanh approximation of
GELU, OryxViT patches of 16 and the exact GELU: the activation is kept as trained, patches are resampled on request.
How the authors did either is not found.

"The trained size" is whole patches: 384 pixels are 27 patches of 14 and 6 pixels that SigLIP's convolution never reads,
where OryxViT would pad to 28 patches; the sizes that both read alike are multiples of the patch (378).
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import SiglipVisionModel

from oryx.errors import SettingsError
from oryx.model.config import OryxVisionConfig
from oryx.model.vit import OryxViT

LAYER_NAMES = {
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "attn.proj": "self_attn.out_proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
"""Ours and SigLIP's."""


def vit_config_from_siglip(siglip, position_grid: int | None = None, patch_size: int | None = None) -> OryxVisionConfig:
    """The OryxViT configuration with the shape and activation of a ``SiglipVisionConfig``.

    ``position_grid`` and ``patch_size`` default to SigLIP's own.
    """
    shared = {name: getattr(siglip, name) for name in OryxVisionConfig.__annotations__ if hasattr(siglip, name)}
    shared["patch_size"] = patch_size or siglip.patch_size
    return OryxVisionConfig(**shared, position_grid=position_grid or siglip.image_size // siglip.patch_size)


def stretch_positions(table: Tensor, side: int) -> Tensor:
    """A square position table (n², C), rows first, enlarged to (side², C) by bicubic interpolation.

    Bicubic is what the reference's (never called) enlargement routine uses (reference file ``oryx_vit.py``).
    """
    own = round(table.shape[0] ** 0.5)
    if own == side:
        return table
    grid = table.T.reshape(1, -1, own, own)
    return F.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)[0].flatten(1).T


def resample_patches(weight: Tensor, side: int) -> Tensor:
    """Patch embedding weights (width, channels, p, p) for patches of ``side`` >= p pixels.

    The pseudo-inverse rule of FlexiViT (arXiv 2212.08013, section 3.4): with B the bilinear enlargement of a patch, the
    new weights give <B x, w'> = <x, w> for every patch x. So a picture that is enlarged patch by patch keeps its
    embeddings exactly; one that is resized as a whole, nearly (``tests/unit/model/test_siglip.py`` has both). Raises
    SettingsError for smaller patches, where no weights can do that.
    """
    own = weight.shape[-1]
    if side == own:
        return weight
    if side < own:
        raise SettingsError(f"patch_size: expected at least SigLIP's {own}, got {side}: smaller patches lose detail")
    basis = torch.eye(own * own, dtype=torch.float64).view(own * own, 1, own, own)
    enlarged = F.interpolate(basis, size=(side, side), mode="bilinear", align_corners=False).flatten(1)
    flat = weight.flatten(2).double() @ torch.linalg.pinv(enlarged).T
    return flat.view(*weight.shape[:2], side, side).to(weight.dtype)


@torch.no_grad()
def vit_from_siglip(
    siglip: SiglipVisionModel, position_grid: int | None = None, patch_size: int | None = None
) -> OryxViT:
    """An OryxViT with SigLIP's weights, its position table stretched to ``position_grid``².

    ``patch_size``: other than SigLIP's own, by :func:`resample_patches`.
    """
    vit = OryxViT(vit_config_from_siglip(siglip.config, position_grid, patch_size))
    source = siglip.state_dict()
    patches = source["embeddings.patch_embedding.weight"]
    state = {
        "patch_embed.proj.weight": resample_patches(patches, vit.config.patch_size),
        "patch_embed.proj.bias": source["embeddings.patch_embedding.bias"],
        "pos_embed": stretch_positions(source["embeddings.position_embedding.weight"], vit.config.position_grid)[None],
    }
    for i in range(vit.config.num_hidden_layers):
        layer = f"encoder.layers.{i}"
        for kind in ("weight", "bias"):
            for ours, theirs in LAYER_NAMES.items():
                state[f"blocks.{i}.{ours}.{kind}"] = source[f"{layer}.{theirs}.{kind}"]
            qkv = [source[f"{layer}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            state[f"blocks.{i}.attn.qkv.{kind}"] = torch.cat(qkv)
    vit.load_state_dict(state)
    return vit
