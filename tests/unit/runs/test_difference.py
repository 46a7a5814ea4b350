"""Two runs side by side: what changed in settings, inputs, versions, rows, scores and verdicts."""

import json
import re
import shutil

import pytest

from oryx.errors import RunError, SettingsError
from oryx.evidence.rows import write_published
from workbook import cli
from workbook.runs.difference import compared, described, read_side


@pytest.fixture
def two(finished, tmp_path):
    """(a run's folder, a copy of it published as it is)."""
    study, settings, folder = finished
    copy = tmp_path / "results" / study.id / "nano"
    copy.mkdir(parents=True)
    write_published(read_side(folder).rows, copy / "rows.parquet")
    shutil.copy(folder / "verdicts.json", copy)
    manifests = {str(s): json.loads((folder / f"seed-{s}" / "manifest.json").read_text()) for s in settings.seeds}
    (copy / "manifest.json").write_text(json.dumps({"study": study.id, "seeds": manifests}))
    return folder, copy


def test_a_run_and_its_publication_are_the_same(two, capsys):
    assert cli.main(["diff", *map(str, two)]) == 0
    out = capsys.readouterr().out
    assert "settings, inputs, versions, machine and code: the same" in out
    assert "36 pairs" in out and "36 the same but for timing, 0 differ" in out
    assert "2 of 2 cells the same within tolerance" in out and "verdicts: 9 of 9 the same" in out
    assert "without a pair: 0 of A, 0 of B" in out and "identical, timing aside" in out
    assert cli.main(["diff", *map(str, two), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == {"pairs": 36, "differing": 0, "only_a": 0, "only_b": 0} and found["made_from"] == []
    assert [line["same"] for line in found["scores"]] == [True, True] and found["A"]["seeds"] == ["0", "1", "2"]
    assert found["verdicts"]["A"] == found["verdicts"]["B"] and len(found["verdicts"]["A"]) == 9


def test_what_rounding_changes_is_no_difference(two):
    folder, copy = two
    rows = read_side(folder).rows
    run, near, moved = (folder.parent / name for name in ("run", "near", "moved"))
    for side, value in ((run, -1.235), (near, -1.234), (moved, -1.233)):  # the last digits that rows may be rounded to
        shutil.copytree(copy, side)
        write_published(rows.assign(logprob=value), side / "rows.parquet")
    assert "36 the same but for timing, 0 differ" in described(read_side(run), read_side(near))
    assert "0 the same but for timing, 36 differ" in described(read_side(run), read_side(moved))


def test_every_kind_of_change_is_told(two):
    folder, copy = two
    manifest = json.loads((copy / "manifest.json").read_text())
    first = manifest["seeds"]["0"]
    first["settings"] |= {"items": 7, "jobs": 99}
    first["packages"] = {"torch": "9.9"}
    first |= {"weights_hash": "other", "commit": "abc", "hardware": {"cores": 64}}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    rows = read_side(folder).rows
    changed = (rows["arm"] == "native") & (rows["item"] == "report/number/0")
    rows.loc[changed, ["answer", "score"]] = ["0", 1.0]
    rows.loc[rows["arm"] == "area_1", "score"] = 0.0
    write_published(rows[rows["item"] != "report/number/5"], copy / "rows.parquet")
    text = re.sub(" +", " ", described(*map(read_side, two)))
    assert "settings.items 6 7" in text and "jobs" not in text, "how a run was carried out changes no numbers"
    assert re.search(r"packages.torch \S+ 9\.9", text) and "weights_hash w other" in text
    assert re.search(r"commit \S+ abc", text) and re.search(r"hardware.cores \d+ 64", text)
    assert "30 pairs" in text and "without a pair: 6 of A, 0 of B" in text
    assert "answer 3" in text and "area_1 visual report/number/1 0 score 1.0 0.0" in text
    assert "1 of 2 cells" in text and re.search(r"area_1 visual number \S+ 0\.0", text)


def test_what_cannot_be_compared_is_refused(two, tmp_path, capsys):
    folder, copy = two
    assert cli.main(["diff", str(folder), str(tmp_path)]) == 2
    assert "no manifest.json there" in capsys.readouterr().err
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["seeds"]["0"]["study"] = "other"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SettingsError, match="runs of two studies cannot be paired"):
        described(*map(read_side, two))
    (copy / "verdicts.json").write_bytes(b'[{"verdict": "\xff"')
    with pytest.raises(RunError, match=r"verdicts\.json: not a list of verdicts"):
        _ = read_side(copy).verdicts
    (copy / "manifest.json").write_text('{"seed": 0, "command": "python -m oryx.train one_model"}')
    with pytest.raises(RunError, match="not a manifest"):
        read_side(copy)
    (copy / "manifest.json").write_text("{")
    with pytest.raises(RunError, match="not a manifest"):
        read_side(copy)


@pytest.mark.parametrize("seed", [[], 3, "toy", {}, {"study": None}, {"study": "toy", "commit": "\ud800"}])
def test_what_is_no_manifest_of_a_seed_is_refused(two, seed):
    manifest = json.loads((two[1] / "manifest.json").read_text())
    manifest["seeds"]["1"] = seed
    (two[1] / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=r"manifest\.json: not a manifest"):
        read_side(two[1])


def test_one_seed_of_a_run_is_compared_alone(two):
    folder, copy = two
    lines, _ = compared(read_side(folder / "seed-1"), read_side(copy / "manifest.json"))
    assert "12 pairs" in lines[0] and "0 differ; without a pair: 0 of A, 0 of B" in lines[0]


@pytest.mark.parametrize(
    "text",
    [
        *('{"id": 1}', '[{"verdict": "supported"}]', '[{"id": []}]', '[{"id": "a"}, {"id": "a"}]', "3"),
        *('[{"id": "a", "verdict": {}, "estimate": 0, "low": 0, "high": 0}]', '[{"id": "a", "verdict": "supported"}]'),
    ],
)
def test_what_is_no_list_of_verdicts_is_refused(two, text):
    (two[1] / "verdicts.json").write_text(text)
    with pytest.raises(RunError, match="not a list of verdicts"):
        described(*map(read_side, two))
