"""A cache of keys and values with free room behind them: new ones are written there, the old ones stay where they are.

transformers' own concatenates for every new token. After a video of 1,600 frames each byte of an answer would copy the
whole video.
"""

from torch import Tensor
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer

ROOM = 64
"""Tokens kept free: more than a question and its answer."""


class RoomyLayer(DynamicLayer):
    """``DynamicLayer``, (B, heads, L, head_dim), growing in place. For inference: what was cropped is overwritten."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.room: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        """Write the new states (B, heads, new, head_dim) behind what is there; returns all of them."""
        seen = self.get_seq_length()
        total = seen + key_states.shape[-2]
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self.room is None or self.room[0].shape[-2] < total:
            shapes = [(*new.shape[:-2], total + ROOM, new.shape[-1]) for new in (key_states, value_states)]
            self.room = tuple(key_states.new_empty(shape) for shape in shapes)
            if seen:
                self.room[0][..., :seen, :], self.room[1][..., :seen, :] = self.keys, self.values
        for room, new in zip(self.room, (key_states, value_states), strict=True):
            room[..., seen:total, :] = new
        self.keys, self.values = (room[..., :total, :] for room in self.room)
        return self.keys, self.values


def roomy_cache(config: PreTrainedConfig) -> DynamicCache:
    """An empty cache for a language model; layers of other kinds (sliding windows) stay transformers' own."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
