"""OryxViT: a vision transformer over pictures of any size, packed into one sequence.

Architecture and numbers: reference file ``oryx/model/multimodal_encoder/oryx_vit.py``; the parameter names are its
own. What matters for its trained weights: the position table is resampled bilinearly without antialiasing, the
output is the raw residual stream after the last block (no final norm), GELU is the exact one (unless configured),
LayerNorm epsilon 1e-6. Unlike the public code, gradients flow into the tower.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer

from oryx.errors import InputError
from oryx.grids import Grid, cumulative_lengths, token_count
from oryx.model.attention import Segments, packed_attention
from oryx.model.config import OryxVisionConfig


@dataclass
class PackedFeatures:
    """Token maps of several pictures in one tensor.

    Attributes:
        tokens: (N, C), the maps one after the other, each rows first.
        grids: the (h, w) of every map.
        hidden_states: if asked for, the embedding and the output of every block, each (N, C).
    """

    tokens: Tensor
    grids: list[Grid]
    hidden_states: tuple[Tensor, ...] | None = None

    def maps(self) -> list[Tensor]:
        """One (h * w, C) tensor per picture."""
        return list(self.tokens.split([rows * columns for rows, columns in self.grids]))


class PatchConvolution(nn.Conv2d):
    """A non-overlapping convolution, stored as one but applied as a linear layer over packed patches."""

    def forward(self, patches: Tensor) -> Tensor:
        return F.linear(patches, self.weight.flatten(1), self.bias)


class PatchEmbedding(nn.Module):
    """Patches (N, channels * patch * patch) to (N, C)."""

    def __init__(self, config: OryxVisionConfig):
        super().__init__()
        self.proj = PatchConvolution(config.num_channels, config.hidden_size, config.patch_size, config.patch_size)

    def forward(self, patches: Tensor) -> Tensor:
        return self.proj(patches)


class Attention(nn.Module):
    def __init__(self, config: OryxVisionConfig):
        super().__init__()
        self.heads = config.num_attention_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, segments: Segments, backend: str) -> Tensor:
        q, k, v = self.qkv(x).view(x.shape[0], 3, self.heads, -1).unbind(1)
        return self.proj(packed_attention(q, k, v, segments, backend=backend).flatten(1))


class MLP(nn.Module):
    def __init__(self, config: OryxVisionConfig):
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)
        self.approximate = "tanh" if config.hidden_act == "gelu_pytorch_tanh" else "none"

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate=self.approximate))


class Block(GradientCheckpointingLayer):
    """``x + attention(norm1(x))``, then ``x + mlp(norm2(x))``."""

    def __init__(self, config: OryxVisionConfig):
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attn = Attention(config)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, segments: Segments, backend: str) -> Tensor:
        x = x + self.attn(self.norm1(x), segments, backend)
        return x + self.mlp(self.norm2(x))


class OryxViT(PreTrainedModel):
    """The vision tower. Sizes, depth and the position table's side come from :class:`OryxVisionConfig`."""

    config_class = OryxVisionConfig
    base_model_prefix = "vision_tower"
    main_input_name = "patches"
    supports_gradient_checkpointing = True
    _no_split_modules = ("Block",)
    # Its attention is packed_attention whatever transformers' name for it is; these let every name be asked for.
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True

    def __init__(self, config: OryxVisionConfig):
        super().__init__(config)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.position_grid**2, config.hidden_size))
        self.patch_embed = PatchEmbedding(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if module is self:
            init.normal_(self.pos_embed, mean=0.0, std=self.config.initializer_range)

    def get_input_embeddings(self) -> nn.Module:
        return self.patch_embed

    def positions(self, grids: Sequence[Grid]) -> Tensor:
        """Position embeddings of all pictures, (N, C): the table resampled to every grid.

        Bilinear, corners not aligned, no antialiasing. Computed in float32, returned in the table's dtype.
        """
        side = self.config.position_grid
        table = self.pos_embed.float().transpose(1, 2).unflatten(2, (side, side))
        resampled = {
            grid: F.interpolate(table, size=grid, mode="bilinear", align_corners=False)[0].flatten(1).T
            for grid in set(grids)
        }
        return torch.cat([resampled[grid] for grid in grids]).to(self.pos_embed.dtype)

    def forward(
        self,
        patches: Tensor,
        grids: Sequence[Grid],
        *,
        backend: str = "auto",
        output_hidden_states: bool = False,
    ) -> PackedFeatures:
        """Encode pictures of any sizes in one packed sequence.

        Args:
            patches: (N, channels * patch * patch) as :func:`oryx.processing.images.to_patches` cuts them.
            grids: the (h, w) of every picture, N in total.
            backend: see :func:`oryx.model.attention.packed_attention`.
            output_hidden_states: also return the embedding and every block's output.

        Raises:
            InputError: the grids do not add up to N, or a patch has the wrong length.
        """
        grids = [(int(rows), int(columns)) for rows, columns in grids]
        expected = self.patch_embed.proj.weight[0].numel()
        if patches.ndim != 2 or patches.shape[1] != expected or token_count(grids) != patches.shape[0]:
            raise InputError(
                f"patches: expected shape ({token_count(grids)}, {expected}) for {len(grids)} grids, "
                f"got {tuple(patches.shape)}"
            )
        segments = Segments(cumulative_lengths(rows * columns for rows, columns in grids))
        x = self.patch_embed(patches.to(self.pos_embed.dtype)) + self.positions(grids)
        states = [x] if output_hidden_states else []  # else the embedding is let go
        for block in self.blocks:
            x = block(x, segments, backend)
            if output_hidden_states:
                states.append(x)
        return PackedFeatures(x, grids, tuple(states) if output_hidden_states else None)
