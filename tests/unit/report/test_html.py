"""The report: whole in one file, well formed, every link leads somewhere, and everything derived from results."""

import re

import pytest

from oryx.errors import RunError
from oryx.evidence.paper import load_claims
from oryx.evidence.verdicts import load_hypotheses
from tests.unit.report.pages import STUDY, Page, answers, publish
from workbook.report import html
from workbook.report.interval_mark import interval_mark

STEADY = {seed: {"native": 18, "area_matched": 9, "area_4": 9 + seed} for seed in range(3)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(results folder, the page's path, its text) over two published runs that disagree."""
    results = tmp_path_factory.mktemp("results")
    publish(results, answers(STEADY))
    publish(
        results, answers({s: {"native": 9, "area_matched": 18, "area_4": 9} for s in range(3)}), "nano,encoder=trained"
    )
    out = html.build(results, results / "runs" / "report.html")
    return results, out, out.read_text()


def test_the_page_is_whole_in_one_file_and_well_formed(made):
    _, _, text = made
    page = Page(text)
    assert not page.unclosed and not page.crossed
    assert page.loads and all(load.startswith("data:image/png;base64,") for load in page.loads), "nothing is fetched"
    assert "@import" not in text and "url(" not in text
    assert "prefers-color-scheme: dark" in text and "@media print" in text
    assert len(page.ids) == len(set(page.ids))


def test_every_link_leads_somewhere(made):
    _, out, text = made
    page = Page(text)
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids, link
        else:
            assert (out.parent / link).exists(), link
    for claim in load_claims():
        assert not claim.answer or f"q-{claim.answer}" in page.ids


def test_every_claim_and_hypothesis_is_there_with_ours_and_the_papers_number(made):
    _, _, text = made
    for claim in load_claims():
        assert f">{claim.id}</span>" in text
    for entry in load_hypotheses():
        assert f">{entry.id}</span>" in text
    row = re.search(r"<tr>\n<td>(?:(?!</tr>).)*H1a\.equal\.nano.*?</tr>", text, re.DOTALL)[0]
    for part in ("supported", "not found", "+0.450 [", "80 items", "80 clusters", "3 seeds", "▲", "<svg", ">nano<"):
        assert part in row, part
    assert f"python -m oryx run {STUDY} --seeds 0,1,2" in row and "rows.columns.jsonl.xz" in row
    assert "arm squash has no rows" not in text, "what a run does not test is said once, as such"
    assert text.count("no published run tests it") > 10


def test_runs_that_disagree_are_named(made):
    _, _, text = made
    found = text[text.index("Where seeds or runs disagree") :]
    assert re.search(r"H1a\.equal\.nano</span>.*?nano: supported \+0\.450.*?nano,encoder=trained: contradicted -0\.450",
                     found, re.DOTALL)  # fmt: skip


def test_the_same_results_give_the_same_page(made, tmp_path):
    results, out, text = made
    assert html.build(results, out).read_text() == text


def test_nothing_published_and_damaged_folders_are_said(tmp_path):
    assert "Nothing is published yet" in html.build(tmp_path, tmp_path / "runs" / "report.html").read_text()
    folder = publish(tmp_path, answers(STEADY))
    (folder / "manifest.json").unlink()
    with pytest.raises(RunError, match=r"nano: not a whole published run .*manifest\.json"):
        html.build(tmp_path, tmp_path / "report.html")


def test_text_from_results_cannot_become_markup(tmp_path):
    publish(tmp_path, answers(STEADY), checkpoint="<script>alert(1)</script>")
    text = html.build(tmp_path, tmp_path / "report.html").read_text()
    assert "<script>" not in text and "&lt;script&gt;" in text


def test_an_interval_is_drawn_where_it_lies():
    told = {"kind": "difference", "estimate": 0.0, "low": -0.3, "high": 0.9}
    mark = interval_mark(told, None)
    assert 'cx="88.0"' in mark and 'x1="46.0" x2="172.0"' in mark, "the middle, and cut at the end of the axis"
    assert mark.count('class="interval"') == 3, "one line, one end (the other is cut), one point"
    level = next(entry for entry in load_hypotheses() if entry.id == "H4a.level.nano")
    mark = interval_mark({"kind": "level", "estimate": 0.5, "low": 0.4, "high": 0.6}, level)
    assert 'class="limit" x1="155.2"' in mark and 'class="band"' not in mark
    assert interval_mark({"estimate": None}, None) == ""
