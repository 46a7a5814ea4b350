"""Sentences of the paper held against its own tables: sums by hand, exceptions by name."""

import pytest

from oryx.errors import SettingsError
from workbook.report import checks
from workbook.report.checks import check
from workbook.report.paper import Claim, load_claims

CLAIMS = {claim.id: claim for claim in load_claims()}
GAIN = {"kind": "difference", "study": "main-general-video", "benchmark": "NExT-QA", "model": "Oryx 34B"}

X = {"id": "X", "part": "tables", "statement": "s", "source": "article"}


def test_a_gain_is_the_difference_of_two_cells():
    verdict, found = check(CLAIMS["T.nextqa"])
    assert verdict == "consistent" and "83.5 - 80.2" in found and found.endswith("= 3.3")
    verdict, found = check(CLAIMS["T.perception"])
    assert verdict == "not consistent" and "= 4.5, 0.9 away from the claimed 5.4" in found
    paper = [{"study": "main-claims", "benchmark": "NExT-QA"}]
    other = Claim(**X, paper=paper, check={**GAIN, "other": "LLaVA-OneVision 7B"})
    assert check(other)[0] == "not consistent", "another rival gives another gain"


def test_the_cells_where_a_model_does_not_lead_are_named():
    verdict, found = check(CLAIMS["T.7b"])
    assert verdict == "in part" and "ahead in 11 of 12 cells" in found
    assert "MVBench (63.9 against 64.6 of VideoCCAM 9B)" in found
    assert "lead of 0.1 on VideoMME w/o subtitles is inside the sampling error of 2,700 questions" in found
    verdict, found = check(CLAIMS["T.3d"])
    assert verdict == "in part" and "BLEU-1" in found and "BLEU-2" in found
    assert check(CLAIMS["T.72b"])[0] == "consistent", "some models of 72B were claimed, not all"


def test_tokens_and_contexts_are_counted():
    assert check(CLAIMS["M.figure1_large"])[0] == "consistent"
    verdict, small = check(CLAIMS["M.figure1_small"])
    assert verdict == "in part" and "1,584" in small and "1,536" in small  # 48 x 33 and 48 x 32
    assert check(CLAIMS["M.figure1_video"])[1].startswith("at 4x without rounding: 81 (area 288 x 288), 225")
    assert check(CLAIMS["M.1600"])[0] == "not consistent"
    assert check(CLAIMS["M.length"])[0] == "in part"


def test_a_check_that_is_none_is_refused():
    with pytest.raises(SettingsError, match=r"X, field check: expected kind difference, .*got 'sum'"):
        check(Claim(**X, check={"kind": "sum"}))
    with pytest.raises(SettingsError, match=r"X, field check: .*modell"):
        check(Claim(**X, check={"kind": "leads", "modell": "Oryx 7B"}))


@pytest.mark.parametrize(
    ("measured", "said"),
    [([0.95, 1.2], "consistent"), ([0.85, 0.95], "in part"), ([0.8], "not consistent"), ([], "not tested")],
)
def test_speed_is_what_the_committed_benchmark_measured_within_the_margin(monkeypatch, measured, said):
    monkeypatch.setattr(checks, "speeds", lambda _: {"squares": {"equal tokens": measured}})
    verdict, found = check(CLAIMS["M.speed"])
    assert verdict == said and ("10 % slower" in found) == bool(measured)
    if said == "in part":
        assert "0.85 to 0.95 times" in found and "in 1 of 2 measurements" in found
