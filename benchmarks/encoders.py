"""The encoders that are compared: OryxViT over packed patches, Siglip2's over a zero-padded batch, OryxViT on one
picture after the other, and Qwen2-VL's tower over packed patches.

The first three have the same weights and compute one function, so their outputs can be checked against each other
before anything is timed. Where the architectures of the first two differ, this is what was made equal:

- GELU: Siglip2's configuration asks for the exact one ("gelu"), which OryxViT always computes.
- Positions: the tables are the same and no larger than the smallest side of any picture
  (:attr:`benchmarks.mixes.Mix.table_side`), where Siglip2's antialiased resampling equals OryxViT's.
- Final norm and pooling head: OryxViT has neither. Siglip2's head is off and its final norm is an identity, so its
  last hidden state is the one before that norm, and Siglip2 does not pay for the norm.
- Patches: both read the same flattened patches (channels first).

Qwen2-VL's tower is another function (rotary positions, weights of its own), so only its time is compared. Its sizes,
GELU and patches are made equal, and its merger, which OryxViT has no part for, is an identity.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import Siglip2VisionConfig, Siglip2VisionModel
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel, VisionMlp

from benchmarks.mixes import Mix
from oryx.model.config import OryxVisionConfig
from oryx.model.vit import OryxViT
from oryx.processing.images import cut

PATCH = 16
CHANNELS = 3
SEED = 0


def oryx_config(mix: Mix) -> OryxVisionConfig:
    """OryxViT's configuration of the mix's shape."""
    return OryxVisionConfig(
        hidden_size=mix.width,
        num_hidden_layers=mix.layers,
        num_attention_heads=mix.heads,
        intermediate_size=mix.mlp,
        patch_size=PATCH,
        num_channels=CHANNELS,
        position_grid=mix.table_side,
    )


def siglip2_config(config: OryxVisionConfig) -> Siglip2VisionConfig:
    """Siglip2's vision configuration of the same shape: exact GELU, no pooling head, torch's fused attention."""
    siglip2 = Siglip2VisionConfig(
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        intermediate_size=config.intermediate_size,
        num_channels=config.num_channels,
        patch_size=config.patch_size,
        num_patches=config.position_grid**2,
        layer_norm_eps=config.layer_norm_eps,
        hidden_act="gelu",
        vision_use_head=False,
    )
    siglip2._attn_implementation = "sdpa"
    return siglip2


def new_oryx(mix: Mix) -> OryxViT:
    """A random OryxViT of the mix's shape. Every parameter, biases and norms included, is moved off its start value."""
    torch.manual_seed(SEED)
    vit = OryxViT(oryx_config(mix))
    with torch.no_grad():
        for parameter in vit.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
        vit.pos_embed.mul_(10)
    return vit.eval()


def new_siglip2(mix: Mix) -> Siglip2VisionModel:
    """A random Siglip2 vision model of the mix's shape, its final norm taken out."""
    torch.manual_seed(SEED)
    model = Siglip2VisionModel(siglip2_config(oryx_config(mix)))
    model.post_layernorm = nn.Identity()
    return model.eval()


def new_qwen2_vl(mix: Mix) -> Qwen2VisionTransformerPretrainedModel:
    """A random vision tower of Qwen2-VL of the mix's shape, for single pictures, its merger taken out."""
    torch.manual_seed(SEED)
    config = Qwen2VLVisionConfig(
        depth=mix.layers,
        embed_dim=mix.width,
        num_heads=mix.heads,
        hidden_act="gelu",
        in_channels=CHANNELS,
        patch_size=PATCH,
        spatial_merge_size=1,
        temporal_patch_size=1,
    )
    config._attn_implementation = "sdpa"
    model = Qwen2VisionTransformerPretrainedModel(config)
    model.merger = nn.Identity()
    for block in model.blocks:
        block.mlp = VisionMlp(mix.width, mix.mlp, config.hidden_act)  # the configuration takes whole multiples alone
    return model.eval()


def to_siglip2_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """OryxViT's parameters, or their gradients, under the names and in the shapes of ``Siglip2VisionModel``."""
    renamed = {
        "embeddings.patch_embedding.weight": tensors["patch_embed.proj.weight"].flatten(1),
        "embeddings.patch_embedding.bias": tensors["patch_embed.proj.bias"],
        "embeddings.position_embedding.weight": tensors["pos_embed"][0],
    }
    parts = {
        "norm1": "layer_norm1",
        "norm2": "layer_norm2",
        "attn.proj": "self_attn.out_proj",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
    }
    for name, tensor in tensors.items():
        if not name.startswith("blocks."):
            continue
        _, layer, rest = name.split(".", 2)
        part, kind = rest.rsplit(".", 1)
        if part == "attn.qkv":
            for letter, piece in zip("qkv", tensor.chunk(3), strict=True):
                renamed[f"encoder.layers.{layer}.self_attn.{letter}_proj.{kind}"] = piece
        else:
            renamed[f"encoder.layers.{layer}.{parts[part]}.{kind}"] = tensor
    return renamed


def siglip2_from_oryx(vit: OryxViT, mix: Mix) -> Siglip2VisionModel:
    """A Siglip2 vision model with OryxViT's weights; every parameter is set (strict)."""
    model = new_siglip2(mix)
    model.load_state_dict(to_siglip2_names(vit.state_dict()))
    return model


@dataclass
class Batch:
    """The pictures of a mix, packed, with the gradient that the backward pass starts from.

    Attributes:
        patches: (N, channels * patch * patch), normal noise.
        gradient: (N, width), normal noise.
    """

    patches: Tensor
    gradient: Tensor

    @classmethod
    def of(cls, mix: Mix) -> "Batch":
        generator = torch.Generator().manual_seed(SEED)
        images = [torch.randn(CHANNELS, h * PATCH, w * PATCH, generator=generator) for h, w in mix.grids]
        patches = torch.cat([torch.from_numpy(cut(image.permute(1, 2, 0).numpy(), PATCH)[0]) for image in images])
        return cls(patches, torch.randn(mix.tokens, mix.width, generator=generator))


class Packed:
    """OryxViT on the packed batch."""

    def __init__(self, model: OryxViT, mix: Mix, batch: Batch):
        self.model, self.grids = model, mix.grids
        self.patches, self.gradient = batch.patches, batch.gradient

    def run(self) -> Tensor:
        """Features in this encoder's own layout, (N, C)."""
        return self.model(self.patches, self.grids).tokens

    def real(self, features: Tensor) -> Tensor:
        """The features of real tokens in packed order, (N, C)."""
        return features

    def parameter_gradients(self) -> dict[str, Tensor]:
        """Gradients under Siglip2's names."""
        return to_siglip2_names({name: p.grad for name, p in self.model.named_parameters()})


class Loop(Packed):
    """OryxViT on one picture after the other."""

    def run(self) -> Tensor:
        """Features in packed order, (N, C)."""
        pictures = self.patches.split([rows * columns for rows, columns in self.grids])
        return torch.cat(
            [self.model(patches, [grid]).tokens for patches, grid in zip(pictures, self.grids, strict=True)]
        )


class Padded:
    """Siglip2's vision model on the batch padded with zeros to its largest picture (NaFlex), with masks."""

    def __init__(self, model: Siglip2VisionModel, mix: Mix, batch: Batch):
        self.model = model
        lengths = [rows * columns for rows, columns in mix.grids]
        self.mask = torch.arange(mix.longest)[None] < torch.tensor(lengths)[:, None]
        self.pixels = self._pad(batch.patches)
        self.shapes = torch.tensor(mix.grids)
        self.gradient = self._pad(batch.gradient)

    def _pad(self, packed: Tensor) -> Tensor:
        padded = packed.new_zeros(*self.mask.shape, packed.shape[1])
        padded[self.mask] = packed
        return padded

    def run(self) -> Tensor:
        """Features in this encoder's own layout, (pictures, longest, C)."""
        return self.model(self.pixels, self.mask, self.shapes).last_hidden_state

    def real(self, features: Tensor) -> Tensor:
        """The features of real tokens in packed order, (N, C)."""
        return features[self.mask]

    def parameter_gradients(self) -> dict[str, Tensor]:
        """Gradients under Siglip2's names."""
        return {name: p.grad for name, p in self.model.named_parameters()}


class Qwen2VL:
    """Qwen2-VL's vision tower on the packed batch."""

    def __init__(self, model: Qwen2VisionTransformerPretrainedModel, mix: Mix, batch: Batch):
        self.model = model
        self.grids = torch.tensor([(1, rows, columns) for rows, columns in mix.grids])
        self.patches, self.gradient = batch.patches, batch.gradient

    def run(self) -> Tensor:
        """Features in packed order, (N, C)."""
        return self.model(self.patches, self.grids).last_hidden_state


Encoder = Packed | Padded | Qwen2VL


def pair(mix: Mix) -> tuple[Padded, Packed]:
    """Both encoders with the same weights on the same batch."""
    vit, batch = new_oryx(mix), Batch.of(mix)
    return Padded(siglip2_from_oryx(vit, mix), mix, batch), Packed(vit, mix, batch)


def peers(mix: Mix) -> dict[str, Encoder]:
    """The packed encoder and those that it is compared with, on the same batch."""
    padded, packed = pair(mix)
    batch = Batch(packed.patches, packed.gradient)
    loop, qwen2_vl = Loop(packed.model, mix, batch), Qwen2VL(new_qwen2_vl(mix), mix, batch)
    return {"padded": padded, "packed": packed, "loop": loop, "qwen2-vl": qwen2_vl}


def alone(name: str, mix: Mix) -> Padded | Packed:
    """One encoder, "padded" or "packed", with nothing of the other in memory."""
    if name == "padded":
        return Padded(new_siglip2(mix), mix, Batch.of(mix))
    return Packed(new_oryx(mix), mix, Batch.of(mix))
