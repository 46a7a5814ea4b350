"""The last layer computed only where it is read gives what transformers' whole forward gives there."""

import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from transformers import DynamicCache, StaticCache

from oryx.model.last_layer import last_layer_from

from .builders import tiny_model

KINDS = ("qwen2", "llama")
CLOSE = {"atol": 2e-5, "rtol": 2e-5}


def embeddings(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, length, 32, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_cache_holds_all_positions(kind):
    model, embeds = tiny_model(kind), embeddings(2, 9)
    caches = [DynamicCache(config=model.language_model.config) for _ in range(2)]
    with torch.no_grad():
        last = model(inputs_embeds=embeds, past_key_values=caches[0], use_cache=True, logits_to_keep=1).logits
        whole = model.language_model(inputs_embeds=embeds, past_key_values=caches[1], use_cache=True).logits
        assert last.shape == (2, 1, 70)
        torch.testing.assert_close(last, whole[:, -1:], **CLOSE)
        more = embeddings(2, 4, seed=1)
        late, later = (model.language_model(inputs_embeds=more, past_key_values=c, use_cache=True) for c in caches)
        torch.testing.assert_close(late.logits, later.logits, **CLOSE)
        last = model(inputs_embeds=more, past_key_values=caches[0], use_cache=True, logits_to_keep=2).logits
        whole = model.language_model(inputs_embeds=more, past_key_values=caches[1], use_cache=True).logits
        torch.testing.assert_close(last, whole[:, -2:], **CLOSE)


def test_a_static_cache_is_read_as_far_as_it_is_filled():
    model, embeds, config = tiny_model(), embeddings(1, 9), tiny_model().language_model.config
    with torch.no_grad():
        cache = StaticCache(config=config, max_cache_len=20)
        last = model(inputs_embeds=embeds, past_key_values=cache, use_cache=True, logits_to_keep=2).logits
        whole = model.language_model(inputs_embeds=embeds).logits
    torch.testing.assert_close(last, whole[:, -2:], **CLOSE)


@pytest.mark.parametrize("side", ["left", "right"])
def test_masks_are_kept(side):
    model, embeds, mask = tiny_model(), embeddings(2, 7), torch.ones(2, 7, dtype=torch.long)
    mask[0, slice(0, 3) if side == "left" else slice(5, 7)] = 0
    with torch.no_grad():
        late = model(inputs_embeds=embeds, attention_mask=mask, logits_to_keep=3).logits
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        whole = model.language_model(inputs_embeds=embeds, attention_mask=mask, position_ids=positions).logits
    real = mask[:, -3:].bool()
    torch.testing.assert_close(late[real], whole[:, -3:][real], **CLOSE)


@pytest.mark.parametrize("reason", ["eager attention", "dropout", "a hook on the layer"])
def test_what_it_does_not_know_is_left_whole(reason):
    model, embeds = tiny_model(), embeddings(1, 6)
    with torch.no_grad():
        whole = model.language_model(inputs_embeds=embeds).logits
        if reason == "dropout":
            model.language_model.model.layers[-1].self_attn.attention_dropout = 0.1
        elif reason == "a hook on the layer":  # what accelerate puts on layers that lie on several devices
            add_hook_to_module(layer := model.language_model.model.layers[-1], ModelHook())
            hooked = layer.forward
        else:
            model.language_model.set_attn_implementation("eager")
        with last_layer_from(model.language_model, 4) as start:
            assert start == 0
            torch.testing.assert_close(model.language_model(inputs_embeds=embeds).logits, whole, **CLOSE)
        assert reason != "a hook on the layer" or layer.forward is hooked


def test_all_hidden_states_are_whole_when_asked_for():
    out = tiny_model()(inputs_embeds=embeddings(1, 5), logits_to_keep=1, output_hidden_states=True)
    assert {hidden.shape[1] for hidden in out.hidden_states} == {5}


def test_the_layer_is_itself_again_afterwards():
    model = tiny_model()
    layer = model.language_model.model.layers[-1]
    with pytest.raises(RuntimeError, match="stop"), last_layer_from(model.language_model, 2) as start:
        assert start == 2
        assert "forward" in vars(layer)
        raise RuntimeError("stop")
    assert "forward" not in vars(layer)
