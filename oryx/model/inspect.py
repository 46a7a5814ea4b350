"""Attention made visible: between the patches of an encoder, and inside the regions of a compressor.

The fast kernels never form these weights. Here they are computed the slow way, and tests hold them together with what
the model itself computes.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from oryx.grids import Grid, cumulative_lengths
from oryx.model.attention import Segments
from oryx.model.compressor import DynamicCompressor, region_means, regions
from oryx.model.vit import OryxViT


@torch.inference_mode()
def encoder_attention(tower: OryxViT, patches: Tensor, grids: Sequence[Grid]) -> Iterator[Iterator[Tensor]]:
    """The attention weights of one layer after the other: for every picture (heads, n, n), rows the queries.

    Softmax of q k' / sqrt(head width). Layers come one by one, and within a layer the pictures, so that maps which are
    only summed up are never held together.
    """
    lengths = [rows * columns for rows, columns in grids]
    segments = Segments(cumulative_lengths(lengths))
    x = tower.patch_embed(patches) + tower.positions(grids)
    for block in tower.blocks:
        attention = block.attn
        q, k, _ = attention.qkv(block.norm1(x)).view(len(x), 3, attention.heads, -1).unbind(1)
        pairs = zip(q.split(lengths), k.split(lengths), strict=True)
        scale = q.shape[-1] ** -0.5
        yield (torch.einsum("ihd,jhd->hij", a, b).mul(scale).softmax(-1) for a, b in pairs)
        x = block(x, segments, "exact")


@torch.inference_mode()
def compressor_attention(connector: DynamicCompressor, tokens: Tensor, grid: Grid, side: int) -> Tensor:
    """Each token's weight in its region over the uniform one, (T, h, w), on the CPU; 1 means as pooling does.

    ``tokens``: (T, h * w, C) of ``grid`` (h, w), on the connector's device; ``side`` k: regions of k x k tokens.
    """
    tokens, (height, width) = tokens.to(next(connector.parameters()).dtype), grid
    values, present = regions(tokens, grid, side)
    weights = connector.weights(region_means(tokens, grid, side), values, present)
    weights = weights * (side * side if present is None else present.sum(1, keepdim=True))
    rows, columns = -(-height // side), -(-width // side)
    maps = weights.view(-1, rows, columns, side, side).transpose(2, 3).reshape(-1, rows * side, columns * side)
    return maps[:, :height, :width].cpu()
