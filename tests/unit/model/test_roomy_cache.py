"""A cache that grows in place holds what transformers' own holds, and moves nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import DynamicCache

from oryx.model.roomy_cache import ROOM, roomy_cache

from .builders import tiny_model

STEPS = st.lists(st.tuples(st.integers(1, ROOM), st.integers(0, 5)), min_size=1, max_size=6)


@given(STEPS)
def test_it_holds_what_the_own_cache_holds(steps):
    """Steps of so many new tokens, after which some are taken back."""
    config = tiny_model().language_model.config
    own, roomy = DynamicCache(config=config), roomy_cache(config)
    generator = torch.Generator().manual_seed(0)
    for new, back in steps:
        for layer in range(config.num_hidden_layers):
            keys, values = torch.randn(2, 2, 2, new, 8, generator=generator)
            for expected, found in zip(own.update(keys, values, layer), roomy.update(keys, values, layer), strict=True):
                assert torch.equal(expected, found)
        assert own.get_seq_length() == roomy.get_seq_length()
        if back := min(back, own.get_seq_length() - 1):
            own.crop(-back)
            roomy.crop(-back)


def test_what_is_there_is_not_moved():
    cache = roomy_cache(tiny_model().language_model.config)
    state = torch.randn(1, 2, 500, 8)
    cache.update(state, state, 0)
    before = cache.layers[0].keys.data_ptr()
    for _ in range(ROOM):
        cache.update(state[:, :, :1], state[:, :, :1], 0)
    assert cache.layers[0].keys.data_ptr() == before and cache.get_seq_length() == 500 + ROOM


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_a_model_says_the_same_with_it(kind):
    model = tiny_model(kind)
    ids = torch.randint(1, 70, (2, 9), generator=torch.Generator().manual_seed(0))
    said = []
    for cache in (DynamicCache(config=model.language_model.config), roomy_cache(model.language_model.config)):
        with torch.inference_mode():
            steps = [
                model.language_model(input_ids=part, past_key_values=cache, use_cache=True).logits
                for part in ids.split([5, 1, 3], 1)
            ]
        said.append(torch.cat(steps, 1))
    torch.testing.assert_close(*said, atol=1e-5, rtol=1e-5)
