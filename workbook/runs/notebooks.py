"""Execute a study's notebook by papermill, with an honest answer to "did it work?".

Parameters are checked before a kernel starts (papermill only warns about unknown ones). The outcome is taken from the
exception, never from the saved notebook: when a kernel is killed papermill marks every cell as completed.
"""

import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oryx import errors
from oryx.files import atomic_write_text
from workbook.runs.progress import Display
from workbook.runs.seeds import seeds_of
from workbook.runs.settings import StudySettings
from workbook.runs.shards import held
from workbook.runs.status import read_status, start_attempt, write_status
from workbook.runs.study import RunnableStudy
from workbook.runs.unchanged import complete, made_from

DONE, NOTEBOOK_ERROR, KILLED = 0, 4, 137
KILLED_NOTE = "**The kernel was killed while this notebook ran.** Cells after the last output did not run."
SHOW_SECONDS = 0.5


def notebook_path(study: RunnableStudy) -> Path:
    """The study's notebook in the repository; raises MissingResource, naming the path, if it is not there."""
    path = Path(__file__).parents[2] / "notebooks" / study.notebook
    if not path.is_file():
        raise errors.MissingResource(
            f"{path} is missing: notebooks come with the repository; use --no-notebook without it"
        )
    return path


def notebook_folder(study: RunnableStudy, settings: StudySettings) -> Path:
    """Where the executed notebook and its status lie: the run's folder, never the published one."""
    if settings.source == "published":
        return Path(settings.results) / "runs" / study.id / settings.variant / "published"
    return study.run_folder(settings)


def execute(study: RunnableStudy, settings: StudySettings) -> int:
    """Run the notebook with these settings; the executed copy is kept in the run's folder, also after a failure.

    A copy that was executed to its end from the same code, settings, rows and publications stays as it is.

    ``status.json`` beside it says how it ended, written by this process. Returns 0, 4 (a cell raised: its error is
    printed), the code of the error if a cell raised one of ours (2 usage, 3 failed jobs), or 137 (the kernel was
    killed).
    """
    try:
        import papermill
        from nbclient.exceptions import DeadKernelError
        from papermill.exceptions import PapermillExecutionError
        from traitlets.config import Config
    except ImportError as error:
        raise errors.MissingResource(
            f"running notebooks needs papermill ({error}); add --no-notebook to run without"
        ) from error

    source, folder = notebook_path(study), notebook_folder(study, settings)
    status, partial = folder / "status.json", folder / "notebook.partial.ipynb"
    runs_jobs = settings.source == "run"
    if runs_jobs and _as_before(study, settings, source, folder):
        print(f"{source.name}: nothing has changed since {folder / 'notebook.ipynb'} was executed")
        return DONE
    state, message, code, note = "killed", "the run was stopped", KILLED, KILLED_NOTE
    with held(folder):
        start_attempt(status)
        write_status(status, "running", source.name)
        try:
            with _shown(study, settings), _quiet(), tempfile.TemporaryDirectory(prefix="oryx-") as sockets:
                papermill.execute_notebook(
                    str(source),
                    str(partial),
                    parameters=settings.parameters(),
                    progress_bar=False,
                    cwd=os.getcwd(),
                    # ipc instead of tcp: no port clashes between parallel runs, and no warning at every start;
                    # a killed kernel leaves its sockets behind, so they lie outside the working folder
                    config=Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}}),
                    stdout_file=sys.stdout,
                    stderr_file=sys.stderr,
                )
            state, message, code, note = "done", "", DONE, ""
        except PapermillExecutionError as error:
            message, code = f"cell {error.cell_index}: {error.ename}: {error.evalue}", _code(error.ename)
            state, note = "failed", ""
            print(f"{source.name}, {message}", file=sys.stderr)
        except DeadKernelError as error:
            message = f"the kernel was killed ({error})"
            print(f"{source.name}: {message}; the same command goes on", file=sys.stderr)
        finally:
            _keep(partial, folder / "notebook.ipynb", f"notebooks/{source.name}", note)
            made = {"made_from": made_from(study, settings, source)} if runs_jobs else {}
            write_status(status, state, message, seeds=list(settings.seeds), **made)
    return code


def _as_before(study: RunnableStudy, settings: StudySettings, source: Path, folder: Path) -> bool:
    status = read_status(folder / "status.json")
    if status["state"] != "done" or not complete(folder):
        return False
    return status.get("made_from") == made_from(study, settings, source)


@contextmanager
def _quiet() -> Iterator[None]:
    # papermill warns of every setting that the parameters cell does not name; ours are checked already
    logger = logging.getLogger("papermill")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _code(name: str) -> int:
    kind = getattr(errors, name, None)
    ours = (errors.RunError, errors.SettingsError, errors.MissingResource, errors.CheckpointError)
    return kind.exit_code if kind in ours else NOTEBOOK_ERROR


@contextmanager
def _shown(study: RunnableStudy, settings: StudySettings) -> Iterator[None]:
    """Show here how far the jobs are that the notebook's kernel runs."""
    seeds = [] if settings.source == "published" else seeds_of(study, settings)
    jobs = [job for seed in seeds for job in seed.all_jobs]
    over = threading.Event()

    def show() -> None:
        if all(job.done and not job.outdated for job in jobs):
            return
        display = Display(jobs)
        while not over.wait(SHOW_SECONDS):
            display.update()
        display.close()

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _keep(partial: Path, kept: Path, source: str, note: str) -> None:
    """Put the executed copy in its place in one step, without this machine's paths, and with ``note`` on top."""
    if not partial.exists():
        return
    import nbformat

    book = nbformat.read(partial, as_version=4)
    book.metadata.get("papermill", {}).update(input_path=source, output_path=kept.name)
    if note:
        book.cells.insert(0, nbformat.v4.new_markdown_cell(note))
    atomic_write_text(kept, nbformat.writes(book) + "\n")
    partial.unlink()
