import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from oryx.model import Layout, OryxForConditionalGeneration

from .builders import MARK, pictures, tiny_config, tiny_model, visual_inputs

GREEDY = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}


def example() -> tuple[torch.Tensor, torch.Tensor, dict]:
    """A batch of different lengths: an image; a longer text with a video."""
    images = pictures([(24, 16), (32, 24), (32, 24)])
    ids = torch.tensor([[1, MARK, 2, 0, 0], [5, 6, MARK, 7, 8]])
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    return ids, mask, visual_inputs([(Layout.ONE_VIEW, images[:1], 1), (Layout.VIDEO, images[1:], 2)])


def greedy_by_hand(model, ids, inputs, steps):
    for _ in range(steps):
        with torch.no_grad():
            new = model(input_ids=ids, **inputs).logits[:, -1].argmax(-1)
        ids = torch.cat([ids, new[:, None]], 1)
    return ids[:, -steps:]


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_greedy_with_and_without_cache_and_in_a_batch(kind):
    model = tiny_model(kind)
    ids, mask, inputs = example()
    with_cache = model.generate(ids, mask, **inputs, **GREEDY)
    without = model.generate(ids, mask, **inputs, **GREEDY, use_cache=False)
    images = pictures([(24, 16), (32, 24), (32, 24)])
    assert torch.equal(with_cache[:, :5], ids)
    first = greedy_by_hand(model, ids[:1, :3], visual_inputs([(Layout.ONE_VIEW, images[:1], 1)]), 6)
    second = greedy_by_hand(model, ids[1:], visual_inputs([(Layout.VIDEO, images[1:], 2)]), 6)
    new = torch.cat([first, second]).tolist()
    assert with_cache[:, 5:].tolist() == without[:, 5:].tolist() == new


def test_stopping():
    model = tiny_model()
    ids, mask, inputs = example()
    tokens = model.generate(ids, mask, **inputs, **GREEDY)[:, ids.shape[1] :]
    stop = int(tokens[0, 2])
    stopped = model.generate(ids, mask, **inputs, **GREEDY, eos_token_id=stop)[:, ids.shape[1] :]
    end = tokens[0].tolist().index(stop)
    assert stopped[0, : end + 1].tolist() == tokens[0, : end + 1].tolist() and not stopped[0, end + 1 :].any()


def test_text_alone_and_beams():
    model = tiny_model()
    ids = torch.tensor([[3, 4, 5]])
    assert model.generate(ids, **GREEDY)[:, 3:].tolist() == greedy_by_hand(model, ids, {}, 6).tolist()
    cached, uncached = (model.generate(ids, **GREEDY, num_beams=3, use_cache=cache) for cache in (True, False))
    assert cached.tolist() == uncached.tolist()


def test_sequences_begin_with_their_prompts_whatever_is_asked_for():
    model = tiny_model()
    ids, mask, inputs = example()
    for more in ({"num_beams": 3, "num_return_sequences": 2}, {"do_sample": True, "num_return_sequences": 2}):
        options = {**GREEDY, **more}
        plain = model.generate(ids, mask, **inputs, **options)
        assert plain.shape == (4, 5 + 6) and torch.equal(plain[:, :5], ids[[0, 0, 1, 1]])
    options = {**GREEDY, "return_dict_in_generate": True, "output_logits": True}
    out = model.generate(ids, mask, **inputs, **options)
    assert torch.equal(out.sequences, model.generate(ids, mask, **inputs, **GREEDY))
    scores = model.compute_transition_scores(out.sequences, out.logits, normalize_logits=True)
    by_hand = torch.stack(out.logits, 1).log_softmax(-1).gather(2, out.sequences[:, 5:, None])[..., 0]
    assert torch.allclose(scores, by_hand)


def test_repetition_penalty_spares_the_prompt():
    """The prompt enters as embeddings, so a penalty acts on generated tokens only."""
    model = tiny_model()
    once = {**GREEDY, "max_new_tokens": 1}
    prompts = [torch.randperm(70, generator=torch.Generator().manual_seed(seed))[None, :35] for seed in range(20)]
    repeating = [prompt for prompt in prompts if model.generate(prompt, **once)[0, -1] in prompt]
    assert repeating, "the check needs a prompt that is followed by one of its own tokens"
    for prompt in repeating:
        assert (
            model.generate(prompt, **once, repetition_penalty=1e6).tolist() == model.generate(prompt, **once).tolist()
        )
    ids = torch.tensor([[3, 4, 5]])
    tokens = model.generate(ids, **GREEDY, repetition_penalty=1e6)[0, 3:].tolist()
    assert len(set(tokens)) == len(tokens)


@pytest.mark.parametrize(("kind", "tied"), [("qwen2", False), ("qwen2", True), ("llama", False)])
@pytest.mark.parametrize("shard", ["5GB", "20KB"])
def test_save_and_load(tmp_path, kind, tied, shard):
    model = tiny_model(kind, text={"tie_word_embeddings": tied})
    model.save_pretrained(tmp_path, max_shard_size=shard)
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == (shard == "20KB")
    ids, mask, inputs = example()
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask, **inputs).logits
    for auto in (OryxForConditionalGeneration, AutoModelForImageTextToText, AutoModelForCausalLM):
        loaded = auto.from_pretrained(tmp_path).eval()
        assert type(loaded) is OryxForConditionalGeneration
        with torch.no_grad():
            assert torch.equal(loaded(input_ids=ids, attention_mask=mask, **inputs).logits, expected)
        text = loaded.language_model
        assert (text.lm_head.weight is text.model.embed_tokens.weight) == tied


def test_bfloat16_drift_is_bounded(tmp_path):
    """Relative to float32 the logits of the tiny model move by about 0.008; 0.03 is the bound."""
    model = tiny_model()
    ids, mask, inputs = example()
    with torch.no_grad():
        exact = model(input_ids=ids, attention_mask=mask, **inputs).logits
    model.save_pretrained(tmp_path)
    half = OryxForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.bfloat16)
    with torch.no_grad():
        logits = half(input_ids=ids, attention_mask=mask, **inputs).logits
    assert logits.dtype == torch.bfloat16
    with torch.no_grad():
        real = model.expand(ids, mask, **inputs).attention_mask.bool()
    assert 0 < (logits.float() - exact)[real].norm() / exact[real].norm() < 0.03


def test_own_initialisation_survives():
    torch.manual_seed(0)
    model = OryxForConditionalGeneration(tiny_config(text={"hidden_size": 400}))
    assert 0.8 < model.projector.image_begin.std() * 400**0.5 < 1.2
    # torch's default for a linear layer is uniform within 1 / sqrt(inputs)
    assert 0.9 < model.projector.proj[2].weight.abs().max() * 400**0.5 <= 1
    assert 0.018 < model.vision_tower.pos_embed.std() < 0.022
