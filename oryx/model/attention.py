"""Attention over a packed sequence: every picture attends to itself only, whatever the sizes.

One function, three backends' worth of decisions:

``exact``
    plain scaled dot-product attention. Neighbouring segments of equal length go through one call without a mask;
    on a CPU this loop is also the fastest form there is (padding with masks costs 4 to 7 times more).
``varlen``
    ``torch.nn.attention.varlen`` on CUDA in half precision: one kernel for all segments.
``auto``
    ``varlen`` where its kernel exists for these tensors, else ``exact``.
"""

from collections.abc import Sequence
from itertools import groupby, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from oryx.errors import InputError

BACKENDS = ("auto", "exact", "varlen")
_HALF = (torch.float16, torch.bfloat16)


class Segments:
    """Boundaries of the segments of a packed sequence, with the forms the backends want computed once.

    Args:
        cu_seqlens: ``[0, n1, n1 + n2, ...]``, rising.

    Raises:
        InputError: the boundaries do not begin at 0 or do not rise.
    """

    def __init__(self, cu_seqlens: Sequence[int] | Tensor):
        bounds = cu_seqlens.tolist() if isinstance(cu_seqlens, Tensor) else [int(bound) for bound in cu_seqlens]
        lengths = [end - start for start, end in pairwise(bounds)]
        if not lengths or bounds[0] != 0 or min(lengths) < 1:
            raise InputError(f"cu_seqlens: expected rising boundaries that begin at 0, got {bounds[:8]}")
        self.bounds = bounds
        self.lengths = lengths
        # runs of neighbours with one length: (length, how many)
        self.runs = [(length, len(list(group))) for length, group in groupby(lengths)]
        self._tensors: dict[torch.device, Tensor] = {}

    def tensor(self, device: torch.device) -> Tensor:
        """The boundaries as int32 on ``device``; copied there once, not once per layer."""
        if device not in self._tensors:
            self._tensors[device] = torch.tensor(self.bounds, dtype=torch.int32, device=device)
        return self._tensors[device]


def packed_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens: Sequence[int] | Tensor | Segments,
    *,
    scale: float | None = None,
    backend: str = "auto",
) -> Tensor:
    """Full (not causal) attention inside every segment of a packed sequence.

    Args:
        q, k, v: (N, heads, head_dim), all segments one after the other.
        cu_seqlens: segment boundaries ``[0, n1, n1 + n2, ..., N]``.
        scale: factor of the logits; ``head_dim ** -0.5`` by default.
        backend: "auto", "exact" or "varlen".

    Returns:
        (N, heads, head_dim).

    Raises:
        InputError: boundaries that do not end at N, an unknown backend, or "varlen" for tensors it has no kernel for.
    """
    segments = cu_seqlens if isinstance(cu_seqlens, Segments) else Segments(cu_seqlens)
    if segments.bounds[-1] != q.shape[0]:
        raise InputError(f"cu_seqlens ends at {segments.bounds[-1]}, expected the {q.shape[0]} packed tokens")
    if backend not in BACKENDS:
        raise InputError(f"backend: expected one of {BACKENDS}, got {backend!r}")
    if backend == "varlen" and not varlen_supported(q):
        raise InputError(
            f"backend 'varlen' needs float16 or bfloat16 tensors on CUDA, got {q.dtype} on {q.device.type}; "
            "use 'exact' or 'auto'"
        )
    if backend == "exact" or not varlen_supported(q):
        return _exact(q, k, v, segments, scale)
    return _varlen(q, k, v, segments, scale)


def varlen_supported(q: Tensor) -> bool:
    """True if torch's variable-length kernel takes tensors like ``q`` (CUDA, half precision, head width <= 256)."""
    return q.is_cuda and q.dtype in _HALF and q.shape[-1] <= 256 and q.shape[-1] % 8 == 0


def _exact(q: Tensor, k: Tensor, v: Tensor, segments: Segments, scale: float | None) -> Tensor:
    # split, not slicing: its backward is one concatenation instead of one zero-filled copy of the pack per segment
    sizes = [length * count for length, count in segments.runs]
    pieces = []
    for (length, count), *qkv in zip(segments.runs, q.split(sizes), k.split(sizes), v.split(sizes), strict=True):
        batch = [part.reshape(count, length, *part.shape[1:]).transpose(1, 2) for part in qkv]
        out = F.scaled_dot_product_attention(*batch, scale=scale)
        pieces.append(out.transpose(1, 2).reshape(count * length, *q.shape[1:]))
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _varlen(q: Tensor, k: Tensor, v: Tensor, segments: Segments, scale: float | None) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    bounds, longest = segments.tensor(q.device), max(segments.lengths)
    return varlen_attn(q, k, v, bounds, bounds, longest, longest, scale=scale)
