"""Items that failed are asked again when the run says so, and only then; nothing that was written is lost."""

import json
import re
import shlex

import pytest

from oryx.evidence import store
from oryx.evidence.rows import read_rows
from tests.rows import same_rows
from tests.toy import MendedToyStudy
from workbook import cli
from workbook.runs.seeds import seeds_of

pytestmark = pytest.mark.integration

NAME = "tests.toy:MendedToyStudy"


@pytest.fixture
def failed(tmp_path):
    """(study, settings, jobs) of a run in which two items of the first arm have failed."""
    study = MendedToyStudy()
    settings = study.settings({"results": str(tmp_path), "errors": 2})
    assert study.run(settings).failed == 2
    return study, settings, seeds_of(study, settings)[0].jobs


def retried(study, settings):
    return study.run(settings.model_copy(update={"retry_failed": True}))


def test_failed_items_are_asked_again_on_request_only_and_their_rows_are_kept(failed, tmp_path):
    study, settings, jobs = failed
    rows = jobs[0].folder / "rows.jsonl"
    before = rows.read_bytes().splitlines()
    (tmp_path / "mended").touch()
    assert study.run(settings).failed == 2, "the same command leaves them alone"
    run = retried(study, settings)
    assert run.failed == 0 and len(run.rows) == 12
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mended").touch()
    expected = study.run(settings.model_copy(update={"results": str(tmp_path / "other")}))
    assert same_rows(run.rows, expected.rows) == []
    assert (jobs[0].folder / "failed.jsonl").read_bytes().splitlines() == before[:2], "byte for byte"
    assert rows.read_bytes().splitlines()[:4] == before[2:], "answered rows stay"
    assert json.loads((jobs[0].folder / "done").read_text())["rows"] == 6
    assert settings.settings_hash == settings.model_copy(update={"retry_failed": True}).settings_hash


def test_what_fails_again_is_kept_every_time_and_jobs_without_failures_are_not_touched(failed):
    study, settings, (first, second) = failed
    files = [second.folder / name for name in ("done", "rows.jsonl")]
    times = [path.stat().st_mtime_ns for path in files]
    for attempts in (1, 2):
        assert retried(study, settings).failed == 2
        assert len((first.folder / "failed.jsonl").read_text().splitlines()) == 2 * attempts
    assert [path.stat().st_mtime_ns for path in files] == times and not (second.folder / "failed.jsonl").exists()


@pytest.mark.parametrize("written", range(2))
def test_a_kill_while_failed_rows_are_laid_aside_loses_none(failed, tmp_path, monkeypatch, written):
    """Killed before the first or the second file is written; the next attempt goes on."""
    study, settings, (first, _) = failed
    before = (first.folder / "rows.jsonl").read_bytes().splitlines()
    real, calls = store.atomic_write_bytes, []

    def killed(path, data):
        calls.append(path)
        if len(calls) > written:
            raise KeyboardInterrupt
        return real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(store, "atomic_write_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            retried(study, settings)
    there = (first.folder / "rows.jsonl").read_bytes().splitlines()
    aside = first.folder / "failed.jsonl"
    there += aside.read_bytes().splitlines() if aside.exists() else []
    assert set(there) == set(before) and not first.done
    (tmp_path / "mended").touch()
    run = retried(study, settings)
    assert run.failed == 0 and len(run.rows) == 12
    assert aside.read_bytes().splitlines() == before[:2], "none lost, none doubled"


def test_rows_of_several_processes_that_were_killed_are_looked_at_too(failed):
    _, _, (first, _) = failed
    rows = first.folder / "rows.jsonl"
    lines = rows.read_bytes().splitlines(keepends=True)
    (first.folder / "rows.part-1.jsonl").write_bytes(lines[0])
    rows.write_bytes(b"".join(lines[1:]))
    first.reopen()
    assert len(read_rows(rows)) == 4 and not list(first.folder.glob("rows.part-*"))
    assert len((first.folder / "failed.jsonl").read_bytes().splitlines()) == 2


def test_the_ending_names_the_command_that_asks_them_again(tmp_path, capsys):
    arguments = ["run", NAME, "--no-notebook", "--results", str(tmp_path), "-p", "errors=1"]
    for flags, code in (["--no-merge"], 0), ([], 3):
        assert cli.main([*arguments, *flags]) == code
        out = capsys.readouterr().out
        assert "1 items failed; their rows name the error" in out
    (tmp_path / "mended").touch()
    command = shlex.split(re.search("to ask them again: (.*)", out)[1])
    assert "--retry-failed" in command and "errors=1" in command
    assert cli.main([*command[3:], "--no-notebook"]) == 0, "the command that was printed"
    assert "items failed" not in capsys.readouterr().out
