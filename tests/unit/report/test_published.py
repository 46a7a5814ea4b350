"""What is published, seed by seed, and where seeds and runs do not say the same."""

import json
from types import SimpleNamespace

import pytest

from oryx.evidence.verdicts import judge
from tests.unit.report.pages import STUDY, answers, publish
from workbook.report.claims import answered_claims, counts
from workbook.report.page import Page
from workbook.report.published import all_hypotheses, disagreements, published

APART = {
    0: {"native": 18, "area_matched": 9},
    1: {"native": 9, "area_matched": 12},
    2: {"native": 15, "area_matched": 9},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two runs of one study: in the default one seeds lie apart, in the other they do not."""
    folder = tmp_path_factory.mktemp("results")
    publish(folder, answers(APART))
    steady = {seed: {"native": 20, "area_matched": 5} for seed in range(3)}
    publish(folder, answers(steady), "nano,encoder=trained", encoder="trained")
    return folder


def test_verdicts_of_a_seed_are_those_of_its_rows(results):
    run = published(results)[0]
    one = answers(APART).query("seed == 1")
    for verdict in judge(one, STUDY, "nano", all_hypotheses()):
        found = run.by_seed[verdict["id"]]["1"]
        for name in ("verdict", "estimate", "low", "high", "alpha"):
            assert found[name] == verdict[name], (verdict["id"], name)
    assert run.by_seed["H1a.equal.nano"]["0"]["verdict"] == "direction only: as claimed"


def test_verdicts_of_ones_own_and_those_without_seeds_are_read(tmp_path):
    folder = publish(tmp_path, answers(APART))
    verdicts = json.loads((folder / "verdicts.json").read_text())
    (folder / "verdicts.json").write_text(json.dumps([v | {"id": f"mine.{v['id']}"} for v in verdicts]))
    assert disagreements(published(tmp_path)) == []
    (folder / "verdicts.json").write_text(json.dumps([{k: v[k] for k in v if k != "by_seed"} for v in verdicts]))
    assert not any(published(tmp_path)[0].by_seed.values()) and disagreements(published(tmp_path)) == []


def test_seeds_on_different_sides_are_a_finding_and_runs_with_other_verdicts_too(results):
    found = {one["between"]: one["what they say"] for one in disagreements(published(results))}
    seeds, runs = found[f"seeds of {STUDY}/nano"], found[f"runs of {STUDY}"]
    assert [part[:6] for part in seeds.split("; ")] == ["seed 0", "seed 1", "seed 2"] and "seed 1: -0.150" in seeds
    assert "nano: inconclusive" in runs and "nano,encoder=trained: supported" in runs
    assert len(found) == 2, "what a run does not test is no disagreement"


def test_seeds_nearer_than_the_margin_do_not_disagree():
    told = {"id": "H", "verdict": "direction only: unclear", "low": -1.0, "high": 1.0, "statement": "s"}

    def run(*estimates):
        seeds = {seed: {**told, "estimate": value} for seed, value in enumerate(estimates)}
        return SimpleNamespace(by_seed={"H1a.equal.nano": seeds}, verdicts=[], study=STUDY, scale="nano", place="p")

    assert not disagreements([run(0.02, -0.02)]) and not disagreements([run(0.02, 0.2)])
    assert len(disagreements([run(0.04, -0.04)])) == 1


def test_each_hypothesis_counts_once_and_each_run_has_a_line(results):
    runs = published(results)
    assert [run.variant for run in runs] == ["nano", "nano,encoder=trained"]
    assert runs[0].scale == "nano" and "encoder trained" in Page(runs).commands()
    claims = answered_claims(runs)
    assert sum("H1a.equal.nano" in line["hypothesis"] for one in claims for line in one.answers) == 2
    own = counts(claims).set_index("part").loc["Native against fixed resolution"].dropna().to_dict()
    others = len({line["hypothesis"] for one in claims if one.claim.part == STUDY for line in one.answers}) - 1
    assert own["inconclusive"] == 1 and own["not tested"] >= others > 20, (
        "settings beside the default run do not count twice"
    )
