"""From the tower to the language model: maps are compressed on request of the caller, then projected and laid out.

The dynamic compressor and its numbers: reference file ``oryx/model/multimodal_resampler/perceiver.py``. A compressor
is a module with ``forward(features (T, h * w, C), grid, side) -> ((T, n, C), new_grid)``; ``side`` k compresses k x k
regions into one token each. :mod:`oryx.model.connectors` builds them by their names. The projector's parameters and
layouts: reference file ``oryx/model/multimodal_projector/builder.py`` (``simple_mlp_twoview``).
"""

import math
from collections.abc import Sequence
from itertools import groupby, islice

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oryx.errors import InputError
from oryx.grids import Grid, compressed_grid, token_count
from oryx.layout import FIRST_TOKEN, Layout, arrange
from oryx.model.config import OryxConfig


class DynamicCompressor(nn.Module):
    """Average pooling plus attention of the pooled token over its own region.

    For every region with value vectors v_j: ``p = mean(v)``, ``q = W_q p + b_q``, ``k_j = W_k v_j + b_k``, output
    ``p + sum_j softmax_j(q . k_j / sqrt(dim)) v_j``. One head, no value or output projection, no norm.

    With side 1 the output is exactly twice the input, whatever the weights; trained projectors expect that. The weights
    get gradients of zero there, as in the reference.

    A grid that is not a multiple of the side (the public code fails there) keeps its border regions, which are then
    smaller: mean and softmax go over the positions that exist. The new grid rounds up.
    """

    def __init__(self, config: OryxConfig):
        super().__init__()
        width, self.dim = config.vision_config.hidden_size, config.compressor_dim
        self.vlm_query_projector = nn.Linear(width, self.dim)
        self.vlm_key_projector = nn.Linear(width, self.dim)

    def pool(self, features: Tensor, grid: Grid, side: int, values: Tensor, present: Tensor | None) -> Tensor:
        """The token (T, n, C) that asks for each region and that what it takes is added to: the region's mean."""
        return region_means(features, grid, side)

    def project(self, taken: Tensor) -> Tensor:
        """What is taken from a region (T, n, C) as it is added: unchanged."""
        return taken

    def weights(self, pooled: Tensor, values: Tensor, present: Tensor | None) -> Tensor:
        """How much each pooled token (T, n, C) takes of its own region's values (T, n, k * k, C): (T, n, k * k)."""
        query, keys = self.vlm_query_projector(pooled), self.vlm_key_projector(values)
        logits = (keys @ query[..., None])[..., 0] * self.dim**-0.5
        # The reference replaces non-finite logits so: NaN by 0, infinities by the largest finite values.
        logits = torch.nan_to_num(logits)
        if present is not None:
            logits = logits.masked_fill(~present, -torch.inf)
        return logits.softmax(-1)

    def attend(self, pooled: Tensor, values: Tensor, present: Tensor | None) -> Tensor:
        """What each pooled token takes from its region, (T, n, C): the values by their weights."""
        return (self.weights(pooled, values, present)[:, :, None] @ values)[:, :, 0]

    def forward(self, features: Tensor, grid: Grid | None, side: int) -> tuple[Tensor, Grid]:
        """Compress T maps of one grid.

        Args:
            features: (T, h * w, C), rows first.
            grid: (h, w); None stands for a square map.
            side: k, for regions of k x k tokens.

        Returns:
            (T, n, C) with n = ceil(h / k) * ceil(w / k), and the new grid.

        Raises:
            InputError: features that do not fit the grid, or a side below 1.
        """
        grid = check_features(features, grid)
        new_grid = compressed_grid(grid, side)
        if side == 1:
            return features + self.project(features) + idle(self), new_grid
        values, present = regions(features, grid, side)
        pooled = self.pool(features, grid, side, values, present)
        return pooled + self.project(self.attend(pooled, values, present)), new_grid


class NoCompressor(nn.Module):
    """Leaves features as they are (not doubled): what the released image-only models were trained with."""

    def __init__(self, config: OryxConfig):
        super().__init__()

    def forward(self, features: Tensor, grid: Grid | None, side: int) -> tuple[Tensor, Grid]:
        grid = check_features(features, grid)
        if side != 1:
            raise InputError(f"this model has no compressor: expected side 1, got {side}")
        return features, grid


def idle(module: nn.Module) -> Tensor:
    """Exactly 0, whatever the parameters of ``module`` hold, with gradients of zero for all of them.

    Added where a module has nothing to do: processes that train together (DistributedDataParallel) then have gradients
    for the same parameters, whatever each one's part of a batch is.
    """
    loaded = (parameter for parameter in module.parameters() if not parameter.is_meta)  # others are on the disk
    return sum(parameter.flatten()[:0].sum() for parameter in loaded)


def check_features(features: Tensor, grid: Grid | None) -> Grid:
    """The grid of ``features`` (T, h * w, C): the given one, or a square one for None.

    Raises:
        InputError: another number of tokens than the grid has, or no square number where no grid is given.
    """
    if grid is None and features.ndim == 3:
        grid = (math.isqrt(features.shape[1]),) * 2
    if features.ndim != 3 or features.shape[1] != grid[0] * grid[1]:
        expected = "a square number of" if grid is None else str(grid[0] * grid[1])
        raise InputError(f"features: expected (T, {expected} tokens, C) for grid {grid}, got {tuple(features.shape)}")
    return grid


def regions(features: Tensor, grid: Grid, side: int) -> tuple[Tensor, Tensor | None]:
    """Cut maps into ``side x side`` regions, rows first, and rows first inside a region.

    Returns:
        values (T, n, side * side, C), zero where a border region has no token, and which positions exist
        (n, side * side), or None if all do.
    """
    (height, width), (rows, columns) = grid, compressed_grid(grid, side)
    frames, _, channels = features.shape
    maps = features.reshape(frames, height, width, channels)
    below, right = rows * side - height, columns * side - width
    if below or right:
        maps = F.pad(maps, (0, 0, 0, right, 0, below))
    values = maps.reshape(frames, rows, side, columns, side, channels).transpose(2, 3)
    values = values.reshape(frames, rows * columns, side * side, channels)
    if not (below or right):
        return values, None
    present = torch.zeros(rows * side, columns * side, dtype=torch.bool, device=features.device)
    present[:height, :width] = True
    present = present.reshape(rows, side, columns, side).transpose(1, 2)
    return values, present.reshape(rows * columns, side * side)


def region_means(features: Tensor, grid: Grid, side: int) -> Tensor:
    """Mean over the tokens of each region that exist: (T, h * w, C) to (T, n, C)."""
    maps = features.reshape(len(features), *grid, -1).permute(0, 3, 1, 2)  # channels last: pooled without a copy
    return F.avg_pool2d(maps, side, ceil_mode=True).permute(0, 2, 3, 1).flatten(1, 2)


def compress_maps(
    compressor: nn.Module, tokens: Tensor, grids: Sequence[Grid], sides: Sequence[int]
) -> tuple[Tensor, list[Grid]]:
    """Compress packed maps, each with its own side; neighbours of one grid and side share a call.

    Args:
        tokens: (N, C), the maps one after the other.
        grids: the (h, w) of every map; sides: the region side of every map.

    Returns:
        the compressed maps in the same order, (N', C), and their grids.
    """
    runs = [(*key, len(list(run))) for key, run in groupby(zip(grids, sides, strict=True))]
    parts = tokens.split([height * width * count for (height, width), _, count in runs])
    pieces, new_grids = [tokens[:0]], []
    for (grid, side, count), part in zip(runs, parts, strict=True):
        out, new_grid = compressor(part.unflatten(0, (count, -1)), grid, side)
        pieces.append(out.flatten(0, 1))
        new_grids += [new_grid] * count
    return torch.cat(pieces), new_grids


class Projector(nn.Module):
    """An MLP per token, shared by all views and frames, and four learned vectors."""

    def __init__(self, config: OryxConfig):
        super().__init__()
        channels, width = config.vision_config.hidden_size, config.text_config.hidden_size
        self.proj = nn.Sequential(nn.Linear(channels, width), nn.GELU(), nn.Linear(width, width))
        for name in ("image_newline", "image_begin", "image_end", "image_sep"):
            setattr(self, name, nn.Parameter(torch.zeros(width)))

    def vectors(self) -> tuple[nn.Parameter, ...]:
        """The four vectors in the order of :mod:`oryx.layout`: newline, begin, end, separator."""
        return self.image_newline, self.image_begin, self.image_end, self.image_sep

    def forward(self, tokens: Tensor, grids: Sequence[Grid], visuals: Sequence[tuple[Layout, int]]) -> list[Tensor]:
        """Project packed maps and lay them out, one sequence per visual.

        Args:
            tokens: (N, C), all maps of all visuals one after the other (after compression).
            grids: the (h, w) of every map.
            visuals: (layout, number of maps) of every visual; together as many maps as there are grids.

        Returns:
            one (L, width) tensor per visual; its length is :func:`oryx.layout.visual_token_count`.
        """
        tokens = self.proj(tokens)
        table = torch.cat([torch.stack(self.vectors()).to(tokens.dtype), tokens])
        sequences, offset, remaining = [], 0, iter(grids)
        for layout, maps in visuals:
            own = tuple(islice(remaining, maps))
            sequence = arrange(layout, own)
            sequences.append(np.where(sequence < FIRST_TOKEN, sequence, sequence + offset))
            offset += token_count(own)
        # One gather for the whole batch. Maps that no sequence takes (a text sample's dummy) stay in the graph.
        index = np.concatenate(sequences) if sequences else np.empty(0, dtype=np.int64)
        out = table.index_select(0, torch.from_numpy(index).to(table.device))
        return list(out.split([len(sequence) for sequence in sequences]))
