"""Are two sets of rows the same?"""

import pandas as pd

from oryx.evidence.schema import IDENTITY, TIMING


def same_rows(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """What differs between two frames of rows, timing and order aside; empty if they are the same."""
    frames = [
        rows.drop(columns=list(TIMING)).sort_values(list(IDENTITY), ignore_index=True).sort_index(axis=1)
        for rows in (a, b)
    ]
    try:
        pd.testing.assert_frame_equal(*frames, check_dtype=False, check_exact=True)
    except AssertionError as error:
        return [str(error)]
    return []
