"""Execute a study's notebook by papermill, with an honest answer to "did it work?".

Parameters are checked before a kernel starts (papermill only warns about unknown ones). The outcome is taken from the
exception, never from the saved notebook: when a kernel is killed papermill marks every cell as completed.
"""

import inspect
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import oryx
import workbook
from oryx import errors
from oryx.files import atomic_write_text
from workbook.runs import provenance
from workbook.runs.seeds import seeds_of
from workbook.runs.settings import REPOSITORY, StudySettings
from workbook.runs.shards import held, read_status, write_status

if TYPE_CHECKING:
    from workbook.studies.base import Study

DONE, NOTEBOOK_ERROR, KILLED = 0, 4, 137
CODE = (".py", ".toml", ".csv")
NEEDED = ("notebook.ipynb", "table.csv", "curves.csv", "verdicts.json")


def notebook_path(study: "Study") -> Path:
    """The study's notebook in the repository; raises MissingResource, naming the path, if it is not there."""
    path = REPOSITORY / "notebooks" / study.notebook
    if not path.is_file():
        raise errors.MissingResource(f"{path} is missing: notebooks come with the repository; --no-notebook needs none")
    return path


def notebook_folder(study: "Study", settings: StudySettings) -> Path:
    """Where the executed notebook and its status lie: the run's folder, never the published one."""
    if settings.source == "published":
        return Path(settings.results) / "runs" / study.id / settings.variant / "published"
    return study.run_folder(settings)


def execute(study: "Study", settings: StudySettings) -> int:
    """Do the jobs of these settings, then run the notebook; the executed copy is kept, also after a failed cell.

    A copy that was executed to its end from the same code, settings, rows and publications stays as it is.

    ``status.json`` beside it says how it ended, written by this process. Returns 0, 4 (a cell raised: its error is
    printed), the code of the error if a cell raised one of ours (2 usage, 3 failed jobs), or 137 (the kernel was
    killed). Raises RunError if jobs failed.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    logging.getLogger("papermill").setLevel(logging.ERROR)  # it warns of settings that the parameters cell lacks
    source, folder = notebook_path(study), notebook_folder(study, settings)
    status, partial = folder / "status.json", folder / "notebook.partial.ipynb"
    once = settings.model_copy(update={"retry_failed": False})  # the notebook shows what there is
    made_from = {"settings": once.to_dict(), "versions": provenance.versions()}
    runs_jobs = settings.source == "run"
    if runs_jobs and not settings.retry_failed and _as_before(study, settings, source, folder, made_from):
        print(f"{source.name}: nothing has changed since {folder / 'notebook.ipynb'} was executed")
        return DONE
    state, message, code = "killed", "the run was stopped", KILLED
    with held(folder):
        write_status(status, "running", source.name)
        try:
            if runs_jobs:
                study.finish_seeds(settings)
            with tempfile.TemporaryDirectory(prefix="oryx-") as sockets:
                papermill.execute_notebook(
                    str(source),
                    str(partial),
                    parameters=once.parameters(),
                    progress_bar=False,
                    cwd=os.getcwd(),
                    # ipc instead of tcp: no port clashes between parallel runs, and no warning at every start;
                    # a killed kernel leaves its sockets behind, so they lie outside the working folder
                    config=Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}}),
                    stdout_file=sys.stdout,
                    stderr_file=sys.stderr,
                )
            state, message, code = "done", "", DONE
        except errors.OryxError as error:
            state, message = "failed", f"{type(error).__name__}: {error}"
            raise
        except PapermillExecutionError as error:
            state, code = "failed", getattr(getattr(errors, error.ename, None), "exit_code", NOTEBOOK_ERROR)
            message = f"cell {error.cell_index}: {error.ename}: {error.evalue}"
            print(f"{source.name}, {message}", file=sys.stderr)
        except (DeadKernelError, RuntimeError) as error:
            if not (isinstance(error, DeadKernelError) or "Kernel died" in str(error)):  # as it started: RuntimeError
                raise
            message = f"the kernel was killed ({error})"
            print(f"{source.name}: {message}; the same command goes on", file=sys.stderr)
        finally:
            _keep(partial, folder / "notebook.ipynb", f"notebooks/{source.name}")
            write_status(status, state, message, made_from=made_from)
    return code


def _as_before(study: "Study", settings: StudySettings, source: Path, folder: Path, made_from: dict) -> bool:
    """Whether the run is finished and its notebook, made from the same settings, is younger than all that it shows."""
    status, files = read_status(folder / "status.json"), [folder / name for name in NEEDED]
    same = status["state"] == "done" and status.get("made_from") == made_from and all(file.exists() for file in files)
    seeds = seeds_of(study, settings)
    if not same or not all(seed.finished for seed in seeds):
        return False
    code = [
        path for package in (oryx, workbook) for path in Path(package.__path__[0]).rglob("*") if path.suffix in CODE
    ]
    marks = [job.folder / "done" for seed in seeds for job in seed.all_jobs]
    published = Path(settings.results, study.id).glob("*/manifest.json")
    shown = [source, Path(inspect.getfile(type(study))), *code, *marks, *published]
    # a copy from the future, by a clock that was set back, says nothing about what changes until then
    return max(path.stat().st_mtime for path in shown) <= files[0].stat().st_mtime <= time.time()


def _keep(partial: Path, kept: Path, source: str) -> None:
    """Put the executed copy in its place in one step, without this machine's paths."""
    if not partial.exists():
        return
    import nbformat

    book = nbformat.read(partial, as_version=4)
    book.metadata.get("papermill", {}).update(input_path=source, output_path=kept.name)
    atomic_write_text(kept, nbformat.writes(book) + "\n")
    partial.unlink()
