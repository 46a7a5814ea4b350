"""Effects of the crossed design on made-up rows, where they are known."""

import pandas as pd
import pytest

from tests.unit.evidence.builders import row
from workbook.studies.encoders.arms import ARMS
from workbook.studies.encoders.tables import EFFECTS, effects_table

GROUPS = {"text": ["number"]}


@pytest.fixture
def rows():
    """siglip 0.2, control 0.4, oryxvit 0.4, and 0.2 more for oryxvit at native size; no noise."""
    level = {"siglip": 0.2, "control": 0.4, "oryxvit": 0.4}
    return pd.DataFrame(
        [
            row(f"number-{i}", f"{encoder}_{view}", seed, score + 0.2 * (encoder == "oryxvit" and view == "native"))
            for encoder, score in level.items()
            for view in ("fixed", "native")
            for seed in range(3)
            for i in range(20)
        ]
    )


def test_effects_are_those_put_in(rows):
    table = effects_table(rows, GROUPS).set_index("effect")["estimate"]
    expected = ["+0.200", "+0.100", "+0.067", "+0.200", "+0.000"]
    assert [table[effect].split()[0] for effect in EFFECTS] == expected


def test_an_effect_of_arms_that_were_not_run_says_which(rows):
    table = effects_table(rows[rows["arm"] != "control_native"], GROUPS).set_index("effect")["estimate"]
    assert table["more training, on squares (control - siglip)"] == "not run: control_native"


def test_weights_are_contrasts_of_arms_that_exist():
    for weights in EFFECTS.values():
        assert set(weights) <= set(ARMS) and sum(weights.values()) == pytest.approx(0)
