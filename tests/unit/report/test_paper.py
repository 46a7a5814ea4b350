"""The paper's claims and numbers as data: every claim is answered or says why not, and every number has a source."""

import re
from pathlib import Path

import pytest

from oryx.errors import SettingsError
from workbook.report import paper
from workbook.report.claims import answered_claims
from workbook.report.published import all_hypotheses
from workbook.report.questions import questions as asked

ROOT = Path(__file__).parents[3]
ENTRY = """[[claim]]
id = "X"
part = "tables"
statement = "s"
source = "article"
reason = "r"
"""


def test_every_number_has_a_source_and_what_is_not_found_has_no_value():
    for row in paper.numbers():
        assert row["source"] in paper.sources(), row
        assert (row["value"] == "") == (row["confidence"] == "not-found") or row["metric"] == "shape of curve", row
    assert len({row["source"] for row in paper.numbers()}) == len(paper.sources()), "no source is idle"


def test_every_claim_leads_to_something_that_exists():
    families = {entry.paper for entry in all_hypotheses()}
    questions = {question.id for question in asked([], "")}
    for claim in paper.load_claims():
        assert set(claim.hypotheses) <= families, claim.id
        assert claim.answer in ("", *questions), claim.id
        for test in claim.tests:
            file, _, name = test.partition("::")
            assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE), test


def test_every_hypothesis_is_shown_beside_a_claim():
    claims = answered_claims([])
    assert {line["hypothesis"].split(":")[0] for one in claims for line in one.answers} == {
        e.id for e in all_hypotheses()
    }
    assert {one.status for one in claims if one.answers} == {"no result yet"}


def test_sizes_of_the_five_studies_are_not_found():
    studies = {
        claim.id: claim.paper_value for claim in paper.load_claims() if claim.part not in ("tables", "method", "data")
    }
    assert set(studies.values()) == {"not found"} and len(studies) == 13
    assert next(c for c in paper.load_claims() if c.id == "T.nextqa").paper_value == "3.3 points"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('reason = "r"', "", "expected hypotheses, tests, an answer, a check or the reason"),
        ('part = "tables"', 'part = "table"', "X, field part: expected .*'tables'.*got 'table'"),
        ('source = "article"', 'source = "memory"', "'memory' is no key"),
        ('statement = "s"', "", "X, field statement: Field required"),
        ('reason = "r"', 'raeson = "r"', "field raeson: Extra inputs are not permitted"),
        ('reason = "r"', 'reason = "r"\npaper = [{ model = "Oryx 8B" }]', "no line with"),
        ('reason = "r"', 'reason = "r"\npaper = [{ modell = "Oryx 7B" }]', "no column 'modell'"),
        ('reason = "r"', f'reason = "r"\n{ENTRY}', "id X is used more than once"),
        ("[[claim]]", "[claim", "cannot be read as TOML"),
    ],
)
def test_what_is_wrong_with_a_claim_is_named(tmp_path, old, new, message):
    path = tmp_path / "claims.toml"
    path.write_text(ENTRY.replace(old, new, 1))
    with pytest.raises(SettingsError, match=message):
        paper.load_claims(path)
