"""The last layer of a language model, computed only where its output is read.

A question about a long video reads the output of the last few of thousands of positions. The last layer needs the keys
and values of all of them, but queries, attention and MLP of those few alone: a model of two layers saves nearly half of
its work, one of twenty-eight a thirtieth. What is read is the same but for the rounding of sums
(``tests/unit/model/test_last_layer.py``).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaDecoderLayer
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer, apply_rotary_pos_emb, repeat_kv

KNOWN = (Qwen2DecoderLayer, LlamaDecoderLayer)
"""The layers of the released models' language models: attention with rotary positions, then an MLP, both pre-norm."""


@contextmanager
def last_layer_from(language_model: PreTrainedModel, first: int) -> Iterator[int]:
    """Within this context the output of the language model begins at position ``first`` of its input.

    Of L positions it gives hidden states or logits (B, L - first, width); a cache is filled with all L. Gives the
    position at which the output really begins: 0, all of it, for language models that are not among KNOWN, other
    attention than "sdpa", dropout, torch.compile, and gradient checkpointing (which calls a layer again after the
    context has ended).
    """
    layers = getattr(language_model.get_decoder(), "layers", None)
    if first < 1 or torch.compiler.is_compiling() or not layers or not is_known(layers[-1]):
        yield 0
        return
    layer = layers[-1]
    layer.forward = lambda hidden_states, **inputs: _from(layer, first, hidden_states, **inputs)
    try:
        yield first
    finally:
        del layer.forward


def is_known(layer: nn.Module) -> bool:
    """Whether ``layer`` is one of KNOWN with plain causal attention by "sdpa", and its forward is its own."""
    return (
        isinstance(layer, KNOWN)
        and "forward" not in vars(layer)  # accelerate's hooks between devices put their own there
        and layer.self_attn.config._attn_implementation == "sdpa"
        and getattr(layer.self_attn, "sliding_window", None) is None
        and not layer.self_attn.attention_dropout
        and not (layer.gradient_checkpointing and layer.training)
    )


def _from(
    layer: nn.Module,
    first: int,
    hidden_states: Tensor,
    attention_mask: Tensor | None = None,
    position_embeddings: tuple[Tensor, Tensor] | None = None,
    past_key_values=None,
    **unused,
) -> Tensor:
    """What the layer's own forward gives, from position ``first`` on."""
    attention, (cos, sin) = layer.self_attn, position_embeddings
    seen = layer.input_layernorm(hidden_states)
    asking = seen[:, first:]

    def heads(projected: Tensor) -> Tensor:
        return projected.unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)

    q, k, v = (heads(p) for p in (attention.q_proj(asking), attention.k_proj(seen), attention.v_proj(seen)))
    q, _ = apply_rotary_pos_emb(q, q[:, :0], cos[:, first:], sin[:, first:])
    k, _ = apply_rotary_pos_emb(k, k[:, :0], cos, sin)
    if past_key_values is not None:
        k, v = past_key_values.update(k, v, attention.layer_idx)
        if attention_mask is None:  # a static cache has room behind what it was given
            k, v = (part[:, :, : int(past_key_values.get_seq_length(attention.layer_idx))] for part in (k, v))
    k, v = (repeat_kv(part, attention.num_key_value_groups) for part in (k, v))
    if attention_mask is None:  # causal, the last position sees all
        queries, keys = q.shape[2], k.shape[2]
        attention_mask = torch.ones(queries, keys, dtype=torch.bool, device=q.device).tril(keys - queries)
    else:
        attention_mask = attention_mask[..., first:, :]
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask, scale=attention.scaling)
    hidden = hidden_states[:, first:] + attention.o_proj(out.transpose(1, 2).flatten(2))
    return hidden + layer.mlp(layer.post_attention_layernorm(hidden))
