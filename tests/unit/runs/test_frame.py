"""Status, shards, provenance, the command line and a whole run of the toy study."""

import json
import os
import subprocess
import sys

import pytest

from oryx.errors import MissingResource, RunError, SettingsError
from oryx.evidence.rows import same_rows
from oryx.runs import cli
from oryx.runs.doctor import examine
from oryx.runs.provenance import describe_run, reproduce_command
from oryx.runs.publish import publish
from oryx.runs.shards import held
from oryx.runs.status import read_status, write_status
from oryx.studies.native_vs_fixed_resolution import Settings
from tests.toy import ToyStudy


def toy(tmp_path, **values):
    study = ToyStudy()
    return study, study.settings({"results": str(tmp_path), "jobs": 2, **values})


def test_a_running_state_of_a_dead_process_reads_as_killed(tmp_path):
    path = tmp_path / "status.json"
    assert read_status(path)["state"] == "queued"
    write_status(path, "running")
    assert read_status(path)["state"] == "running"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    path.write_text(json.dumps({**json.loads(path.read_text()), "pid": gone.pid}))
    assert read_status(path)["state"] == "killed"
    with pytest.raises(RunError, match="expected one of queued"):
        write_status(path, "finished")


def test_a_shard_is_held_by_one_process(tmp_path):
    with held(tmp_path / "seed-0"):
        shard = f"Path({str(tmp_path / 'seed-0')!r})"
        code = f"from pathlib import Path\nfrom oryx.runs.shards import held\nwith held({shard}): pass"
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"is in use by process {os.getpid()}" in second.stderr
    with held(tmp_path / "seed-0"):
        pass


def test_an_unwritable_folder_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"), held(tmp_path / "file" / "seed-0"):
        pass


def test_a_run_makes_rows_tables_verdicts_status_and_manifest(tmp_path):
    study, settings = toy(tmp_path, seeds=[0, 1])
    run = study.run(settings)
    assert len(run.rows) == 2 * 2 * 6 and run.failed == 0
    for name in ("table.csv", "verdicts.json", "comparison.txt"):
        assert (run.folder / name).stat().st_size > 0
    for seed in (0, 1):
        shard = run.folder / f"seed-{seed}"
        assert read_status(shard / "status.json")["state"] == "done"
        manifest = json.loads((shard / "manifest.json").read_text())
        assert manifest["seed"] == seed and manifest["end"] >= manifest["start"] and manifest["peak_memory_mb"]
    again = study.run(settings)
    assert same_rows(run.rows, again.rows) == []
    assert again.rows["seconds"].tolist() == run.rows["seconds"].tolist(), "a finished run is not done again"


def test_a_failing_arm_leaves_the_others_and_says_what_failed(tmp_path):
    study, settings = toy(tmp_path, fail="area_1")
    with pytest.raises(RunError, match="area_1, seed 0") as caught:
        study.run(settings)
    assert "this arm was told to fail" in str(caught.value)
    shard = study.run_folder(settings) / "seed-0"
    assert read_status(shard / "status.json")["state"] == "failed"
    assert (shard / "arms" / "native" / "done").exists()


def test_nothing_published_is_said(tmp_path):
    study, settings = toy(tmp_path, source="published")
    with pytest.raises(MissingResource, match="nothing is published"):
        study.run(settings)


def test_publishing_copies_a_finished_run_and_refuses_others(tmp_path):
    study, few = toy(tmp_path, seeds=[0, 1])
    with pytest.raises(SettingsError, match="at least 3 seeds"):
        publish(study, few)
    with pytest.raises(SettingsError, match="smoke is never published"):
        publish(study, study.settings({**few.to_dict(), "scale": "smoke"}))
    _, settings = toy(tmp_path, seeds=[0, 1, 2])
    with pytest.raises(RunError, match="has not been run"):
        publish(study, settings)
    run = study.run(settings)
    (run.folder / "figures").mkdir()
    target = publish(study, settings, allow_dirty=True)
    published = study.run(study.settings({**settings.to_dict(), "source": "published"}))
    assert same_rows(run.rows, published.rows) == []
    publish(study, settings, allow_dirty=True)
    assert len(json.loads((target / "manifest.json").read_text())["earlier_published_runs"]) == 1
    assert "Same as published within tolerance: yes" in study.run(settings).comparison


def test_the_manifest_names_its_command_and_versions():
    settings = Settings.from_mapping({"scale": "smoke", "seeds": [3, 4], "encoder": "trained", "batch": 4})
    manifest = describe_run("native_vs_fixed_resolution", settings, 3)
    command = "python -m oryx run native_vs_fixed_resolution --scale smoke --seeds 3,4 -p encoder=trained -p batch=4"
    assert manifest["reproduce"] == reproduce_command("native_vs_fixed_resolution", settings) == command
    assert manifest["packages"]["torch"] and manifest["hardware"]["cores"] and manifest["settings"]["batch"] == 4


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["run", "native_vs_fixed_resolutoin"], "did you mean 'native_vs_fixed_resolution'"),
        (["run", "native_vs_fixed_resolution", "-p", "train_step=3"], "did you mean 'train_steps'"),
        (["run", "native_vs_fixed_resolution", "-p", "batch"], "expected NAME=VALUE"),
        (["run", "native_vs_fixed_resolution", "-p", "batch=x"], "batch: expected a whole number"),
        (["run", "native_vs_fixed_resolution", "--seeds", "a,b"], "--seeds: expected whole numbers"),
        (["run", "native_vs_fixed_resolution", "--scale", "nan"], "invalid choice"),
        (["run", "native_vs_fixed_resolution", "--scale", "paper"], "needs the public benchmarks"),
        (["rnu", "native_vs_fixed_resolution"], "invalid choice: 'rnu'"),
    ],
)
def test_wrong_words_on_the_command_line_cost_nothing(capsys, arguments, message, monkeypatch):
    monkeypatch.setattr("oryx.runs.notebooks.execute", lambda *a: pytest.fail("a kernel was started"))
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_plan_says_what_a_run_would_cost(capsys):
    assert cli.main(["plan", "all", "--seeds", "0,1,2"]) == 0
    out = capsys.readouterr().out
    assert "CPU minutes" in out and "jobs: 24" in out


def test_status_and_run_without_notebook(tmp_path, capsys):
    arguments = ["run", "tests.toy:ToyStudy", "--no-notebook", "--results", str(tmp_path)]
    assert cli.main([*arguments, "-p", "fail=area_1"]) == 3
    assert cli.main(arguments) == 0
    assert "H1a.equal.nano" in capsys.readouterr().out
    assert cli.main(["status", "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "failed" in out and "done" in out


def test_the_doctor_finds_a_working_installation():
    checks = {check.name: check for check in examine()}
    assert checks["torch"].ok and checks["import name oryx"].ok and checks["shipped data"].ok
    assert all(check.ok for check in checks.values() if check.needed)
