"""A whole run of the toy study: seeds, jobs, status, manifest, merging, going on, and what goes wrong."""

import json
from contextlib import nullcontext

import pytest

from oryx.errors import MissingResource, RunError, SettingsError
from oryx.evidence.rows import write_published
from oryx.evidence.schema import SCALES
from tests.rows import same_rows
from tests.toy import ChangedToyStudy, ToyStudy
from workbook.cli import STUDIES, find_study
from workbook.report.published import published
from workbook.runs.shards import held, read_status


def toy(tmp_path, **values):
    study = ToyStudy()
    return study, study.settings({"results": str(tmp_path), "jobs": 2, **values})


def test_a_run_makes_rows_tables_verdicts_status_and_manifest(tmp_path):
    study, settings = toy(tmp_path, seeds=[0, 1])
    run = study.run(settings)
    assert len(run.rows) == 2 * 2 * 6 and run.failed == 0 and "24 rows, seeds 0, 1, 0 failed" in repr(run)
    for name in ("table.csv", "verdicts.json", "curves.csv", "comparison.txt"):
        assert (run.folder / name).stat().st_size > 0
    for seed in (0, 1):
        shard = run.folder / f"seed-{seed}"
        assert read_status(shard / "status.json")["state"] == "done"
        manifest = json.loads((shard / "manifest.json").read_text())
        assert manifest["seed"] == seed and manifest["end"] >= manifest["start"] and manifest["attempts"] == []
        assert all(arm["peak_memory_mb"] > 0 for arm in manifest["arms"].values())
        assert all(a["seconds"] >= 0 and a["cpu_seconds"] >= 0 for a in manifest["arms"].values())
        assert (manifest["weights_hash"], manifest["dtype"], manifest["prompts"]) == (
            "w",
            "float32",
            {"number": "read"},
        )
    again = study.run(settings)
    assert same_rows(run.rows, again.rows) == []
    assert again.rows["seconds"].tolist() == run.rows["seconds"].tolist(), "a finished run is not done again"
    assert "4, of which 4 are done" in study.plan(settings)["jobs"]


def test_a_failing_arm_leaves_the_others_and_the_next_run_goes_on(tmp_path):
    study, settings = toy(tmp_path, fail="area_1")
    with pytest.raises(RunError, match=r"1 job\(s\) failed, first area_1, seed 0 with exit code 1") as caught:
        study.run(settings)
    assert "this arm was told to fail" in str(caught.value)
    shard = study.run_folder(settings) / "seed-0"
    assert read_status(shard / "status.json")["state"] == "failed"
    before = (shard / "arms" / "native" / "done").stat().st_mtime_ns
    whole = study.run(study.settings({**settings.to_dict(), "fail": ""}))
    assert len(whole.rows) == 12
    assert (shard / "arms" / "native" / "done").stat().st_mtime_ns == before, "a finished arm is not done again"
    manifest = json.loads((shard / "manifest.json").read_text())
    assert len(manifest["attempts"]) == 1 and manifest["attempts"][0]["end"]
    assert read_status(shard / "status.json")["attempt"] == 2


@pytest.mark.parametrize("values", [{"scale": "paper"}, {"__name__": "__main__", "scale": "paper"}])
def test_a_scale_that_a_study_does_not_have_is_refused_by_name(values):
    with pytest.raises(SettingsError, match=r"^scale 'paper': native_vs_fixed_resolution has smoke, nano, medium$"):
        ToyStudy().settings(values)


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_the_scales_of_its_presets(name):
    study = find_study(name)
    own = {"nano", *study.settings_class.presets}
    assert {"smoke", "nano"} <= own <= set(SCALES)
    for scale in SCALES:
        with (
            nullcontext() if scale in own else pytest.raises(SettingsError, match=f"scale '{scale}': {name} has smoke")
        ):
            assert study.settings(scale=scale).scale == scale


def test_failed_items_are_counted_not_scored(tmp_path):
    study, settings = toy(tmp_path, errors=1)
    run = study.run(settings)
    assert run.failed == 2 and run.rows["score"].isna().sum() == 2


def test_shared_weights_come_before_the_arms(tmp_path):
    study, settings = toy(tmp_path, from_scratch=True, seeds=[3])
    run = study.run(settings)
    assert len(run.rows) == 12
    assert (run.folder / "seed-3" / "arms" / "shared" / "weights.json").read_text().strip() == "3"
    manifest = json.loads((run.folder / "seed-3" / "manifest.json").read_text())
    assert "shared" in manifest["arms"], "what a seed costs includes the job that the others wait for"


def test_arms_of_other_weights_are_laid_aside(tmp_path, capsys):
    study, settings = toy(tmp_path)
    old = study.run(settings)
    with pytest.raises(RunError, match="is not finished with these settings, weights and data"):
        ChangedToyStudy().collect(settings)
    new = ChangedToyStudy().run(settings)
    assert set(old.rows["weights_hash"]) == {"w"} and set(new.rows["weights_hash"]) == {"other"}
    assert len(list((new.folder / "seed-0" / "outdated").glob("*/rows.jsonl"))) == 2, "the earlier rows are kept"
    assert "have changed; kept in" in capsys.readouterr().out


def test_two_runs_on_one_seed_are_refused(tmp_path):
    study, settings = toy(tmp_path)
    with held(study.run_folder(settings) / "seed-0"), pytest.raises(RunError, match="seed-0 is in use by process"):
        study.run(settings)
    assert not (study.run_folder(settings) / "seed-0" / "arms").exists()


def test_a_time_limit_ends_the_run_and_says_so(tmp_path):
    study, settings = toy(tmp_path, limit_minutes=0.02, seconds=0.5)
    with pytest.raises(RunError, match=r"stopped after 0\.02 minutes"):
        study.run(settings)
    assert read_status(study.run_folder(settings) / "seed-0" / "status.json")["state"] == "timeout"


def test_an_unwritable_results_folder_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    study, settings = toy(tmp_path / "file")
    with pytest.raises(RunError, match="cannot be written"):
        study.run(settings)


def test_nothing_published_is_said(tmp_path):
    study, settings = toy(tmp_path, source="published")
    with pytest.raises(MissingResource, match=f"nothing is published in {tmp_path}/{study.id}/nano; use"):
        study.run(settings)


def test_auto_is_the_published_rows_of_these_settings_and_seeds_and_else_a_run(tmp_path):
    study, settings = toy(tmp_path, seeds=[0, 1, 2])
    folder = tmp_path / study.id / "nano"
    folder.mkdir(parents=True)
    manifest = {"settings_hash": settings.settings_hash, "seeds": {"0": {}, "1": {}, "2": {}}}

    def shown(**values):
        made = study.settings({"results": str(tmp_path), "source": "auto", **values})
        return made.source, made.seeds

    assert shown() == ("run", (0,)), "nothing is published"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert shown() == shown(seeds=[2, 1]) == ("published", (0, 1, 2)), "with every seed that was published"
    assert shown(seeds=[3]) == ("run", (3,)) and shown(items=7)[0] == shown(scale="smoke")[0] == "run"
    (folder / "manifest.json").write_text(json.dumps(manifest | {"settings_hash": "of an earlier preset"}))
    assert shown() == ("run", (0,)), "other settings of the same name"
    (folder / "manifest.json").write_text("{}")
    assert shown() == ("run", (0,)), "no manifest of a publication"


def test_published_rows_are_the_repositorys_in_a_folder_that_has_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = find_study(next(iter(STUDIES)))
    settings = study.settings({"source": "auto"})
    assert settings.source == "published" and len(settings.seeds) > 1 and published("results")
    run = study.run(settings)
    assert len(run.rows) and 'source="run" computes them anew' in repr(run)
    assert study.run_folder(settings.model_copy(update={"source": "run"})).parts[0] == "results", "runs are made here"
    (tmp_path / "results" / study.id).mkdir(parents=True)
    with pytest.raises(MissingResource, match=f"nothing is published in {tmp_path}"):
        study.run(settings)


def test_published_runs_of_the_scale_are_found_the_default_one_first(tmp_path):
    study, settings = toy(tmp_path)
    assert study.published_rows(settings) == []
    rows = study.run(settings).rows
    for place, item in (("nano,kind=fancy", "b"), ("nano", "a"), ("small", "c")):
        (tmp_path / study.id / place).mkdir(parents=True)
        write_published(rows.head(1).assign(item=item), tmp_path / study.id / place / "rows.parquet")
    assert [found["item"].tolist() for found in study.published_rows(settings)] == [["a"], ["b"]]
