"""Interpretations are tied to the verdicts they were written for; pages hold what results say."""

import re
from pathlib import Path

import pytest

from oryx.errors import SettingsError
from tests.unit.report.pages import STUDY, answers, publish
from tools.docs.readme import filled
from workbook.report.claims import FINDINGS, findings
from workbook.report.page import Page
from workbook.report.published import all_hypotheses, published
from workbook.report.questions import BENCHMARKS, speeds, tables
from workbook.report.questions import questions as asked

ENTRY = f"""[[finding]]
title = "T"
rests_on = ["{STUDY}/nano:H1a.equal.nano = VERDICT", "claim:T.perception = not consistent"]
text = "Lead {{0}}. Table {{1}}."
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    publish(folder, answers({seed: {"native": 18, "area_matched": 9} for seed in range(3)}))
    return folder


@pytest.fixture(scope="module")
def runs(results):
    return published(results)


def test_numbers_are_filled_in_while_the_verdict_holds(runs, tmp_path):
    path = tmp_path / "findings.toml"
    path.write_text(ENTRY.replace("VERDICT", "supported"))
    (found,) = findings(runs, path)
    assert not found["changed"] and found["text"].startswith("Lead +0.450 [+0.") and "= 4.5, 0.9 away" in found["text"]
    assert [ground.name for ground in found["grounds"]] == [f"H1a.equal.nano in {STUDY}/nano", "claim T.perception"]
    path.write_text(ENTRY.replace("VERDICT", "contradicted"))
    (found,) = findings(runs, path)
    assert [ground.verdict for ground in found["changed"]] == ["supported"]
    assert findings([], path) == [], "nothing published, nothing interpreted"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title", "name", "expected title, rests_on, text"),
        (" = VERDICT", "", "expected 'STUDY/VARIANT:HYPOTHESIS = verdict'"),
        ("T.perception", "T.scores", "no claim 'T.scores' with a check"),
    ],
)
def test_entries_that_cannot_be_read_are_refused(runs, tmp_path, old, new, message):
    path = tmp_path / "findings.toml"
    path.write_text(ENTRY.replace(old, new, 1))
    with pytest.raises(SettingsError, match=message):
        findings(runs, path)


def test_the_page_says_which_interpretation_no_longer_holds_and_what_each_rests_on(runs, tmp_path, monkeypatch):
    path = tmp_path / "findings.toml"
    monkeypatch.setattr("workbook.report.page.findings", lambda runs: findings(runs, path))
    path.write_text(ENTRY.replace("VERDICT", "supported"))
    text = Page(runs).findings()
    assert text.startswith("### T\n\nLead +0.450 [+0.") and "no longer" not in text
    assert f"*Rests on H1a.equal.nano in {STUDY}/nano: supported; claim T.perception: not consistent.*" in text
    path.write_text(ENTRY.replace("VERDICT", "contradicted"))
    text = Page(runs).findings()
    assert "no longer holds: H1a.equal.nano in" in text and "is now supported (+0.450 [" in text and "Lead" not in text
    assert "no longer contradicted." in text


def test_no_estimate_is_typed_into_an_interpretation():
    assert not re.findall(r"[+-]\d*\.\d{2,}", FINDINGS.read_text()), "estimates are filled in, never typed"


def test_blocks_over_everything_are_filled(results):
    names = ("findings", "contradicted", "not_learned", "inconclusive", "disagreements", "own_tables")
    text = "\n".join(f"<!-- results:all:{name} -->\n<!-- end -->" for name in names)
    page = filled(text, results)
    assert filled(page, results) == page and page.count("*None.*") == 4
    assert "1 verdicts were compared" in page and "71.4 - 66.9" in page
    with pytest.raises(SettingsError, match="expected one of verdicts, scores, headlines"):
        filled("<!-- results:all:hypotheses -->\n<!-- end -->", results)


def test_answers_name_hypotheses_that_are_stated():
    """One that no file states would leave its line out without a word."""
    templates = Path(FINDINGS.parent, "templates").glob("question_*.md.j2")
    named = {name for path in templates for name in re.findall(r'"(H\d[a-c]\.[\w.]+)": "', path.read_text("utf-8"))}
    assert len(named) >= 8 and {f"{name}.nano" for name in named} <= {entry.id for entry in all_hypotheses()}


def test_answers_come_from_results_and_benchmarks_or_say_that_nothing_was_measured(runs):
    bare = {question.id: question for question in asked([], "")}
    assert bare["throughput"].status == "not measured" and bare["architecture_or_data"].status == "not measured"
    assert not re.search(r"\d times", bare["throughput"].text) and "not measured yet" in bare["throughput"].text
    full = {question.id: question for question in asked(runs)}
    assert full["throughput"].status != "not measured"
    lines = (
        "| mix | against | pictures/s |\n| --- | --- | --- |\n| A | fixed, equal tokens | 0.75 |\n| A | padded | 3 |\n"
    )
    throughput = asked([], f"<!-- native-encoding -->\n{lines}<!-- end -->\n")[0]
    assert "at equal tokens: 0.75 times the pictures a second (1 measurements" in throughput.text
    scores = bare["several_scores"].text
    (mlvu,) = [line for line in scores.splitlines() if line.startswith("| Oryx-1.5 7B | MLVU |")]
    assert mlvu.endswith("| 5.4 |") and "63.8" in mlvu and "69.2" in mlvu
    assert "Plot QA" not in scores, "sub-tasks are other scores"


def test_benchmark_tables_are_read_back():
    text = "| x | y |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |\n\n| z |\n| --- |\n| 5 |\n"
    lines = [table.to_dict("records") for table in tables(text)]
    assert lines == [[{"x": "1", "y": "2"}, {"x": "3", "y": "4"}], [{"z": "5"}]]
    measured = speeds(BENCHMARKS.read_text(encoding="utf-8"))
    assert len(measured["one_size"]) == 2 and len(measured["unequal"]) == 8, "every mix has its padding ratio"
    assert len(measured["squares"]["equal tokens"]) == 8 and measured["shares"]["4x"].endswith("%")
