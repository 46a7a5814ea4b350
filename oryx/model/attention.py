"""Attention over a packed sequence: every picture, every sample of text attends to itself only, whatever the sizes.

One function, three backends' worth of decisions:

``exact``
    plain scaled dot-product attention. Neighbouring segments of equal length go through one call without a mask;
    on a CPU this loop is also the fastest form there is (padding with masks costs 4 to 7 times more).
``varlen``
    ``torch.nn.attention.varlen`` on CUDA in half precision: one kernel for all segments.
``auto``
    ``varlen`` where its kernel exists for these tensors, else ``exact``.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from inspect import signature
from itertools import groupby, pairwise
from operator import gt

import torch
import torch.nn.functional as F
from torch import Tensor

from oryx.errors import InputError

BACKENDS = ("auto", "exact", "varlen")
_HALF = (torch.float16, torch.bfloat16)
_LEAST_CAPABILITY = (8, 0)  # Ampere: what the variable-length kernel needs


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
    cu_keys: Sequence[int] | Tensor | Segments | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
    backend: str = "auto",
) -> Tensor:
    """Attention inside every segment of a packed sequence: full, or causal.

    Args:
        q: (N, heads, head_dim), all segments one after the other.
        k, v: the same, or (M, key heads, head_dim) if keys have segments of their own; ``heads`` is a multiple of
            ``key heads``.
        cu_seqlens: segment boundaries ``[0, n1, n1 + n2, ..., N]``.
        cu_keys: those of the keys, if they are others: as many segments, each at least as long as its queries.
        causal: a query sees the keys up to its own place; the last query of a segment stands at its last key.
        scale: factor of the logits; ``head_dim ** -0.5`` by default.
        backend: "auto", "exact" or "varlen".

    Returns:
        (N, heads, head_dim).

    Raises:
        InputError: boundaries that do not end at N or M, another number of segments of keys than of queries or fewer
            keys than queries in one, an unknown backend, or "varlen" for tensors it has no kernel for.
    """
    if torch.is_autocast_enabled(q.device.type):  # as scaled_dot_product_attention does; the kernel does not
        q, k, v = (part.to(torch.get_autocast_dtype(q.device.type)) for part in (q, k, v))
    queries = _segments(cu_seqlens, "cu_seqlens", q)
    keys = queries if cu_keys is None else _segments(cu_keys, "cu_keys", k)
    if len(queries.lengths) != len(keys.lengths) or any(map(gt, queries.lengths, keys.lengths)):
        raise InputError(
            f"cu_keys: expected {len(queries.lengths)} segments at least as long as those of the queries, "
            f"got lengths {keys.lengths[:8]} for {queries.lengths[:8]}"
        )
    if backend not in BACKENDS:
        raise InputError(f"backend: expected one of {BACKENDS}, got {backend!r}")
    if backend == "varlen" and not varlen_supported(q):
        raise InputError(
            f"backend 'varlen' needs float16 or bfloat16 tensors on CUDA of compute capability 8.0, got {q.dtype} on "
            f"{q.device.type}; use 'exact' or 'auto'"
        )
    if backend == "exact" or not varlen_supported(q):
        return _exact(q, k, v, queries, keys, causal, scale)
    return _varlen(q, k, v, queries, keys, causal, scale)


def _segments(bounds: Sequence[int] | Tensor | Segments, name: str, packed: Tensor) -> Segments:
    segments = bounds if isinstance(bounds, Segments) else Segments(bounds)
    if segments.bounds[-1] != packed.shape[0]:
        raise InputError(f"{name} ends at {segments.bounds[-1]}, expected the {packed.shape[0]} packed tokens")
    return segments


def varlen_supported(q: Tensor) -> bool:
    """True if torch's variable-length kernel takes tensors like ``q``.

    CUDA of compute capability 8.0 or more, half precision, and a head width of at most 256, a multiple of 8.
    """
    fits = q.is_cuda and q.dtype in _HALF and q.shape[-1] <= 256 and q.shape[-1] % 8 == 0
    return fits and torch.cuda.get_device_capability(q.device) >= _LEAST_CAPABILITY


def _exact(q: Tensor, k: Tensor, v: Tensor, queries: Segments, keys: Segments, causal: bool, scale) -> Tensor:
    # runs of neighbours with one length of queries and one of keys go through one call
    runs = [(*one, len(list(group))) for one, group in groupby(zip(queries.lengths, keys.lengths, strict=True))]
    # split, not slicing: its backward is one concatenation instead of one zero-filled copy of the pack per segment
    asked = q.split([own * count for own, _, count in runs])
    seen = [part.split([length * count for _, length, count in runs]) for part in (k, v)]
    pieces = []
    for (own, length, count), *qkv in zip(runs, asked, *seen, strict=True):
        batch = [part.unflatten(0, (count, -1)).transpose(1, 2) for part in qkv]
        mask = None
        if causal and 1 < own < length:
            mask = torch.ones(own, length, dtype=torch.bool, device=q.device).tril(length - own)
        out = F.scaled_dot_product_attention(
            *batch, attn_mask=mask, is_causal=causal and own == length, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
        )
        pieces.append(out.transpose(1, 2).flatten(0, 1))
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _varlen(q: Tensor, k: Tensor, v: Tensor, queries: Segments, keys: Segments, causal: bool, scale) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    bounds = queries.tensor(q.device), keys.tensor(q.device)
    longest = max(queries.lengths), max(keys.lengths)
    more: dict = {"window_size": (-1, 0)} if causal else {}
    if q.shape[1] != k.shape[1] and "enable_gqa" in _arguments(varlen_attn):
        more["enable_gqa"] = True
    elif q.shape[1] != k.shape[1]:  # torch 2.11 has no grouped heads here
        groups = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    return varlen_attn(q, k, v, *bounds, *longest, scale=scale, **more)


@lru_cache
def _arguments(kernel: Callable) -> frozenset[str]:
    return frozenset(signature(kernel).parameters)
