"""Execute a study's notebook by papermill, with an honest answer to "did it work?".

Parameters are checked before a kernel starts (papermill only warns about unknown ones). The outcome is taken from the
exception, never from the saved notebook: when a kernel is killed papermill marks every cell as completed.
"""

import os
import sys
from pathlib import Path

from oryx.errors import MissingResource
from oryx.runs.settings import StudySettings

DONE, NOTEBOOK_ERROR, KILLED = 0, 4, 137


def notebook_path(study) -> Path:
    """The study's notebook in the repository; raises MissingResource, naming the path, if it is not there."""
    path = Path(__file__).parents[2] / "notebooks" / study.notebook
    if not path.is_file():
        raise MissingResource(f"{path} is missing: notebooks come with the repository; use --no-notebook without it")
    return path


def execute(study, settings: StudySettings) -> int:
    """Run the notebook with these settings; the executed copy is kept in the run's folder, also after a failure.

    Returns 0, 4 (a cell raised: its error is printed) or 137 (the kernel was killed).
    """
    try:
        import papermill
        from nbclient.exceptions import DeadKernelError
        from papermill.exceptions import PapermillExecutionError
        from traitlets.config import Config
    except ImportError as error:
        raise MissingResource(
            f"running notebooks needs papermill ({error}); add --no-notebook to run without"
        ) from error

    source, folder = notebook_path(study), study.run_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    # ipc instead of tcp: no port clashes between parallel runs, and no warning at every start
    quiet = Config({"KernelManager": {"transport": "ipc"}})
    try:
        papermill.execute_notebook(
            str(source),
            str(folder / "notebook.ipynb"),
            parameters=settings.parameters(),
            progress_bar=False,
            cwd=os.getcwd(),
            config=quiet,
            log_output=True,
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
        )
    except PapermillExecutionError as error:
        print(f"{source.name}, cell {error.cell_index}: {error.ename}: {error.evalue}", file=sys.stderr)
        return NOTEBOOK_ERROR
    except DeadKernelError as error:
        print(f"{source.name}: the kernel was killed ({error}); the same command goes on", file=sys.stderr)
        return KILLED
    return DONE
