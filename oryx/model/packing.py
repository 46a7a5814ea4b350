"""A packed batch for any causal language model of transformers: samples one after the other, none padded.

transformers hands what it does not know of a decoder's keyword arguments down to the attention function that the
configuration names. :data:`PACKED` is such a function: given the boundaries of the samples it attends inside each of
them (:func:`oryx.model.attention.packed_attention`), given none it is transformers' own "sdpa". A model gets the name
once, when it is built, so nothing changes from call to call and threads may share it. Configurations are saved without
it.
"""

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from oryx.model.attention import Segments, packed_attention

PACKED = "oryx_packed_sdpa"


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
    """Whether :func:`packed_logits` can be used: "sdpa", full causal attention in every layer, no dropout in it."""
    config = language_model.config
    full = set(getattr(config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
    no_window = getattr(config, "sliding_window", None) is None
    no_dropout = not (language_model.training and getattr(config, "attention_dropout", 0.0))
    return config._attn_implementation == PACKED and full and no_window and no_dropout


def packed_logits(language_model: nn.Module, embeds: Tensor, samples: Segments, read: Tensor) -> Tensor:
    """Logits (R, vocabulary) of the tokens ``read`` (R,) of a packed batch ``embeds`` (N, width).

    Every sample has positions from 0 and sees itself alone.
    """
    device = embeds.device
    positions = torch.cat([torch.arange(length, device=device) for length in samples.lengths])
    # A mask of four dimensions is taken for a finished one; PACKED does not read it.
    finished = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)
    return language_model(
        inputs_embeds=embeds[None],
        attention_mask=finished,
        position_ids=positions[None],
        use_cache=False,
        logits_to_keep=read,
        segments=samples,
    ).logits[0]
