"""What an executed notebook was made from, as one hash: if it is the same, executing it again shows the same."""

import hashlib
import inspect
import json
from pathlib import Path

import oryx
import workbook
from workbook.runs import provenance
from workbook.runs.seeds import seeds_of
from workbook.runs.settings import StudySettings
from workbook.runs.study import RunnableStudy

CODE = (".py", ".toml", ".csv")
NEEDED = ("notebook.ipynb", "table.csv", "curves.csv", "verdicts.json")


def made_from(study: RunnableStudy, settings: StudySettings, notebook: Path) -> str:
    """sha256 over the notebook, the package's code and data tables, versions, settings, every job's mark and what is
    published of the study; in hex. A job that is done again changes it, for its mark tells the seconds it took."""
    packages = (Path(oryx.__path__[0]), Path(workbook.__path__[0]))
    files = (path for package in packages for path in sorted(package.rglob("*")))
    code = [path for path in files if path.suffix in CODE and "assets" not in path.parts]
    jobs = [job for seed in seeds_of(study, settings) for job in seed.all_jobs]
    marks = [job.folder / name for job in jobs for name in ("job.json", "done")]
    published = sorted((Path(settings.results) / study.id).glob("*/manifest.json"))
    digest = hashlib.sha256(
        json.dumps([settings.to_dict(), study.hashes(settings), provenance.versions()], sort_keys=True).encode()
    )
    for path in (notebook, Path(inspect.getfile(type(study))), *code, *marks, *published):
        digest.update(str(path).encode() + (path.read_bytes() if path.exists() else b""))
    return digest.hexdigest()


def complete(folder: Path) -> bool:
    """Whether the notebook and the tables that a finished run leaves are in its folder."""
    return all((folder / name).exists() for name in NEEDED)
