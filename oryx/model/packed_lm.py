"""A language model over a packed batch: samples of any lengths one after the other, as pictures are in the tower.

A batch padded to its longest sample, or read as plain tokens by transformers, costs the work of the padding; here there
is none, and of the last layer only what is read is computed (:mod:`oryx.model.last_layer` says what that saves).
Outputs and gradients are those of transformers' own forward on the padded batch but for the rounding of sums
(``tests/unit/model/test_packed_lm.py``).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from oryx.errors import InputError
from oryx.grids import cumulative_lengths
from oryx.model.attention import Segments, packed_attention
from oryx.model.fused import rms_norm, rotate
from oryx.model.last_layer import is_known


def can_pack(language_model: PreTrainedModel) -> bool:
    """Whether :func:`packed_outputs` knows every layer; if not, pad."""
    layers = getattr(language_model.get_decoder(), "layers", None)
    return bool(layers) and not torch.compiler.is_compiling() and all(map(is_known, layers))


def packed_outputs(
    language_model: PreTrainedModel, embeds: Tensor, lengths: Sequence[int], tails: Sequence[int]
) -> Tensor:
    """The normed output of the last ``tails[i]`` tokens of every sample i, one sample after the other, (T, width).

    Args:
        embeds: (N, width), the samples one after the other; each has positions from 0 and sees itself alone.
        lengths: tokens of each sample, N in total.
        tails: how many of its last tokens are read, 1 to its length.

    Raises:
        InputError: lengths that do not add up to N, or a tail that is longer than its sample.
    """
    decoder, device = language_model.get_decoder(), embeds.device
    samples = Segments(cumulative_lengths(lengths))
    if samples.bounds[-1] != len(embeds):
        raise InputError(f"lengths: expected {len(embeds)} tokens in total, as embeds has, got {samples.bounds[-1]}")
    places = torch.cat([torch.arange(length, device=device) for length in lengths])
    cos, sin = (angles[0].chunk(2, -1)[0] for angles in decoder.rotary_emb(embeds[None], places[None]))
    hidden = embeds
    for layer in decoder.layers[:-1]:
        hidden = _through(layer, hidden, cos, sin, samples)
    read = torch.cat(
        [torch.arange(end - tail, end, device=device) for end, tail in zip(samples.bounds[1:], tails, strict=True)]
    )
    hidden = _through(decoder.layers[-1], hidden, cos, sin, samples, read, Segments(cumulative_lengths(tails)))
    return rms_norm(decoder.norm, hidden)


def _through(layer: nn.Module, hidden: Tensor, *inputs) -> Tensor:
    """:func:`_layer` by way of the layer's own call, so that hooks on it (of FSDP, say) run as they would."""
    layer.forward = lambda hidden: _layer(layer, hidden, *inputs)
    try:
        return layer(hidden)
    finally:
        del layer.forward


def _layer(
    layer: nn.Module,
    hidden: Tensor,
    cos: Tensor,
    sin: Tensor,
    samples: Segments,
    read: Tensor | None = None,
    tails: Segments | None = None,
) -> Tensor:
    """A decoder layer over packed samples, (N, width); with ``read`` of these tokens only, segmented by ``tails``."""
    attention = layer.self_attn

    def heads(projected: Tensor) -> Tensor:
        return projected.unflatten(-1, (-1, attention.head_dim))

    seen = rms_norm(layer.input_layernorm, hidden)
    k, v = rotate(heads(attention.k_proj(seen)), cos, sin), heads(attention.v_proj(seen))
    if read is not None:
        hidden, seen, cos, sin = (part.index_select(0, read) for part in (hidden, seen, cos, sin))
    q = rotate(heads(attention.q_proj(seen)), cos, sin)
    out = packed_attention(q, k, v, tails or samples, samples, causal=True, scale=attention.scaling)
    hidden = hidden + attention.o_proj(out.flatten(1))
    return hidden + layer.mlp(rms_norm(layer.post_attention_layernorm, hidden))
