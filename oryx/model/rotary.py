"""Rotary angles under dynamic scaling: they depend on the length of what is read, not on what was read before."""

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS


class DynamicAngles(nn.Module):
    """What transformers' own module computes for the first sequence that it sees.

    Its own keeps the angles of the longest sequence for those that come after, so that an answer would rest on what was
    asked before, and on what other threads ask.
    """

    rope_type = "dynamic"

    def __init__(self, config: PretrainedConfig):
        super().__init__()
        self.config = config

    @torch.no_grad()
    def forward(self, x: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines (B, L, width of a head) for positions (B, L), in the type of ``x``."""
        length = int(position_ids.max()) + 1
        turns, scale = ROPE_INIT_FUNCTIONS["dynamic"](self.config, x.device, seq_len=length)
        angles = position_ids[..., None].float() * turns
        angles = torch.cat([angles, angles], -1)
        return (angles.cos() * scale).to(x.dtype), (angles.sin() * scale).to(x.dtype)


def without_memory(language_model: nn.Module) -> nn.Module:
    """The language model itself, its dynamic angles, if it has such, replaced by :class:`DynamicAngles`."""
    decoder = language_model.get_decoder()
    if getattr(getattr(decoder, "rotary_emb", None), "rope_type", "") == "dynamic":
        decoder.rotary_emb = DynamicAngles(decoder.config)
    return language_model
