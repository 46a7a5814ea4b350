"""The series over sizes: every kind of size once through all jobs, and the slope of known numbers."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from benchmarks import size_series
from benchmarks.series_report import slopes_of
from workbook.stages import recipes

pytestmark = pytest.mark.integration
FEW = (
    {"train_items": 8, "train_steps": 2, "batch": 4, "text_items": 2, "object_items": 1},
    {"ratios": [4], "short_stories": 3, "long_stories": 2, "start_steps": 2, "train_steps": 2, "tokens": 300,
     "bank_signs": 4, "bank_cards": 2, "bank_paths": 2, "bank_photos": 3},
    {"lengths": [24], "beyond": [], "depths": [0.0], "trials": 3, "haystacks": 3, "haystack_frames": 40, "audit": 0,
     "train_steps": 2, "longest": 20, "train_tokens": 200, "most_clips": 4},
)  # fmt: skip
NARROW = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 1}


def test_a_series_runs_with_the_shipped_tower_and_with_one_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setitem(recipes._SCALES["video_reader"]["nano"], "dataset", {"pages": 8, "shots": 16})
    monkeypatch.setitem(recipes._SCALES["shared"], "narrow", {"vision": NARROW, "text": NARROW, "siglip_batch": 4})
    monkeypatch.setitem(recipes._SCALES["video_reader"], "narrow", {})
    few = [replace(one, reduced=own) for one, own in zip(size_series.CONTRASTS, FEW, strict=True)]
    few[2] = replace(few[2], tasks=("number_24",))
    docs, out = tmp_path / "docs.md", tmp_path / "out" / "series"
    docs.write_text("before\n<!-- size-series -->\nold\n<!-- end -->\nafter\n")
    given = ["--sizes", "narrow,quarter", "--seeds", "100", "--work", str(tmp_path / "work"), "--out", str(out)]
    slopes = size_series.main([*given, "--docs", str(docs)], few, {"siglip_steps": 2, "reader_steps": 2}, (1, 1, 1, 1))
    points = pd.read_csv(out.with_suffix(".csv"))
    assert len(points) == 3 * 2 * 2 and set(points["size"]) == {"narrow", "quarter"}
    assert list(slopes["sizes"]) == [2, 2, 2] and slopes["slope"].notna().all()
    found = json.loads(out.with_suffix(".json").read_text())
    assert found["parts"]["narrow"]["own_tower"] and not found["parts"]["quarter"]["own_tower"]
    assert found["command"].startswith("python -m benchmarks.size_series --sizes narrow,quarter") and found["commit"]
    assert out.with_suffix(".png").stat().st_size > 1000
    text = docs.read_text()
    assert "old" not in text and "narrow has a tower of its own; quarter has the shipped tower, frozen" in text
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("done")}
    size_series.main(given, few)
    assert before == {path: path.stat().st_mtime_ns for path in before}, "what is done is not done again"


def test_the_slope_is_that_of_a_doubling_with_an_interval_over_seeds():
    """Differences that grow by 0.1, 0.2 and 0.3 for twice the parameters: mean 0.2, t with two degrees of freedom."""
    points = [
        {
            "study": "one",
            "seed": seed,
            "parameters": 1000 * 2**doubling,
            "difference": 0.5 + 0.1 * (seed + 1) * doubling,
        }
        for seed in range(3)
        for doubling in (0, 1, 3)
    ]
    points += [{**point, "seed": "all", "difference": 9.0} for point in points]
    (found,) = slopes_of(pd.DataFrame(points)).to_dict("records")
    assert (found["sizes"], found["seeds"]) == (3, 3) and found["slope"] == pytest.approx(0.2)
    assert found["high"] - 0.2 == pytest.approx(4.302653 * 0.1 / 3**0.5) == 0.2 - found["low"]
