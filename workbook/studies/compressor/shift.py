"""How far a connector's tokens are from those it passes on uncompressed: the reason that the paper gives, measured.

The paper: average pooling inside the compressor is best "because having no parameters keeps the feature distribution".
Every measure here compares compressed tokens with the same arm's *uncompressed* tokens (what its projector sees at 1x),
never with their mean, which average pooling would match by construction.
"""

import torch
from torch import Tensor, nn

from oryx.eval.features import FrameTokens
from oryx.grids import Grid


@torch.inference_mode()
def shift(connector: nn.Module, film: FrameTokens, side: int) -> dict[str, float]:
    """``connector`` at a region side against its uncompressed tokens of a film, which lie where its weights are.

    ``cka``: linear centred kernel alignment, 0 to 1, every uncompressed token paired with its region's token. ``mean``:
    distance of the means, in standard deviations of a whole uncompressed token. ``variance``: total variance over that
    of the uncompressed tokens. ``rank`` and ``full_rank``: effective rank (the exponential of the spectrum's entropy)
    of the compressed and of the uncompressed tokens.
    """
    tokens = film.tokens.float()
    full, _ = connector(tokens, film.grid, 1)
    small, grid = connector(tokens, film.grid, side)
    full, small = full.cpu(), small.cpu()
    paired = small[:, region_of_token(film.grid, grid, side)]
    x, y, s = (t.flatten(0, 1).double() for t in (full, paired, small))
    spread = x.var(0, correction=0).sum()
    return {
        "cka": linear_cka(x, y),
        "mean": float((s.mean(0) - x.mean(0)).norm() / spread.sqrt()),
        "variance": float(s.var(0, correction=0).sum() / spread),
        "rank": effective_rank(s),
        "full_rank": effective_rank(x),
    }


def region_of_token(grid: Grid, compressed: Grid, side: int) -> Tensor:
    """For every token of a map its region's number, (h * w,)."""
    rows, columns = torch.arange(grid[0]) // side, torch.arange(grid[1]) // side
    return (rows[:, None] * compressed[1] + columns[None, :]).flatten()


def linear_cka(x: Tensor, y: Tensor) -> float:
    """Linear centred kernel alignment of paired samples (n, p) and (n, q); 1 for a rotation or scaling (Kornblith et
    al., arXiv:1905.00414). 0 if either does not vary."""
    x, y = x - x.mean(0), y - y.mean(0)
    scale = (x.T @ x).norm() * (y.T @ y).norm()
    return float((y.T @ x).square().sum() / scale) if scale > 0 else 0.0


def effective_rank(x: Tensor) -> float:
    """Exponential of the entropy of the covariance's spectrum, of samples (n, p); 1 for a line, p for a ball."""
    x = x - x.mean(0)
    spectrum = torch.linalg.eigvalsh(x.T @ x).clamp(min=0)
    if spectrum.sum() <= 0:
        return 1.0
    share = spectrum / spectrum.sum()
    return float(torch.special.entr(share).sum().exp())
