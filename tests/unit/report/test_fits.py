"""Tables of what fits: frames in the released contexts, questions on a GPU."""

import pytest

from oryx.errors import SettingsError
from oryx.processing.context import compressed
from oryx.processing.shapes import read_shape
from workbook.report.fits import assumptions, context_table, memory_table

SEVEN, SIZE = read_shape("7b"), (720, 1280)


def test_a_frame_at_16x_costs_what_the_released_rounding_gives():
    table = context_table()
    at_16x = table[table["compression"] == "16x"].drop_duplicates("frame").set_index("frame")["tokens per frame"]
    # a 16:9 frame takes 40 tokens, 5 newlines or so; rows and columns are those of the released size rule
    for name, size in (("256x256", (256, 256)), ("1280x720", (720, 1280))):
        rows, columns = compressed(size, 16)
        assert at_16x[name] == rows * columns + rows + 1
    assert at_16x.to_dict() == {"256x256": 21, "640x360": 45, "1280x720": 45}


def test_the_table_says_what_fits_and_what_ends_it():
    found = memory_table(SEVEN, 24, 64, SIZE).set_index(["numbers", "shown"])
    assert len(found) == 3 * 4
    assert found.loc[("bf16", "64 frames at 1x"), "fits"] == "no"
    assert found.loc[("4 bit", "64 frames at 1x"), "fits"] == "over the context"
    assert found.loc[("bf16", "64 frames at 4x"), "fits"] == "yes"
    line = found.loc[("bf16", "64 frames at 16x")]
    assert (line["most frames: context"], line["visual tokens"]) == ("725", "2,882")
    assert int(line["memory"]) < int(line["memory, in chunks"])
    unknown = memory_table(read_shape("1.5-32b"), 80, 2, SIZE)
    assert set(unknown["most frames: context"]) == {"", "not known"} and "over the context" not in set(unknown["fits"])
    said = " ".join(assumptions(read_shape("1.5-32b"), 80, SIZE))
    assert "not found" in said and "1x 640x320" in said and "16x 640x256" in said and "not measured" in said


@pytest.mark.parametrize(("room", "frames", "tera"), [(0, 1, 1), (1, 0, 1), (1, 1, -1)])
def test_numbers_that_mean_nothing_are_refused(room, frames, tera):
    with pytest.raises(SettingsError, match=f"above 0, got {room}, {frames} and {tera}"):
        memory_table(SEVEN, room, frames, SIZE, tera)
