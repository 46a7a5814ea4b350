"""The command line: wrong words cost nothing and name the nearest; verbs say what they should."""

import json
import re
import signal

import pytest

from oryx.errors import RunError
from tests.toy import ToyStudy
from workbook import cli
from workbook.runs.doctor import examine
from workbook.runs.seeds import report_seeds

STUDY = "native_vs_fixed_resolution"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["rnu", STUDY], "invalid choice: 'rnu'.*did you mean 'run'"),
        (["run"], "required: study; see python -m oryx run --help"),
        (["run", "native_vs_fixed_resolutoin"], f"did you mean '{STUDY}'"),
        (["run", STUDY, "--scale", "nan"], "invalid choice: 'nan'.*did you mean 'nano'"),
        (["run", STUDY, "--seed", "0"], "unrecognized arguments: --seed 0.*did you mean '--seeds'"),
        (["run", STUDY, "--seeds", "a,b"], r"seeds\[0\]: expected a valid integer.*got 'a'"),
        (["run", STUDY, "--seeds", "0,0"], "each only once"),
        (["run", "own_data", "--seeds", "stated"], "--seeds stated: own_data states no seeds for nano"),
        (["run", STUDY, "--jobs", "0"], "jobs: expected at least 1, got 0"),
        (["run", STUDY, "-p", "train_step=3"], "did you mean 'train_steps'"),
        (["run", STUDY, "-p", "batch"], "expected NAME=VALUE"),
        (["run", STUDY, "-p", "batch=x"], "batch: expected a valid integer"),
        (["run", STUDY, "-p", "batch=2", "-p", "batch=3"], "-p batch: given twice"),
        (["run", STUDY, "--seeds", "1", "-p", "seeds=2"], "-p seeds: given twice, or an option of its own"),
        (["run", STUDY, "--scale", "paper"], "asks released weights about public benchmarks"),
        (["run", "tests.toy:NoStudy"], "cannot be imported"),
        (["run", "paper_vs_ours"], "a report over results/, not a study: python -m oryx report --notebook"),
        (["diff", "nowhere"], "required: B"),
        (["diff", "nowhere", "elsewhere"], "nowhere: expected a published folder, .*no manifest.json there"),
        (["rerun", "nowhere/manifest.json"], "nowhere/manifest.json: expected a published folder"),
        (["plan"], "expected a study, or --fit MODEL --gpu GB"),
        (["plan", "--fit", "7b"], "expected a study, or --fit MODEL --gpu GB"),
        (["plan", STUDY, "--fit", "7b", "--gpu", "80"], "expected a study, or --fit MODEL --gpu GB"),
        (["plan", STUDY, "--gpu", "8"], "expected a study, or --fit MODEL --gpu GB"),
        (["plan", "--fit", "8b", "--gpu", "80"], "8b: did you mean '7b'.*a folder with config.json"),
        (["plan", "--fit", "7b", "--gpu", "80GB"], "argument --gpu: invalid float value: '80GB'"),
        (["plan", "--fit", "7b", "--gpu", "0"], "GB, frames and TFLOP/s above 0, got 0, 64 and 312"),
        (["plan", "--fit", "7b", "--gpu", "80", "--size", "720"], "--size: expected WIDTHxHEIGHT.*got '720'"),
        (["plan", "--fit", "7b", "--gpu", "80", "--frames", "0"], "above 0, got 80, 0 and 312"),
        (["run", "json:dumps"], "expected a subclass of workbook.studies.base.Study"),
    ],
)
def test_wrong_words_cost_nothing(capsys, arguments, message, monkeypatch):
    monkeypatch.setattr("workbook.runs.notebooks.execute", lambda *_: pytest.fail("a kernel was started"))
    monkeypatch.setattr("workbook.runs.jobs.run_jobs", lambda *_: pytest.fail("a job was started"))
    assert cli.main(arguments) == 2
    err = capsys.readouterr().err
    assert re.search(message, err), err
    assert err.count("\n") == 1, "one line"


def test_plan_says_what_a_run_would_cost(capsys):
    assert cli.main(["plan", "all", "--seeds", "0,1,2"]) == 0
    out = capsys.readouterr().out
    assert "CPU minutes, as published: 41\n" in out and "jobs: 27, of which" in out and "MB, as published: 2050" in out
    each, whole = (re.findall(rf"{name}: (\d+)", out) for name in ("CPU minutes, as published", "workers"))
    assert int(each[-1]) == sum(map(int, each[:-1])) and int(whole[-1]) == sum(map(int, whole[:-1]))
    assert out.count("all of them") == 1 and "not counted" not in out
    assert cli.main(["plan", STUDY, "-p", "train_steps=8"]) == 0
    assert "not measured with these settings" in capsys.readouterr().out


def test_stated_seeds_are_those_of_the_report_run(capsys):
    assert cli.main(["plan", "spatial_correspondence", "--seeds", "stated"]) == 0
    stated = report_seeds(cli.find_study("spatial_correspondence").hypotheses_file, "nano")
    assert len(stated) > 2 and f"seeds: {list(stated)}\n" in capsys.readouterr().out


def test_plan_counts_what_a_gpu_does_apart(capsys):
    assert cli.main(["plan", STUDY, "--scale", "medium"]) == 0
    out = capsys.readouterr().out
    assert "GPU minutes, memory: not measured" in out and "CPU" not in out and "all of them" not in out


def test_plan_lists_parameters_with_defaults_and_meanings(capsys):
    assert cli.main(["plan", STUDY, "--parameters", "--scale", "smoke"]) == 0
    out = capsys.readouterr().out
    assert '  encoder="frozen"\n      ' in out and "(of frozen, trained)" in out and '  scale="smoke"' in out
    assert cli.main(["plan", "all", "--parameters", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert set(listed) == set(cli.STUDIES)
    for name, found in listed.items():
        study = cli.find_study(name)
        values = {line["name"]: line["default"] for line in found if line["default"] is not None}
        assert study.settings(values) == study.settings() and all(line["meaning"] for line in found)


def test_no_words_and_help_show_examples_that_are_understood(capsys):
    assert cli.main([]) == 0
    out = capsys.readouterr().out
    examples = re.findall(r"^  python -m oryx (.*?)  ", out, re.MULTILINE)
    assert len(examples) >= 6 and all(name in out for name in (*cli.STUDIES, *cli.TEMPLATES))
    for example in examples:
        if "VERB" not in example:
            cli.build_parser().parse_args(example.split())
    with pytest.raises(SystemExit):
        cli.main(["run", "--help"])
    assert "own_data" in capsys.readouterr().out


def test_what_programs_read_is_what_people_read(tmp_path, capsys):
    arguments = ["run", "tests.toy:ToyStudy", "--no-notebook", "--results", str(tmp_path)]
    assert cli.main([*arguments, "-p", "fail=area_1"]) == 3
    assert "study 1 of 1: " in capsys.readouterr().out

    def read(*words):
        code = cli.main([*words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    code, (run,) = read("status", "--results", str(tmp_path))
    assert code == 0 and run["state"] == "failed" and (run["arms_started"], run["arms_done"]) == (2, 1)
    code, checks = read("doctor")
    assert code == 0 and [check["name"] for check in checks] == [check.name for check in examine()]
    code, found = read("plan", STUDY, "--scale", "paper")
    assert code == 0 and "asks released weights" in found["plans"][0]["cannot start"] and found["sum"] == {}
    code, found = read("plan", "all")
    assert found["sum"]["CPU minutes, as published"] == sum(
        plan.get("CPU minutes, as published", 0) for plan in found["plans"]
    )
    code, found = read("plan", "--fit", "7b", "--gpu", "80")
    assert code == 0 and found["table"][0]["shown"] == "a picture" and found["assumptions"]


def test_a_table_is_printed_as_latex(tmp_path, capsys):
    (tmp_path / "table.csv").write_text('arm_name,score,note\nnative_1,0.12345,\narea,1,"50 % & more"\n')
    assert cli.main(["report", "--latex", str(tmp_path / "table.csv")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("\\begin{tabular}{lrl}\n\\toprule\narm\\_name & score & note \\\\\n")
    assert "native\\_1 & 0.123 &  \\\\" in out and "area & 1.000 & 50 \\% \\& more" in out
    (tmp_path / "verdicts.json").write_text("[1]")
    for wrong in ("table.txt", "gone.csv", "verdicts.json"):
        assert cli.main(["report", "--latex", str(tmp_path / wrong)]) == 3
        assert "expected a csv file" in (said := capsys.readouterr().err) or "no table there" in said


def test_plan_says_what_would_keep_a_run_from_starting(capsys):
    assert cli.main(["plan", STUDY]) == 0
    assert "cannot start" not in capsys.readouterr().out
    assert cli.main(["plan", STUDY, "--scale", "paper"]) == 0
    assert re.search(r"\n  cannot start: .*asks released weights about public benchmarks", capsys.readouterr().out)


def test_plan_says_what_a_model_would_need(capsys):
    assert cli.main(["plan", "--fit", "34b", "--gpu", "48", "--frames", "100", "--size", "640x480"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"bf16 +100 frames at 4x +[\d,]+ +69.8 +[\d.]+ +no ", out) and "not found" in out
    assert (
        re.search(r"4 bit +100 frames at 16x +[\d,]+ +21.0 +[\d.]+ +yes ", out)
        and "Frames and picture are 640x480" in out
    )


def test_status_run_and_report(tmp_path, capsys):
    arguments = ["run", "tests.toy:ToyStudy", "--no-notebook", "--results", str(tmp_path)]
    assert cli.main(["status", "--results", str(tmp_path)]) == 0
    assert "no runs under" in capsys.readouterr().out
    assert cli.main([*arguments, "-p", "fail=area_1"]) == 3
    assert "this arm was told to fail" in capsys.readouterr().err
    assert cli.main(["status", "--results", str(tmp_path)]) == 0
    assert "seed-0: failed, 1 of 2 started arms done, area_1, seed 0" in capsys.readouterr().out
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert "H1a.equal.nano" in out and "no comparison" in out and f"report: {tmp_path}/runs/report.html" in out
    assert cli.main([*arguments, "-p", "source=published"]) == 2
    assert "nothing is published" in capsys.readouterr().err


def test_seeds_apart_and_merged_later(tmp_path, capsys):
    arguments = ["run", "tests.toy:ToyStudy", "--no-notebook", "--results", str(tmp_path), "-p", "errors=1"]
    study = ToyStudy()
    folder = study.run_folder(study.settings({"results": str(tmp_path), "errors": 1}))
    for seed in ("1", "0"):
        assert cli.main([*arguments, "--no-merge", "--seeds", seed]) == 0, "items failed, jobs did not"
    assert f"seeds 0 done: {folder}" in capsys.readouterr().out
    assert not (folder / "table.csv").exists() and not list(tmp_path.rglob("report.html"))
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("rows.jsonl")}
    assert cli.main([*arguments, "--seeds", "0,1"]) == 3 and len(times) == 4
    assert "seeds 0, 1" in capsys.readouterr().out and (folder / "table.csv").exists()
    assert times == {path: path.stat().st_mtime_ns for path in folder.rglob("rows.jsonl")}, "merged, not run again"
    assert cli.main([*arguments, "--no-merge", "-p", "source=published"]) == 2
    assert "has no jobs" in capsys.readouterr().err


def test_failed_items_give_exit_code_3(tmp_path, capsys):
    arguments = ["run", "tests.toy:ToyStudy", "--no-notebook", "--results", str(tmp_path), "-p", "errors=1"]
    assert cli.main(arguments) == 3
    assert "2 items failed" in capsys.readouterr().out


def test_a_scale_without_hypotheses_is_not_judged_by_those_of_another(tmp_path, capsys):
    arguments = ["run", "tests.toy:ToyStudy", "--no-notebook", "--scale", "medium", "--results", str(tmp_path)]
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert "no verdict: no hypothesis is stated for scale medium" in out and ".nano" not in out


def test_one_study_that_fails_leaves_the_others_alone(tmp_path, capsys, monkeypatch):
    ran = []

    def run_one(study, settings, no_notebook):
        ran.append(study.title)
        raise RunError("broken")

    monkeypatch.setattr(cli, "_run_one", run_one)
    monkeypatch.setattr(cli, "STUDIES", {name: name for name in ("tests.toy:ToyStudy", "tests.toy:ChangedToyStudy")})
    assert cli.main(["run", "all", "--results", str(tmp_path)]) == 3
    assert len(ran) == 2 and capsys.readouterr().err.count("broken") == 2


@pytest.mark.parametrize("stop, code", [(KeyboardInterrupt, 130), (signal.SIGTERM, 143)])
def test_being_stopped_has_a_code_of_its_own(monkeypatch, capsys, stop, code):
    def stopped(*_):
        if stop is KeyboardInterrupt:
            raise stop
        signal.raise_signal(stop)

    monkeypatch.setattr(cli, "_run_one", stopped)
    assert cli.main(["run", "tests.toy:ToyStudy"]) == code
    assert "the same command goes on" in capsys.readouterr().err


def test_the_doctor_finds_a_working_installation(capsys):
    checks = {check.name: check for check in examine()}
    assert checks["torch"].ok and checks["import name oryx"].ok and checks["shipped data"].ok and checks["disk"].ok
    assert all(check.ok for check in checks.values() if check.needed)
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().out.count("\n") == len(checks)


def test_a_folder_that_cannot_be_made_is_one_line_and_a_code(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert cli.main(["report", "--results", str(tmp_path / "file" / "results")]) == 3
    said = capsys.readouterr().err
    assert said.startswith("oryx: ") and "Not a directory" in said and said.count("\n") == 1
