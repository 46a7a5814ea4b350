"""From token maps to the language model's width, laid out with newlines and separators.

Parameters and layouts: reference file ``oryx/model/multimodal_projector/builder.py`` (``simple_mlp_twoview``).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from oryx.grids import Grid, split_by_lengths
from oryx.layout import FIRST_TOKEN, Layout, arrange
from oryx.model.config import OryxConfig


class Projector(nn.Module):
    """An MLP per token, shared by all views and frames, and four learned vectors."""

    def __init__(self, config: OryxConfig):
        super().__init__()
        width = config.text_config.hidden_size
        self.proj = nn.Sequential(
            nn.Linear(config.vision_config.hidden_size, width), nn.GELU(), nn.Linear(width, width)
        )
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
            visuals: (layout, number of maps) of every visual.

        Returns:
            one (L, width) tensor per visual; its length is :func:`oryx.layout.visual_token_count`.

        Raises:
            InputError: the maps of the visuals are not those in ``grids``.
        """
        tokens = self.proj(tokens)
        table = torch.cat([torch.stack(self.vectors()).to(tokens.dtype), tokens])
        sequences, offset = [], 0
        for (layout, _), own in zip(visuals, split_by_lengths(grids, (maps for _, maps in visuals)), strict=True):
            sequence = arrange(layout, tuple(own))
            sequences.append(np.where(sequence < FIRST_TOKEN, sequence, sequence + offset))
            offset += sum(rows * columns for rows, columns in own)
        # One gather for the whole batch. Maps that no sequence takes (a text sample's dummy) stay in the graph.
        index = np.concatenate(sequences) if sequences else np.empty(0, dtype=np.int64)
        out = table.index_select(0, torch.from_numpy(index).to(table.device))
        return list(out.split([len(sequence) for sequence in sequences]))
