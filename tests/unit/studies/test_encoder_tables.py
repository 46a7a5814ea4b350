"""Effects of the crossed design on made-up rows, where they are known."""

import pandas as pd
import pytest

from tests.unit.evidence.builders import row
from workbook.studies.encoders.arms import ARMS
from workbook.studies.encoders.tables import CROSSED, EFFECTS, effects_table, probes_table

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
    assert table["more training, on squares (continued SigLIP - SigLIP)"] == "not run: continued SigLIP (native size)"


def test_weights_are_contrasts_of_arms_that_exist():
    assert set(CROSSED) <= set(ARMS)
    for weights in EFFECTS.values():
        assert len(weights) == len(CROSSED) and sum(weights) == pytest.approx(0)


def test_probes_of_a_run_are_a_line_each_with_the_span_of_its_seeds():
    values = {("siglip", 0): 0.1, ("siglip", 1): 0.2, ("oryxvit", 0): 0.3, ("oryxvit", 1): 0.5}
    common = {"probe": "patch reading", "reader": None, "input": None, "x": "native", "n": 50, "chance": 0.1}
    records = [{**common, "encoder": encoder, "seed": seed, "value": v} for (encoder, seed), v in values.items()]
    own = {**common, "probe": "retrieval", "reader": "own head", "input": "fixed", "x": "words", "encoder": "siglip"}
    table = probes_table(pd.DataFrame([*records, {**own, "seed": 0, "value": 0.4}]))
    assert table.to_dict("records") == [
        {"probe": "patch reading", "condition": "native", "SigLIP": "0.15 (0.10 to 0.20)",
         "OryxViT": "0.40 (0.30 to 0.50)", "chance": "0.10", "n": 50},
        {"probe": "retrieval", "condition": "own head, fixed, words", "SigLIP": "0.40", "OryxViT": "", "chance": "0.10",
         "n": 50},
    ]  # fmt: skip
