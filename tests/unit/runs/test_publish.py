"""Publishing: what is copied, what is refused, and that the earlier one survives a refusal."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from oryx.errors import RunError, SettingsError
from oryx.evidence.hypotheses import load_hypotheses
from tests.rows import same_rows
from workbook.cli import print_ending
from workbook.runs import publish as publishing
from workbook.runs.publish import publish
from workbook.runs.seeds import report_seeds


def executed(study, settings) -> int:
    """What the notebook runner leaves behind."""
    folder = publishing.notebook_folder(study, settings)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "notebook.ipynb").write_text(
        json.dumps({"cells": [{"source": [f"{settings.source}, seeds {settings.seeds}"]}]})
    )
    return 0


def noisy_png():
    """A smooth picture of many more than 256 colours."""
    red, green = np.meshgrid(np.arange(120), np.arange(120))
    blue = np.random.default_rng(0).integers(0, 20, red.shape)
    out = io.BytesIO()
    Image.fromarray(np.stack([red, green, blue], -1).astype("uint8")).save(out, "PNG")
    return out.getvalue()


def committed(folder):
    """Manifests of a run from a clean checkout."""
    for path in folder.glob("seed-*/manifest.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "dirty": False}))


@pytest.fixture
def ready(finished, monkeypatch):
    study, settings, folder = finished
    (folder / "figures").mkdir()
    (folder / "figures" / "one.png").write_bytes(noisy_png())
    (folder / "figures" / "one.svg").write_text("<svg/>")
    (folder / "figures" / "one.csv").write_text("a,b\n-0.123456789,v1.2345678901.x\n")
    (folder / "figures" / "again.csv").write_bytes((folder / "curves.csv").read_bytes())
    monkeypatch.setattr(publishing, "execute", executed)
    committed(folder)
    return study, settings, folder


def test_a_published_run_reads_as_it_was_and_keeps_its_history(ready, capsys):
    study, settings, _ = ready
    target = publish(study, settings)
    assert {p.name for p in target.iterdir()} == {
        *("rows.parquet", "table.csv", "verdicts.json", "curves.csv", "manifest.json"),
        *("notebook.ipynb", "figures"),
    }
    published = study.run(study.settings({**settings.to_dict(), "source": "published"}))
    assert same_rows(study.collect(settings).rows, published.rows) == []
    print_ending(study, study.settings({**settings.to_dict(), "source": "published", "seeds": [0]}))
    assert "seeds 0, 1, 2" in capsys.readouterr().out, "the seeds of the published rows"
    assert pd.read_csv(target / "table.csv")["seeds"].tolist() == [3, 3]
    manifest = json.loads((target / "manifest.json").read_text())
    assert list(manifest["seeds"]) == ["0", "1", "2"] and manifest["dirty"] is False
    assert manifest["earlier_published_runs"] == []
    publish(study, settings)
    earlier = json.loads((target / "manifest.json").read_text())["earlier_published_runs"]
    assert [run["published"] for run in earlier] == [manifest["published"]]
    assert earlier[0]["seeds"]["1"]["settings_hash"] == settings.settings_hash
    assert "cells within tolerance; cells that differ: 0" in study.collect(settings).comparison
    assert [p.name for p in target.parent.iterdir()] == ["nano"], "nothing staged stays behind"


def test_a_study_without_a_notebook_is_published_without_one(ready, monkeypatch):
    study, settings, _ = ready
    monkeypatch.setattr(type(study), "notebook", "")
    monkeypatch.setattr(publishing, "execute", lambda *_: pytest.fail("there is no notebook to execute"))
    assert not (publish(study, settings) / "notebook.ipynb").exists()


def test_a_run_away_from_the_defaults_is_published_beside_the_default_one(ready):
    study, settings, _ = ready
    default = publish(study, settings)
    other = study.settings({**settings.to_dict(), "steps": settings.steps + 1})
    study.run(other)
    committed(study.run_folder(other))
    (study.run_folder(other) / "figures").mkdir(exist_ok=True)
    target = publish(study, other)
    assert target.name == f"nano,steps={other.steps}" and default.exists()
    assert not (target / "notebook.ipynb").exists(), "the default run's notebook, with other parameters"
    assert "no comparison" not in study.collect(other).comparison


def test_pictures_are_published_as_they_are_and_nothing_twice_or_too_large(ready):
    study, settings, folder = ready
    (folder / "figures" / "large.svg").write_text("<svg>" + " " * publishing.MOST_FIGURE_BYTES + "</svg>")
    target = publish(study, settings)
    assert sorted(path.name for path in (target / "figures").iterdir()) == ["one.csv", "one.png", "one.svg"]
    for name in ("figures/one.png", "figures/one.svg", "notebook.ipynb"):
        assert (target / name).read_bytes() == (folder / name).read_bytes()
    assert (target / "figures" / "one.csv").read_text() == "a,b\n-0.123457,v1.2345678901.x\n"


def test_unfit_settings_are_refused(finished):
    study, settings, _ = finished
    for values, message in (
        ({"scale": "smoke"}, "smoke is never published"),
        ({"seeds": [0, 1]}, "at least 3 seeds"),
        ({"seeds": [0, 1, 3]}, "names seeds 0, 1, 2 for the report run of nano, got 0, 1, 3: which seeds count"),
        ({"seeds": [0, 1, 2, 3]}, "names seeds 0, 1, 2 .* got 0, 1, 2, 3"),
        ({"seeds": [0, 1, 2], "scale": "medium"}, "names no seeds for the report run of medium"),
    ):
        with pytest.raises(SettingsError, match=message):
            publish(study, study.settings({**settings.to_dict(), **values}))


def test_an_unfinished_seed_is_refused(ready):
    study, settings, folder = ready
    (folder / "seed-1" / "arms" / "native" / "done").unlink()
    with pytest.raises(RunError, match="seed-1 is not finished"):
        publish(study, settings)


@pytest.mark.parametrize("dirty", [True, None])
def test_uncommitted_code_is_refused_or_recorded(ready, dirty):
    study, settings, folder = ready
    path = folder / "seed-2" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "attempts": [{"dirty": dirty}]}))
    with pytest.raises(RunError, match="seeds 2 ran from a tree with uncommitted changes"):
        publish(study, settings)
    target = publish(study, settings, allow_dirty=True)
    assert json.loads((target / "manifest.json").read_text())["dirty"] is True


def _change_rows(folder, **values):
    for path in folder.glob("seed-*/arms/*/rows.jsonl"):
        rows = [json.loads(line) | values for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_failed_items_and_rows_of_the_dev_split_are_refused(ready):
    study, settings, folder = ready
    _change_rows(folder, split="dev")
    with pytest.raises(RunError, match="rows are of split dev: only 'report'"):
        publish(study, settings)
    _change_rows(folder, error="gone", answer=None, score=None)
    with pytest.raises(RunError, match="36 of 36 items failed"):
        publish(study, settings)


def test_a_refusal_leaves_the_earlier_publication(ready, monkeypatch):
    study, settings, _ = ready
    target = publish(study, settings)
    before = (target / "manifest.json").read_bytes()
    with monkeypatch.context() as patch, pytest.raises(RunError, match="the limit is 10"):
        patch.setattr(publishing, "MOST_ROW_BYTES", 10)
        publish(study, settings)
    monkeypatch.setattr(publishing.shutil, "copyfile", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(RunError, match=r"cannot be written .*No space left.*unchanged"):
        publish(study, settings)
    assert (target / "manifest.json").read_bytes() == before
    assert [p.name for p in target.parent.iterdir()] == ["nano"]


def test_a_redrawn_publication_keeps_its_rows_and_says_so(ready, monkeypatch):
    study, settings, _ = ready
    target = publish(study, settings)
    before = {path.name: path.read_bytes() for path in target.glob("*") if path.is_file()}
    shown = study.settings({**settings.to_dict(), "source": "published", "seeds": [0]})

    def draw(self, run, settings):
        (run.folder / "figures" / "new.png").write_bytes(noisy_png())

    monkeypatch.setattr(type(study), "draw", draw)
    monkeypatch.setattr(publishing, "git_state", lambda: ("c0ffee", True))
    with pytest.raises(RunError, match="uncommitted changes"):
        publishing.redraw(study, shown)
    monkeypatch.setattr(publishing, "git_state", lambda: ("c0ffee", False))
    assert publishing.redraw(study, shown) == target
    after = {path.name: path.read_bytes() for path in target.glob("*") if path.is_file()}
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"notebook.ipynb", "manifest.json"} and b"published, seeds (0, 1, 2)" in after["notebook.ipynb"]
    manifest = json.loads(after["manifest.json"])
    assert manifest.pop("redrawn")["commit"] == "c0ffee" and manifest == json.loads(before["manifest.json"])
    assert sorted(path.name for path in (target / "figures").iterdir()) == ["new.png", "one.csv"]


def test_a_run_that_is_judged_otherwise_keeps_what_it_was_before(ready, monkeypatch):
    study, settings, _ = ready
    target, now = publish(study, settings), [{"id": "H1", "verdict": "supported"}]
    first = {v["id"]: v["verdict"] for v in json.loads((target / "verdicts.json").read_text())}
    shown = study.settings({**settings.to_dict(), "source": "published"})
    monkeypatch.setattr(type(study), "judged", lambda *_: now)
    monkeypatch.setattr(type(study), "draw", lambda *_: None)
    for verdict in ("supported", "supported", "inconclusive"):
        now[0]["verdict"] = verdict
        publishing.redraw(study, shown, allow_dirty=True)
    assert json.loads((target / "verdicts.json").read_text()) == now
    earlier = json.loads((target / "manifest.json").read_text())["earlier_verdicts"]
    assert [each["verdicts"] for each in earlier] == [first, {"H1": "supported"}]
    assert {each["by"]["file"] for each in earlier} == {"hypotheses.toml"}


def test_a_notebook_that_fails_leaves_the_publication_as_it_was(ready, monkeypatch):
    study, settings, _ = ready
    target = publish(study, settings)
    monkeypatch.setattr(publishing, "execute", lambda *_: 4)
    with pytest.raises(RunError, match="ended with code 4"):
        publishing.redraw(study, study.settings({**settings.to_dict(), "source": "published"}), allow_dirty=True)
    assert (target / "figures" / "one.png").exists()


def test_a_run_of_one_seed_names_the_seeds_of_the_report_run(ready, tmp_path, monkeypatch, capsys):
    study, settings, _ = ready
    one, path = settings.model_copy(update={"seeds": (0,)}), tmp_path / "h.toml"
    for stated, said in (("[report.nano]\nseeds = [5, 6, 9]", "with --seeds 5,6,9\n"), ("", "from 3 on\n")):
        path.write_text(stated)
        monkeypatch.setattr(type(study), "hypotheses_file", path)
        print_ending(study, one)
        assert said in capsys.readouterr().out


def test_released_weights_are_published_with_the_one_seed_that_they_have(ready, monkeypatch):
    study, settings, _ = ready
    monkeypatch.setattr(type(study), "released_scales", ("nano",), raising=False)
    target = publish(study, settings.model_copy(update={"seeds": (0,)}))
    assert list(json.loads((target / "manifest.json").read_text())["seeds"]) == ["0"]
    verdicts = {v["verdict"].partition(":")[0] for v in json.loads((target / "verdicts.json").read_text())}
    assert verdicts <= {"one model", "not tested", "not learned"}
    with pytest.raises(SettingsError, match="one model, which gives the same answers again"):
        study.check(settings)


def test_the_seeds_of_a_report_run_stand_beside_its_hypotheses(tmp_path, ready):
    path, stated = tmp_path / "h.toml", ready[0].hypotheses_file.read_text()
    added = '[report."nano,panel=arms"]\nseeds = [5]\n[report.small]\nseeds = ["a"]\n\n[[hypothesis]]'
    path.write_text(stated.replace("[[hypothesis]]", added, 1))
    assert load_hypotheses(path) == ready[0].hypotheses(ready[1]), "they are beside the hypotheses, not among them"
    assert report_seeds(path, "nano") == report_seeds(path, "nano,panel=ratios") == (0, 1, 2)
    assert report_seeds(path, "nano,panel=arms") == (5,)
    assert report_seeds(path, "medium") is None
    with pytest.raises(SettingsError, match=r"h\.toml: report\.small, field seeds"):
        report_seeds(path, "small")
