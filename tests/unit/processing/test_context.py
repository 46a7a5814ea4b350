"""How many frames fit into the released contexts."""

import pytest

from oryx.errors import InputError
from oryx.grids import video_token_count
from oryx.processing.context import PROMPT_TOKENS, check_fits, compressed, context_table, frames_that_fit


@pytest.mark.parametrize("grid", [(1, 1), (4, 4), (3, 5)])
@pytest.mark.parametrize("context", [100, 8192, 32768])
def test_as_many_frames_fit_as_are_said_and_no_more(context, grid):
    most = frames_that_fit(context, grid)
    assert most == 0 or video_token_count(most, grid) + PROMPT_TOKENS <= context
    assert video_token_count(most + 1, grid) + PROMPT_TOKENS > context


def test_a_frame_at_16x_costs_what_the_released_rounding_gives():
    table = context_table()
    at_16x = table[table["compression"] == "16x"].drop_duplicates("frame").set_index("frame")["tokens a frame"]
    # a 16:9 frame takes 40 tokens, 5 newlines or so; rows and columns are those of the released size rule
    for name, size in (("256x256", (256, 256)), ("1280x720", (720, 1280))):
        rows, columns = compressed(size, 16)
        assert at_16x[name] == rows * columns + rows + 1
    assert at_16x.to_dict() == {"256x256": 21, "640x360": 45, "1280x720": 45}


def test_too_many_frames_are_refused_with_the_number_that_fits():
    check_fits(1554, 32768, (4, 4))
    with pytest.raises(InputError, match=r"1600 frames of 4 x 4 tokens need 33730 tokens.* that is 1554 frames"):
        check_fits(1600, 32768, (4, 4))
