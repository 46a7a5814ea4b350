"""Sentences of the paper held against its own tables: sums by hand, exceptions by name."""

import pytest

from oryx.errors import SettingsError
from oryx.evidence.paper import Claim, load_claims
from workbook.report.checks import check

CLAIMS = {claim.id: claim for claim in load_claims()}
GAIN = {"kind": "difference", "study": "main-general-video", "benchmark": "NExT-QA", "model": "Oryx 34B"}

X = {"id": "X", "part": "tables", "statement": "s", "source": "article"}


def test_a_gain_is_the_difference_of_two_cells():
    found = check(CLAIMS["T.nextqa"])
    assert found.verdict == "consistent" and "83.5 - 80.2" in found.found and found.found.endswith("= 3.3")
    found = check(CLAIMS["T.perception"])
    assert found.verdict == "not consistent" and "= 4.5, 0.9 away from the claimed 5.4" in found.found
    paper = [{"study": "main-claims", "benchmark": "NExT-QA"}]
    other = Claim(**X, paper=paper, check={**GAIN, "other": "LLaVA-OneVision 7B"})
    assert check(other).verdict == "not consistent", "another rival gives another gain"


def test_the_cells_where_a_model_does_not_lead_are_named():
    found = check(CLAIMS["T.7b"])
    assert found.verdict == "in part" and "ahead in 11 of 12 cells" in found.found
    assert "MVBench (63.9 against 64.6 of VideoCCAM 9B)" in found.found
    assert "lead of 0.1 on VideoMME w/o subtitles is inside the sampling error of 2,700 questions" in found.found
    found = check(CLAIMS["T.3d"])
    assert found.verdict == "in part" and "BLEU-1" in found.found and "BLEU-2" in found.found
    assert check(CLAIMS["T.72b"]).verdict == "consistent", "some models of 72B were claimed, not all"


def test_tokens_and_contexts_are_counted():
    assert check(CLAIMS["M.figure1_large"]).verdict == "consistent"
    small = check(CLAIMS["M.figure1_small"])
    assert small.verdict == "in part" and "1,584" in small.found and "1,536" in small.found  # 48 x 33 and 48 x 32
    assert check(CLAIMS["M.figure1_video"]).found.startswith("at 4x without rounding: 81 (area 288 x 288), 225")
    assert check(CLAIMS["M.1600"]).verdict == "not consistent"
    assert check(CLAIMS["M.length"]).verdict == "in part"


def test_a_check_that_is_none_is_refused():
    with pytest.raises(SettingsError, match=r"X, field check: expected kind difference, .*got 'sum'"):
        check(Claim(**X, check={"kind": "sum"}))
    with pytest.raises(SettingsError, match=r"X, field check: .*modell"):
        check(Claim(**X, check={"kind": "leads", "modell": "Oryx 7B"}))
