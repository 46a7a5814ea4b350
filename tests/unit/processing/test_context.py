"""How many frames fit into the released contexts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oryx.errors import CheckpointError, InputError, SettingsError
from oryx.grids import video_token_count
from oryx.processing.context import (
    PROMPT_TOKENS,
    Context,
    check_fits,
    context_of,
    frames_that_fit,
)

LIMIT, POSITIONS = "tokenizer_model_max_length", "max_position_embeddings"
SOME = st.integers(1, 300_000)


@pytest.mark.parametrize("grid", [(1, 1), (4, 4), (3, 5)])
@pytest.mark.parametrize("context", [100, 8192, 32768])
def test_as_many_frames_fit_as_are_said_and_no_more(context, grid):
    most = frames_that_fit(context, grid)
    assert most == 0 or video_token_count(most, grid) + PROMPT_TOKENS <= context
    assert video_token_count(most + 1, grid) + PROMPT_TOKENS > context


def test_too_many_frames_are_refused_with_the_number_that_fits():
    check_fits(1554, 32768, (4, 4))
    with pytest.raises(InputError, match=r"1600 frames of 4 x 4 tokens need 33730 tokens.* that is 1554 frames"):
        check_fits(1600, 32768, (4, 4))


@given(frames=st.integers(1, 5000), context=SOME, grid=st.tuples(st.integers(1, 12), st.integers(1, 12)))
def test_what_truly_overflows_is_refused_and_nothing_else(frames, context, grid):
    needed = video_token_count(frames, grid) + PROMPT_TOKENS
    if needed <= context:
        return check_fits(frames, context, grid)
    with pytest.raises(InputError, match=rf"need {needed} tokens .* or a context of {needed} tokens$"):
        check_fits(frames, context, grid)
    check_fits(frames, needed, grid)  # what the message names does fit


@given(limit=st.none() | SOME, positions=st.none() | SOME, least=st.none() | SOME, nested=st.booleans())
def test_a_context_holds_what_was_asked_for_and_is_scaled_beyond_the_positions_alone(limit, positions, least, nested):
    text = {POSITIONS: positions}
    config = {LIMIT: limit, **({"text_config": text} if nested else text)}
    if limit is None and positions is None:
        with pytest.raises(CheckpointError, match=f"expected {LIMIT} or {POSITIONS}"):
            context_of(config, least)
        return
    found, own = context_of(config, least), limit or positions
    assert found.tokens == max(own, least or 0)
    scaled = found.tokens > own and found.tokens > (positions or own)
    assert (found.scaling, found.factor > 1) == (("yarn", True) if scaled else ("none", False))
    if scaled:
        assert found.factor * (positions or own) == pytest.approx(found.tokens)


def test_the_released_contexts_in_words():
    oryx_7b = {LIMIT: 32768, POSITIONS: 32768}
    assert str(context_of(oryx_7b)) == f"32,768 tokens ({LIMIT})"
    assert str(context_of({POSITIONS: 32768})) == f"32,768 tokens ({POSITIONS})"
    asked = context_of(oryx_7b, 65536, "dynamic")
    assert asked == Context(65536, f"asked for; {POSITIONS} 32,768", "dynamic", 2.0)
    assert str(asked) == f"65,536 tokens (asked for; {POSITIONS} 32,768, dynamic scaling by 2)"
    within = context_of({LIMIT: 16384, POSITIONS: 32768}, 32768)
    assert within == Context(32768, f"asked for; within {POSITIONS}")


@pytest.mark.parametrize(
    ("config", "more", "error", "said"),
    [
        ({LIMIT: "32768"}, {}, CheckpointError, f"config.json: {LIMIT}: expected a whole number.*got '32768'"),
        ({LIMIT: 8192, POSITIONS: 0}, {}, CheckpointError, f"{POSITIONS}: expected a whole number .*got 0"),
        ({LIMIT: 8192}, {"least": 9000, "scaling": "yran"}, SettingsError, "'yran'; did you mean 'yarn'"),
        (
            {"text_config": {POSITIONS: 8192, "rope_parameters": {"rope_type": "llama3"}}},
            {"least": 9000},
            SettingsError,
            "9000 tokens need scaling, and the checkpoint has 'llama3' scaling of its own",
        ),
    ],
)
def test_contexts_that_cannot_be_told_are_refused(config, more, error, said):
    with pytest.raises(error, match=said):
        context_of(config, **more)
