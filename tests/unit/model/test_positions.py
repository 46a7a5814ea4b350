"""The rotary frequencies are those that a scheme's name promises, and they travel with the model."""

import pytest
import torch

from oryx.errors import SettingsError
from oryx.model import OryxForConditionalGeneration
from oryx.model.positions import POSITIONS, set_positions
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
