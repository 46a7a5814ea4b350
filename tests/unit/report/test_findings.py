"""Interpretations are tied to the verdicts they were written for; pages hold what results say."""

import re

import pytest

from oryx.errors import SettingsError
from tests.unit.report.pages import STUDY, answers, publish
from workbook.report.answers import answers as told
from workbook.report.benchmark_tables import block, read, table_with, tables
from workbook.report.findings import FILE, findings
from workbook.report.published import published
from workbook.report.readme import filled

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
    assert found.holds and found.text.startswith("Lead +0.450 [+0.") and "= 4.5, 0.9 away" in found.text
    assert found.evidence.startswith(f"Rests on H1a.equal.nano in {STUDY}/nano: supported; claim T.perception")
    path.write_text(ENTRY.replace("VERDICT", "contradicted"))
    (found,) = findings(runs, path)
    assert not found.holds and "Lead" not in found.text and "is now supported" in found.text
    assert findings([], path) == [], "nothing published, nothing interpreted"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title", "name", "expected title, rests_on and text"),
        (" = VERDICT", "", "expected 'STUDY/VARIANT:HYPOTHESIS = verdict'"),
        ("T.perception", "T.scores", "no claim 'T.scores' with a check"),
    ],
)
def test_entries_that_cannot_be_read_are_refused(runs, tmp_path, old, new, message):
    path = tmp_path / "findings.toml"
    path.write_text(ENTRY.replace(old, new, 1))
    with pytest.raises(SettingsError, match=message):
        findings(runs, path)


def test_no_estimate_is_typed_into_an_interpretation():
    assert not re.findall(r"[+-]\d*\.\d{2,}", FILE.read_text()), "estimates are filled in, never typed"


def test_blocks_over_everything_are_filled(results):
    names = ("findings", "contradicted", "not_learned", "inconclusive", "disagreements", "own_tables")
    text = "\n".join(f"<!-- results:all:{name} -->\n<!-- end -->" for name in names)
    page = filled(text, results)
    assert filled(page, results) == page and page.count("*None.*") == 4
    assert "1 verdicts were compared" in page and "71.4 - 66.9" in page
    with pytest.raises(SettingsError, match="expected one of findings, contradicted"):
        filled("<!-- results:all:verdicts -->\n<!-- end -->", results)


def test_answers_come_from_results_and_benchmarks_or_say_that_nothing_was_measured(runs):
    bare = {answer.id: answer for answer in told([], "")}
    assert bare["throughput"].status == "not measured" and bare["architecture_or_data"].status == "not measured"
    assert not any(re.search(r"\d times", text) for text in bare["throughput"].text)
    full = {answer.id: answer for answer in told(runs, read())}
    assert full["throughput"].status != "not measured"
    lines = (
        "| mix | against | pictures/s |\n| --- | --- | --- |\n| A | fixed, equal tokens | 0.75 |\n| A | padded | 3 |\n"
    )
    [said] = told([], f"<!-- native-encoding -->\n{lines}<!-- end -->\n")[:1]
    assert any("at equal tokens: 0.75 times the pictures a second (1 measurements" in text for text in said.text)
    scores = next(lines for caption, lines in bare["several_scores"].tables)
    mlvu = next(line for line in scores if line["model"] == "Oryx-1.5 7B" and line["benchmark"] == "MLVU")
    assert mlvu["spread"] == "5.4" and "63.8" in mlvu["published"] and "69.2" in mlvu["published"]
    assert not any("Plot QA" in line["benchmark"] for line in scores), "sub-tasks are other scores"


def test_benchmark_tables_are_read_back():
    text = "<!-- a -->\n| x | y |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |\n<!-- end -->\n\n| z |\n| --- |\n| 5 |\n"
    assert tables(text) == [[{"x": "1", "y": "2"}, {"x": "3", "y": "4"}], [{"z": "5"}]]
    assert block("a", text).startswith("| x") and block("b", text) == "" and table_with("z", text) == [{"z": "5"}]
    mixes = {row["mix"] for row in table_with("padding ratio", read())}
    assert mixes == {row["mix"] for row in table_with("speed ratio", read())}
