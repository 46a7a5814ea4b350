"""Attention over a packed sequence: every picture, every sample of text attends to itself only, whatever the sizes.

One function, three backends' worth of decisions:

``exact``
    plain scaled dot-product attention. Neighbouring segments of equal length go through one call without a mask;
    on a CPU this loop is also the fastest form there is (padding with masks costs 4 to 7 times more).
``varlen``
    ``torch.nn.attention.varlen`` on CUDA in half precision: one kernel for all segments.
``auto``
    ``varlen`` where its kernel exists for these tensors, else ``exact``.

Any causal language model of transformers takes packed batches too. transformers hands what it does not know of a
decoder's keyword arguments down to the attention function that the configuration names. :data:`PACKED` is such a
function: given the boundaries of the samples it attends inside each of them, given none it is transformers' own "sdpa".
A model gets the name once, when it is built, so nothing changes from call to call and threads may share it.
Configurations are saved without it.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from oryx.errors import InputError

BACKENDS = ("auto", "exact", "varlen")
CALLS: Counter[str] = Counter()
"""Kernel -> how often packed sequences went through it in this process; manifests of GPU runs say it."""
PACKED = "oryx_packed_sdpa"
_HALF = (torch.float16, torch.bfloat16)
_LEAST_CAPABILITY = (8, 0)  # Ampere: what the variable-length kernel needs


class Segments:
    """Boundaries of the segments of a packed sequence, with the forms the backends want computed once.

    Args:
        cu_seqlens: ``[0, n1, n1 + n2, ...]``, rising.

    Raises:
        InputError: the boundaries do not begin at 0 or do not rise.
    """

    def __init__(self, cu_seqlens: Sequence[int]):
        self.bounds = [int(bound) for bound in cu_seqlens]
        self.lengths = [end - start for start, end in pairwise(self.bounds)]
        if not self.lengths or self.bounds[0] != 0 or min(self.lengths) < 1:
            raise InputError(f"cu_seqlens: expected rising boundaries that begin at 0, got {self.bounds[:8]}")
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
    cu_seqlens: Sequence[int] | Segments,
    *,
    causal: bool = False,
    scale: float | None = None,
    backend: str = "auto",
) -> Tensor:
    """Attention inside every segment of a packed sequence: full, or causal.

    Args:
        q: (N, heads, head_dim), all segments one after the other.
        k, v: (N, key heads, head_dim); ``heads`` is a multiple of ``key heads``.
        cu_seqlens: segment boundaries ``[0, n1, n1 + n2, ..., N]``.
        causal: a token sees those before it in its segment, and itself.
        scale: factor of the logits; ``head_dim ** -0.5`` by default.
        backend: "auto", "exact" or "varlen".

    Returns:
        (N, heads, head_dim).

    Raises:
        InputError: boundaries that do not end at N, an unknown backend, or "varlen" for tensors it has no kernel for.
    """
    if torch.is_autocast_enabled(q.device.type):  # as scaled_dot_product_attention does; the kernel does not
        q, k, v = (part.to(torch.get_autocast_dtype(q.device.type)) for part in (q, k, v))
    segments = cu_seqlens if isinstance(cu_seqlens, Segments) else Segments(cu_seqlens)
    if segments.bounds[-1] != q.shape[0]:
        raise InputError(f"cu_seqlens ends at {segments.bounds[-1]}, expected the {q.shape[0]} packed tokens")
    if backend not in BACKENDS:
        raise InputError(f"backend: expected one of {BACKENDS}, got {backend!r}")
    if backend == "varlen" and not varlen_supported(q):
        raise InputError(
            f"backend 'varlen' needs float16 or bfloat16 tensors on CUDA of compute capability 8.0, got {q.dtype} on "
            f"{q.device.type}; use 'exact' or 'auto'"
        )
    kernel = _exact if backend == "exact" or not varlen_supported(q) else _varlen
    if not torch.compiler.is_compiling():
        CALLS[kernel.__name__.strip("_")] += 1
    return kernel(q, k, v, segments, causal, scale)


def varlen_supported(q: Tensor) -> bool:
    """True if torch's variable-length kernel takes tensors like ``q``.

    CUDA of compute capability 8.0 or more, half precision, and a head width of at most 256, a multiple of 8.
    """
    fits = q.is_cuda and q.dtype in _HALF and q.shape[-1] <= 256 and q.shape[-1] % 8 == 0
    return fits and torch.cuda.get_device_capability(q.device) >= _LEAST_CAPABILITY


def _exact(q: Tensor, k: Tensor, v: Tensor, segments: Segments, causal: bool, scale: float | None) -> Tensor:
    # runs of neighbours of one length go through one call
    runs = [(length, len(list(run))) for length, run in groupby(segments.lengths)]
    # split, not slicing: its backward is one concatenation instead of one zero-filled copy of the pack per segment
    parts = [part.split([length * count for length, count in runs]) for part in (q, k, v)]
    pieces = []
    for (_, count), *qkv in zip(runs, *parts, strict=True):
        batch = [part.unflatten(0, (count, -1)).transpose(1, 2) for part in qkv]
        out = F.scaled_dot_product_attention(*batch, is_causal=causal, scale=scale, enable_gqa=q.shape[1] != k.shape[1])
        pieces.append(out.transpose(1, 2).flatten(0, 1))
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _varlen(q: Tensor, k: Tensor, v: Tensor, segments: Segments, causal: bool, scale: float | None) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    groups = q.shape[1] // k.shape[1]
    if groups > 1:  # torch 2.11 has no grouped heads here
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    bounds, longest = segments.tensor(q.device), max(segments.lengths)
    window = (-1, 0) if causal else (-1, -1)
    return varlen_attn(q, k, v, bounds, bounds, longest, longest, scale=scale, window_size=window)


def packed_sdpa(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    segments: Segments | None = None,
    scaling: float | None = None,
    **kwargs,
) -> tuple[Tensor, None]:
    """transformers' attention function of the name :data:`PACKED`.

    Args:
        query, key, value: (B, heads, L, head_dim); B is 1 for a packed batch, keys may have fewer heads.
        segments: the samples of a packed batch; their mask is not read.

    Returns:
        (B, L, heads, head_dim), and no weights.
    """
    if segments is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    q, k, v = (part[0].transpose(0, 1) for part in (query, key, value))
    return packed_attention(q, k, v, segments, causal=True, scale=scaling)[None], None


AttentionInterface.register(PACKED, packed_sdpa)
AttentionMaskInterface.register(PACKED, sdpa_mask)


def allow_packing(language_model: PreTrainedModel) -> None:
    """Let a language model that computes with "sdpa" take packed batches too."""
    if language_model.config._attn_implementation == "sdpa" and language_model._supports_attention_backend:
        language_model.set_attn_implementation(PACKED)


def can_pack(language_model: nn.Module) -> bool:
    """Whether a language model takes packed batches: "sdpa", full causal attention in every layer, no dropout in it."""
    config = language_model.config
    full = set(getattr(config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
    no_window = getattr(config, "sliding_window", None) is None
    no_dropout = not (language_model.training and getattr(config, "attention_dropout", 0.0))
    return config._attn_implementation == PACKED and full and no_window and no_dropout
