"""The rotary frequencies are those that a scheme's name promises, and they travel with the model."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from oryx.errors import SettingsError
from oryx.model import OryxForConditionalGeneration
from oryx.model.positions import POSITIONS, extend_context, set_positions
from tests.unit.model.builders import tiny_model


def frequencies(base: float, turned: float, size: int) -> torch.Tensor:
    """From the definition: base^(-2i/size) for the first ``turned`` share of the pairs, 0 for the others."""
    pairs = size // 2
    return torch.tensor([base ** (-2 * i / size) if i < turned * pairs else 0.0 for i in range(pairs)])


@pytest.mark.parametrize(
    ("scheme", "base", "turned"), [("full_1e4", 1e4, 1), ("full_1e6", 1e6, 1), ("half_1e6", 1e6, 0.5)]
)
def test_the_frequencies_are_those_meant_and_are_saved(tmp_path, scheme, base, turned):
    model = tiny_model()
    set_positions(model, scheme)
    config = model.config.text_config
    expected = frequencies(base, turned, config.hidden_size // config.num_attention_heads)
    torch.testing.assert_close(model.language_model.model.rotary_emb.inv_freq, expected)
    model.save_pretrained(tmp_path)
    loaded = OryxForConditionalGeneration.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded.language_model.model.rotary_emb.inv_freq, expected)
    ids = torch.tensor([[1, 2, 3, 4, 5]])
    with torch.no_grad():
        assert torch.equal(loaded.eval()(input_ids=ids).logits, model(input_ids=ids).logits)


def test_schemes_differ_in_what_they_answer_and_only_by_positions():
    ids, answers = torch.arange(1, 40)[None], {}
    for scheme in POSITIONS:
        model = tiny_model()
        set_positions(model, scheme)
        with torch.no_grad():
            answers[scheme] = model(input_ids=ids).logits[0]
    for scheme in ("full_1e6", "half_1e6"):
        assert torch.allclose(answers[scheme][0], answers["full_1e4"][0], atol=1e-5), "the first token has no distance"
        assert not torch.allclose(answers[scheme][-1], answers["full_1e4"][-1], atol=1e-3)


def test_unknown_schemes_are_refused():
    with pytest.raises(SettingsError, match=r"unknown positions 'none'; known: full_1e4"):
        set_positions(tiny_model(), "none")


def logits(model, length: int) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=(torch.arange(length) % 69 + 1)[None]).logits[0]


def test_yarn_scales_every_length_and_is_saved(tmp_path):
    model, plain = (tiny_model(text={"max_position_embeddings": 64}) for _ in range(2))
    extend_context(model, 256, "yarn")
    text, rotary = model.config.text_config, model.language_model.model.rotary_emb
    assert (model.config.tokenizer_model_max_length, text.max_position_embeddings) == (256, 256)
    assert text.rope_parameters["original_max_position_embeddings"] == 64 and text.rope_parameters["factor"] == 4.0
    expected, strength = ROPE_INIT_FUNCTIONS["yarn"](text)
    assert torch.equal(rotary.inv_freq, expected) and rotary.attention_scaling == strength > 1
    assert not torch.allclose(logits(model, 40), logits(plain, 40), atol=1e-3)
    model.save_pretrained(tmp_path)
    assert torch.equal(logits(OryxForConditionalGeneration.from_pretrained(tmp_path).eval(), 90), logits(model, 90))


def test_dynamic_scaling_leaves_what_fits_the_positions_as_it_is():
    model, plain = (tiny_model(text={"max_position_embeddings": 64}) for _ in range(2))
    extend_context(model, 256, "dynamic")
    assert model.config.tokenizer_model_max_length == 256
    assert torch.equal(logits(model, 64), logits(plain, 64))
    assert not torch.allclose(logits(model, 120), logits(plain, 120), atol=1e-3)


def test_a_reading_does_not_rest_on_longer_ones_before():
    model, fresh = (tiny_model(text={"max_position_embeddings": 64}) for _ in range(2))
    for one in (model, fresh):
        extend_context(one, 256, "dynamic")
    expected = logits(fresh, 100)
    longer = logits(model, 200)
    assert torch.equal(logits(model, 100), expected)
    kept = type(tiny_model().language_model.get_decoder().rotary_emb)(model.language_model.config)
    with torch.no_grad():  # transformers' own module, which keeps the longer one's angles
        model.language_model.get_decoder().rotary_emb = kept
        torch.testing.assert_close(logits(model, 100), expected)
        torch.testing.assert_close(logits(model, 200), longer)
        assert not torch.allclose(logits(model, 100), expected, atol=1e-4)


def test_a_saved_model_reads_as_before_and_threads_do_not_change_each_others_angles(tmp_path):
    model = extend_context(tiny_model(text={"max_position_embeddings": 64}), 256, "dynamic")
    lengths = [40, 100, 200, 70, 150, 60, 240] * 3
    expected = [logits(model, length) for length in lengths]
    with ThreadPoolExecutor(7) as threads:
        found = list(threads.map(lambda length: logits(model, length), lengths))
    assert all(map(torch.equal, found, expected))
    model.save_pretrained(tmp_path)
    again = OryxForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert all(torch.equal(logits(again, length), one) for length, one in zip(lengths, expected, strict=True))


def test_a_context_within_the_positions_changes_the_limit_alone():
    model = tiny_model(tokenizer_model_max_length=50)
    before = dict(model.config.text_config.rope_parameters)
    extend_context(model, 100, "yarn")
    assert model.config.tokenizer_model_max_length == 100 and model.config.text_config.rope_parameters == before
