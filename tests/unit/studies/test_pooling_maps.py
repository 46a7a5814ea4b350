"""Attention maps beside their figure: a line for each row of a map, and back."""

import io

import pandas as pd

from workbook.studies.compressor.figures import long_maps, wide_maps

COLUMNS = ["film", "ratio", "frame", "row", "column", "weight"]


def test_maps_of_two_sizes_come_back_from_their_file():
    weights = [("b", 4, 0, r, c, 0.1 * (10 * r + c)) for r in range(2) for c in range(3)]
    weights += [("a", 16, 1, 0, 0, 1.0), ("a", 16, 0, 0, 0, 0.0)]
    maps = pd.DataFrame(weights, columns=COLUMNS)
    wide = wide_maps(maps)
    assert list(wide) == [*COLUMNS[:4], 0, 1, 2] and len(wide) == 4
    back = long_maps(pd.read_csv(io.StringIO(wide.to_csv(index=False))))
    expected = maps.sort_values(COLUMNS[:5], ignore_index=True)
    pd.testing.assert_frame_equal(back[COLUMNS], expected, check_dtype=False)
