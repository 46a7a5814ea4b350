"""Positional schemes of the language model: how fast rotary angles turn, and how many dimensions turn at all.

A retrieval over thousands of frames must find a token whatever its distance. Dimensions that do not turn see no
distance; dimensions that turn slowly see distances they were trained on even far beyond the training length. A trained
model is let read further than its positions by scaling them.
"""

import copy
from typing import Any

from torch import nn

from oryx.errors import SettingsError, check_known
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.rotary import without_memory
from oryx.processing.context import context_of

POSITIONS = {
    "full_1e4": {"rope_type": "default", "rope_theta": 1e4},
    "full_1e6": {"rope_type": "default", "rope_theta": 1e6},
    "half_1e6": {"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.5},
}
"""Name -> transformers' ``rope_parameters``. ``full_1e4``: what small language models use by default; ``full_1e6``: the
base of the released models' Qwen2; ``half_1e6``: the same base, the slower half of the dimensions not turned at all."""


def set_positions(model: OryxForConditionalGeneration, scheme: str) -> None:
    """Give the language model another positional scheme, in place; it is saved with the model.

    The weights stay as they are and must be trained on with it.

    Raises:
        SettingsError: an unknown scheme, or a language model without rotary positions.
    """
    check_known([scheme], POSITIONS, "positions")
    _set_rope(model, copy.deepcopy(POSITIONS[scheme]))


def extend_context(model: OryxForConditionalGeneration, least: int, scaling: str) -> OryxForConditionalGeneration:
    """Let the model read ``least`` tokens, its rotary positions scaled where they end; in place, saved with it.

    Raises as :func:`oryx.processing.context.context_of`; SettingsError for a language model without rotary positions.
    """
    context, text = context_of(model.config.to_dict(), least, scaling), model.config.text_config
    model.config.tokenizer_model_max_length = context.tokens
    if context.scaling != "none":
        scaled = {**(text.rope_parameters or {}), "rope_type": context.scaling, "factor": context.factor}
        if context.scaling == "yarn":  # dynamic scaling begins where max_position_embeddings ends
            scaled |= {"original_max_position_embeddings": text.max_position_embeddings}
            text.max_position_embeddings = model.language_model.config.max_position_embeddings = context.tokens
        _set_rope(model, scaled)
    return model


def _set_rope(model: OryxForConditionalGeneration, parameters: dict[str, Any]) -> None:
    decoder = model.language_model.get_decoder()
    rotary: nn.Module | None = getattr(decoder, "rotary_emb", None)
    if rotary is None:
        raise SettingsError(f"positions: {type(decoder).__name__} has no rotary positions to set")
    # one object or two, depending on how the model was built
    for config in (model.config.text_config, model.language_model.config, decoder.config):
        config.rope_parameters = parameters
    decoder.rotary_emb = type(rotary)(decoder.config).to(next(decoder.parameters()).device)
    without_memory(model.language_model)
