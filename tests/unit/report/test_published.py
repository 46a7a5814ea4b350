"""What is published, seed by seed, and where seeds and runs do not say the same."""

import json

from oryx.evidence.rows import read_columns, read_rows_xz
from oryx.evidence.verdicts import judge
from oryx.report import published as module
from oryx.report.claim_lines import claims_beside, claims_frame, counts
from oryx.report.published import disagreements, published
from tests.unit.report.pages import STUDY, answers, publish

APART = {
    0: {"native": 18, "area_matched": 9},
    1: {"native": 9, "area_matched": 12},
    2: {"native": 15, "area_matched": 9},
}


def test_verdicts_of_a_seed_are_those_of_its_rows(tmp_path):
    rows = answers(APART)
    publish(tmp_path, rows)
    (run,) = published(tmp_path)
    for seed, own in rows.groupby("seed"):
        for verdict in judge(own, STUDY, "nano"):
            found = run.by_seed[verdict["id"]][seed]
            for name in ("verdict", "estimate", "low", "high", "alpha", "n_items"):
                assert found[name] == verdict[name], (verdict["id"], name)
    assert run.by_seed["H1a.equal.nano"][0]["verdict"] == "direction only: as claimed"


def test_verdicts_of_seeds_are_kept_and_found_by_content(tmp_path, monkeypatch):
    folder = publish(tmp_path, answers(APART))
    first = published(tmp_path)[0].by_seed
    assert len(list((tmp_path / "runs" / "cache").glob("verdicts-by-seed-*.json"))) == 1
    with monkeypatch.context() as patch:
        patch.setattr(module, "judge_seeds", lambda *_: 1 / 0)
        assert published(tmp_path)[0].by_seed == first
    publish(tmp_path, answers({seed: {"native": 20, "area_matched": 1} for seed in range(3)}))
    assert published(tmp_path)[0].by_seed != first, "other rows, other verdicts"
    (folder / "rows.columns.jsonl.xz").unlink()
    assert published(tmp_path)[0].by_seed == {}


def test_seeds_on_different_sides_are_a_finding_and_runs_with_other_verdicts_too(tmp_path):
    publish(tmp_path, answers(APART))
    publish(tmp_path, answers({seed: {"native": 20, "area_matched": 5} for seed in range(3)}), "nano,encoder=trained")
    found = {(one.id, one.between): one for one in disagreements(published(tmp_path))}
    seeds = found["H1a.equal.nano", f"seeds of {STUDY}/nano"]
    assert [who for who, _ in seeds.said] == ["seed 0", "seed 1", "seed 2"] and "seed 1: -0.150" in seeds.text
    runs = found["H1a.equal.nano", f"runs of {STUDY}"]
    assert "nano: inconclusive" in runs.text and "nano,encoder=trained: supported" in runs.text
    assert len(found) == 2, "what a run does not test is no disagreement"


def test_each_hypothesis_counts_once_and_each_run_has_a_line(tmp_path):
    publish(tmp_path, answers(APART))
    publish(tmp_path, answers(APART), "nano,encoder=trained", encoder="trained")
    runs = published(tmp_path)
    assert [run.variant for run in runs] == ["nano", "nano,encoder=trained"]
    assert "encoder trained" in runs[1].weights and runs[0].scale == "nano"
    frame = claims_frame(claims_beside(runs))
    assert frame["hypothesis"].str.startswith("H1a.equal.nano:").sum() == 2
    own = counts(claims_beside(runs))["Native against fixed resolution"]
    assert own == {"inconclusive": 1, "not tested": 8}, "settings beside the default run do not count twice"


def test_few_fields_are_read_as_they_are_and_another_schema_is_refused(tmp_path):
    path = publish(tmp_path, answers(APART)) / "rows.columns.jsonl.xz"
    few, all_of_them = read_columns(path, ("arm", "score", "absent")), read_rows_xz(path)
    assert list(few) == ["arm", "score"] and len(few) == len(all_of_them)
    assert few["score"].sum() == all_of_them["score"].sum() and few["score"].dtype == float
    manifest = json.loads((path.parent / "manifest.json").read_text())
    assert published(tmp_path)[0].manifest == manifest
