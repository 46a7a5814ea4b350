"""The report: whole in one file, well formed, every link leads somewhere, and everything derived from results."""

import re
from urllib.parse import unquote

import pytest

from oryx.errors import RunError
from tests.unit.report.pages import STUDY, Page, answers, publish
from workbook.report import page as module
from workbook.report.paper import load_claims
from workbook.report.published import all_hypotheses

WRITER = "written 2026-01-02 by oryx-workbook 0, commit `0123abcd`"
STEADY = {seed: {"native": 18, "area_matched": 9, "area_4": 9 + seed} for seed in range(3)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(results folder, the page's path, its text) over two published runs that disagree."""
    results = tmp_path_factory.mktemp("results")
    publish(results, answers(STEADY))
    publish(
        results, answers({s: {"native": 9, "area_matched": 18, "area_4": 9} for s in range(3)}), "nano,encoder=trained"
    )
    out = module.build(results, results / "runs" / "report.html", WRITER)
    return results, out, out.read_text()


def test_the_page_is_whole_in_one_file_and_well_formed(made):
    _, _, text = made
    page = Page(text)
    assert not page.unclosed and not page.crossed
    assert page.loads and all(load.startswith("data:image/png;base64,") for load in page.loads), "nothing is fetched"
    assert "@import" not in text and "url(" not in text
    assert "prefers-color-scheme: dark" in text and "@media print" in text
    assert len(page.ids) == len(set(page.ids))


def test_every_verdict_word_on_the_page_is_explained(made):
    results, _, text = made
    page = module.read(module.Settings.from_mapping({"results": str(results)}))
    explained = set(re.findall(r"^\| ([a-z ]+) \|", page.words(), re.MULTILINE)) - {"word"}
    used = {one.status for one in page.answered} | {question.status for question in page.asked}
    used |= {line["verdict"].partition(":")[0] for one in page.answered for line in one.answers}
    assert {"supported", "contradicted", "not tested", "consistent", "held by tests"} <= used <= explained
    assert all(f">{word}</td>" in text for word in explained)


def test_when_and_by_what_it_was_made_stands_at_the_top(made):
    _, _, text = made
    top = text[: text.index("<h2")]
    assert "written 2026-01-02 by oryx-workbook 0, commit <code>0123abcd</code>" in top
    assert "<code>abcdef01</code>" in top and "torch 2.13.0" in top and "2 published runs of 1 study" in top


def test_figures_stand_beside_their_verdicts_and_nowhere_else(made):
    _, _, text = made
    first, last = text.index('<h2 id="Native-against'), text.index('<h2 id="OryxViT-against')
    beside = Page(text[first:last])
    assert len(beside.loads) == 1 and "verdicts of native_vs_fixed_resolution/nano" in text[first:last]
    assert [link for link in beside.links if link.endswith("figures/verdicts.png")], "a figure leads to its file"
    runs = Page(text[text.index('<h2 id="Runs-and-figures') :])
    assert len(runs.loads) == 1 and "Its figures stand beside its verdicts" in text, "that of the other run"


def test_every_link_leads_somewhere(made):
    _, out, text = made
    page = Page(text)
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids, link
        else:
            assert (out.parent / unquote(link)).exists(), link
    for claim in load_claims():
        assert not claim.answer or f">{claim.id}: {claim.statement}</td>" in text
    questions = [link for link in page.links if link.endswith("?")]
    assert len(questions) == sum(bool(claim.answer) for claim in load_claims())


def test_every_claim_and_hypothesis_is_there_with_ours_and_the_papers_number(made):
    _, _, text = made
    assert "paper: not found" not in text and "<td>not found</td>" not in text, "once, above, and not line by line"
    for claim in load_claims():
        assert f">{claim.id}: " in text
    for entry in all_hypotheses():
        assert f"<td>{entry.id}: " in text
    row = next(row for row in text.split("<tr>") if "H1a.equal.nano" in row)
    for part in ("supported", "+0.450 [", "<td>80</td>", "<td>3, one start</td>", "▲ ▲ ▲", ">nano</a>"):
        assert part in row, part
    assert f"python -m oryx run {STUDY} --seeds 0,1,2" in text and "rows.parquet" in text
    assert "arm squash has no rows" not in text, "what a run does not test is said once, as such"
    assert text.count("no published run tests it") > 10


def test_runs_that_disagree_are_named(made):
    _, _, text = made
    found = text[text.index("Where seeds or runs disagree") :]
    assert re.search(r"H1a\.equal\.nano.*?nano: supported \+0\.450.*?nano,encoder=trained: contradicted -0\.450",
                     found, re.DOTALL)  # fmt: skip


def test_the_same_results_give_the_same_page(made, tmp_path):
    results, out, text = made
    assert module.build(results, out, WRITER).read_text() == text


def test_nothing_published_and_damaged_folders_are_said(tmp_path):
    assert "Nothing is published yet" in module.build(tmp_path, tmp_path / "runs" / "report.html").read_text()
    folder = publish(tmp_path, answers(STEADY))
    (folder / "manifest.json").unlink()
    with pytest.raises(RunError, match=r"nano: not a whole published run .*manifest\.json"):
        module.build(tmp_path, tmp_path / "report.html")


def test_text_from_results_cannot_become_markup(tmp_path):
    publish(tmp_path, answers(STEADY), checkpoint="<script>alert(1)</script>")
    text = module.build(tmp_path, tmp_path / "report.html").read_text()
    assert "<script>" not in text and "&lt;script&gt;" in text
