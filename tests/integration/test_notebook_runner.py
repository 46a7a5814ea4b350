"""The notebook runner: what is kept, what the status says, and the exit code, however a notebook ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import papermill
import pytest
from jupyter_client.manager import AsyncKernelManager
from papermill.exceptions import PapermillExecutionError

from oryx.errors import RunError
from tests.toy import MendedToyStudy, ToyStudy
from workbook import cli
from workbook.runs.notebooks import execute
from workbook.runs.shards import held, read_status

pytestmark = pytest.mark.integration
NOTEBOOK = Path(ToyStudy.notebook)


def toy(tmp_path, **values):
    study = ToyStudy()
    settings = study.settings({"results": str(tmp_path), "jobs": 2, **values})
    return study, settings, study.run_folder(settings)


def test_a_kernel_that_is_killed_before_its_first_word_was_killed(tmp_path, monkeypatch, capsys):
    study, settings, folder = toy(tmp_path, seeds=[0])
    starting = AsyncKernelManager._async_start_kernel

    async def killed(manager, **options):
        await starting(manager, **options)
        os.kill(manager.provisioner.pid, signal.SIGKILL)

    monkeypatch.setattr(AsyncKernelManager, "start_kernel", killed)
    assert execute(study, settings) == 137
    assert read_status(folder / "status.json")["state"] == "killed"
    assert "the kernel was killed (Kernel died before replying" in capsys.readouterr().err
    monkeypatch.undo()
    assert execute(study, settings) == 0


def outputs(path) -> str:
    return json.dumps([c.get("outputs") for c in nbformat.read(path, 4).cells])


def test_every_ending_leaves_a_notebook_an_honest_status_and_its_code(tmp_path, capsys):
    """One folder, four runs: finished rows are not computed again, each run replaces notebook and status."""
    study, settings, folder = toy(tmp_path, seeds=[0, 2])
    assert execute(study, settings) == 0
    done = read_status(folder / "status.json")
    assert (done["state"], done["made_from"]["settings"]["seeds"]) == ("done", [0, 2])
    assert "24 rows, seeds 0, 2" in outputs(folder / "notebook.ipynb")
    assert "4.0 of 4 jobs" in capsys.readouterr().err

    assert execute(study, study.settings({**settings.to_dict(), "fail": "cell"})) == 4
    failed = read_status(folder / "status.json")
    assert failed["state"] == "failed" and "ValueError: this cell was told to fail" in failed["message"]
    assert "this cell was told to fail" in outputs(folder / "notebook.ipynb")

    assert execute(study, study.settings({**settings.to_dict(), "fail": "kernel"})) == 137
    assert read_status(folder / "status.json")["state"] == "killed"

    one_more = study.settings({**settings.to_dict(), "fail": "area_1", "seeds": [1]})
    with pytest.raises(RunError, match=r"1 job\(s\) failed"):  # a failed run, not an error of the notebook
        execute(study, one_more)
    assert "RunError" in read_status(folder / "status.json")["message"]
    text = (folder / "notebook.ipynb").read_text()
    paths = nbformat.read(folder / "notebook.ipynb", 4).metadata.papermill
    assert (paths.input_path, paths.output_path) == ("notebooks/toy.ipynb", "notebook.ipynb"), text[:200]
    assert not (folder / "notebook.partial.ipynb").exists()


def test_failed_items_are_asked_again_once_and_the_notebook_shows_what_came_of_it(tmp_path, capsys):
    study = MendedToyStudy()
    settings = study.settings({"results": str(tmp_path), "jobs": 2, "errors": 1})
    folder = study.run_folder(settings)
    assert execute(study, settings) == 0 and "1 failed items" in outputs(folder / "notebook.ipynb")
    again = study.settings({**settings.to_dict(), "retry_failed": True})
    assert execute(study, again) == 0 and "1 failed items" in outputs(folder / "notebook.ipynb")
    assert len(next(iter(folder.rglob("failed.jsonl"))).read_text().splitlines()) == 1, (
        "asked once, not by the notebook too"
    )
    (tmp_path / "mended").touch()
    assert execute(study, again) == 0 and "0 failed items" in outputs(folder / "notebook.ipynb")
    capsys.readouterr()
    assert execute(study, settings) == 0 and "nothing has changed since" in capsys.readouterr().out


def test_a_notebook_is_executed_again_only_if_something_has_changed(tmp_path, capsys, monkeypatch):
    study, settings, folder = toy(tmp_path)
    executed, job = folder / "notebook.ipynb", folder / "seed-0" / "arms" / "native"

    def executes() -> bool:
        before = executed.stat().st_mtime_ns if executed.exists() else 0
        assert execute(study, settings) == 0
        again = executed.stat().st_mtime_ns != before
        assert again != ("nothing has changed" in capsys.readouterr().out)
        return again

    assert executes() and not executes()
    (job / "done").unlink()
    assert executes() and not executes(), "a job was done again"
    (folder / "verdicts.json").unlink()
    assert executes() and not executes(), "a part of the run was missing"
    later = time.time() + 3600
    os.utime(executed, (later, later))
    assert executes() and not executes(), "the clock was set back since: what has changed cannot be told"
    monkeypatch.setattr(ToyStudy, "weights", "other")  # in this process; the notebook's kernel knows the earlier ones
    assert executes(), "the weights have changed"


def test_two_notebooks_on_one_run_are_refused(tmp_path):
    study, settings, folder = toy(tmp_path)
    with held(folder), pytest.raises(RunError, match="is in use by process"):
        execute(study, settings)


def test_reading_the_published_rows_leaves_them_alone(tmp_path):
    study, settings, _ = toy(tmp_path, source="published")
    published = study.published_folder(settings)
    published.mkdir(parents=True)
    assert execute(study, settings) == 2, "nothing is published"
    assert list(published.iterdir()) == []
    assert (tmp_path / "runs" / study.id / "nano" / "published" / "notebook.ipynb").exists()


def test_failed_items_give_exit_code_3(tmp_path, capsys):
    assert cli.main(["run", "tests.toy:ToyStudy", "--results", str(tmp_path), "-p", "errors=1"]) == 3
    assert "2 items failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"sacle": "nano"}, "unknown parameter 'sacle'; did you mean 'scale'"),
        ({"items": "many"}, "items: expected a valid integer.*, got 'many'"),
        ({"study": "other"}, "unknown parameter 'study'"),
        ({"_items": 3}, "unknown parameter '_items'; did you mean 'items'"),
    ],
)
def test_bare_papermill_is_as_strict(tmp_path, parameters, message):
    with pytest.raises(PapermillExecutionError, match=message):
        papermill.execute_notebook(NOTEBOOK, tmp_path / "out.ipynb", parameters, progress_bar=False)


def test_papermill_on_its_own_command_line_delivers_text_and_it_is_read(tmp_path):
    """``true`` and ``[1,2]`` arrive as text there."""
    flags = ["-p", "seeds", "[3,4]", "-p", "from_scratch", "true", "-p", "jobs", "2", "-p", "results", str(tmp_path)]
    call = [sys.executable, "-m", "papermill", str(NOTEBOOK), str(tmp_path / "out.ipynb"), *flags]
    done = subprocess.run([*call, "--no-progress-bar"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "24 rows, seeds 3, 4" in outputs(tmp_path / "out.ipynb")
