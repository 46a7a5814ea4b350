"""A committed result run again from its manifest alone: identical rows, or honest about what is not as it was."""

import json
import re
import shutil

import pytest

from oryx.errors import RunError, SettingsError
from oryx.evidence.rows import read_published, read_rows, write_published
from oryx.evidence.schema import PUBLISHED
from tests.rows import same_rows
from tests.toy import ToyStudy
from workbook import cli
from workbook.runs.difference import read_side
from workbook.runs.rerun import rerun


@pytest.fixture
def committed(three_seeds, tmp_path, monkeypatch):
    """The folder of a published toy run; the toy bears a real study's name, so the command line is told."""
    study, settings, run = three_seeds
    monkeypatch.setattr(cli, "find_study", lambda name: ToyStudy())
    folder = tmp_path / "published" / study.id / "nano"
    folder.mkdir(parents=True)
    write_published(run.rows, folder / PUBLISHED)
    shutil.copy(run.folder / "verdicts.json", folder)
    manifests = {str(s): json.loads((run.folder / f"seed-{s}" / "manifest.json").read_text()) for s in settings.seeds}
    (folder / "manifest.json").write_text(json.dumps({"study": study.id, "seeds": manifests}))
    return folder


def test_the_same_seed_gives_the_same_rows(committed, tmp_path, capsys):
    """Same machine, same seed: identical rows, timing aside, in another folder and by other processes."""
    results = tmp_path / "again"
    arguments = ["rerun", str(committed / "manifest.json"), "--results", str(results), "--jobs", "2", "--seeds", "0"]
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert "12 pairs" in out and "12 the same but for timing, 0 differ" in out and "identical, timing aside" in out
    assert "settings, weights, data, versions, machine and commit are those of the manifest" in out
    assert "2 of 2 cells the same within tolerance (the half-widths of both" in out
    rows, published = read_rows(list(results.glob("runs/*/*/*/seed-*/arms/*/rows.jsonl"))), committed / PUBLISHED
    assert same_rows(rows, read_published(published)[lambda frame: frame["seed"] == 0]) == []
    assert "identical" in next(results.glob("runs/*/*/*/rerun.txt")).read_text()
    assert len(next(results.glob("runs/*/*/*/rerun.csv")).read_text().splitlines()) == 3
    judged = json.loads(next(results.glob("runs/*/*/*/rerun_verdicts.json")).read_text())
    assert judged["A"] == judged["B"] and all(
        v["seeds"] == 1 for v in judged["A"].values() if v["estimate"] is not None
    )
    assert cli.main(arguments) == 0
    assert "seeds 0 lie there finished and are compared as they are" in capsys.readouterr().out


def test_what_is_not_as_it_was_is_said(committed, finished, capsys):
    manifest = json.loads((committed / "manifest.json").read_text())
    for told in manifest["seeds"].values():
        told["packages"]["torch"] = "1.0"
        told["weights_hash"] = "earlier"
        del told["settings"]["width"]
        told["settings_hash"] = "000000000000"
    (committed / "manifest.json").write_text(json.dumps(manifest))
    rows = read_published(committed / PUBLISHED)
    write_published(rows.assign(score=0.0), committed / PUBLISHED)
    results = finished[1].results  # finished already: this test is about what is said, not about computing
    assert cli.main(["rerun", str(committed / "manifest.json"), "--results", results]) == 3
    out = capsys.readouterr().out
    plain = re.sub(" +", " ", out)
    assert "packages.torch 1.0" in plain and "weights_hash earlier w" in plain
    assert "settings_hash 000000000000 " in plain and "settings.width not recorded 1" in plain
    assert "identical" not in out and "0 of 2 cells the same" in out and "verdicts: 9 of 9 the same" in out


def test_what_cannot_be_run_again_is_refused(committed, tmp_path):
    with pytest.raises(SettingsError, match=r"no manifest\.json there"):
        read_side(tmp_path)
    with pytest.raises(SettingsError, match="expected some of the seeds 0, 1, 2, got 5"):
        read_side(committed, ["0", "5"])
    manifest = json.loads((committed / "manifest.json").read_text())
    manifest["seeds"]["0"]["settings"]["gone"] = 1
    (committed / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SettingsError, match="its seeds have different settings"):
        rerun(ToyStudy(), read_side(committed), str(tmp_path))
    for told in manifest["seeds"].values():
        told["settings"]["gone"] = 1
    (committed / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SettingsError, match=r"does not know its settings .*'gone'.*check out commit"):
        rerun(ToyStudy(), read_side(committed), str(tmp_path))


def test_a_run_is_never_compared_with_itself(finished):
    study, settings, folder = finished
    with pytest.raises(RunError, match="would be compared with itself"):
        rerun(study, read_side(folder), settings.results)
