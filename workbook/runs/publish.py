"""Copy a finished run into ``results/<study>/<scale>/``, the published reference that is committed.

Settings away from the scale's preset have a folder of their own beside it: ``results/<study>/<scale>,<name>=<value>/``.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from oryx.errors import RunError, SettingsError
from oryx.evidence.rows import write_published
from oryx.evidence.stats import LEAST_SEEDS, MOST_FAILED
from oryx.files import atomic_write_json
from workbook.runs.notebooks import execute, notebook_folder
from workbook.runs.provenance import git_state, now
from workbook.runs.settings import StudySettings
from workbook.runs.status import read_status
from workbook.runs.study import RunnableStudy

MOST_ROW_BYTES = 3_000_000
MOST_SVG_BYTES = 300_000
LONG_NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d{6,}(?:e[-+]?\d+)?(?![\w.])")
REPORT_SEEDS = range(5)
MACHINE = ("pid", "born", "host")
"""Fields of a status that mean something on the machine of the run only."""


def publish(study: RunnableStudy, settings: StudySettings, allow_dirty: bool = False) -> Path:
    """Publish the run of these settings and seeds; returns the folder. The earlier one is replaced whole or not at all.

    The executed notebook is kept of the default run of a scale only: that of another run is the same story with the
    same pictures, half a megabyte each, and ``source="published"`` shows it again in seconds.

    Raises SettingsError for scale smoke, too few seeds or seeds outside 0 to 4, or a study that brings its own
    hypotheses, and RunError if a seed is unfinished, more than 1 % of the items failed, rows are of another split than
    ``report`` or too large, the notebook that is to be kept was not executed with these settings, or the run was made
    from a tree with uncommitted changes or outside git (``allow_dirty`` records that instead).
    """
    if settings.scale == "smoke":
        raise SettingsError("scale smoke is never published: its models are barely trained")
    if len(settings.seeds) < LEAST_SEEDS:
        raise SettingsError(f"publishing needs at least {LEAST_SEEDS} seeds, got {list(settings.seeds)}")
    if unfit := [seed for seed in settings.seeds if seed not in REPORT_SEEDS]:
        raise SettingsError(f"report runs use seeds 0 to {max(REPORT_SEEDS)}, got {unfit}: designs are tuned on others")
    if study.hypotheses_file is None:
        raise SettingsError(f"{study.id} makes up its hypotheses; published are those that a file stated before")
    run = study.collect(settings)
    manifests, states = _of_seeds(run.folder, settings)
    if (dirty := _dirty(manifests)) and not allow_dirty:
        raise RunError(
            f"seeds {', '.join(dirty)} ran from a tree with uncommitted changes: commit and run again, or publish with "
            "--allow-dirty, which the manifest then says"
        )
    if run.failed > MOST_FAILED * len(run.rows):
        raise RunError(f"{run.failed} of {len(run.rows)} items failed; more than {MOST_FAILED:.0%} is not published")
    if (splits := sorted(run.rows["split"].unique())) != ["report"]:
        raise RunError(f"rows are of split {', '.join(splits)}: only 'report' is published")
    notebook = _notebook(study, settings) if settings.variant == settings.scale else None
    target = study.published_folder(settings)
    with _staged(target) as staged:
        size = write_published(run.rows, staged / "rows.parquet").stat().st_size
        if size > MOST_ROW_BYTES:
            raise RunError(f"rows.parquet would have {size} bytes, the limit is {MOST_ROW_BYTES}")
        for name in ("table.csv", "verdicts.json", "curves.csv", *study.tables):
            shutil.copyfile(run.folder / name, staged / name)
        shutil.copytree(run.folder / "figures", staged / "figures")
        _lighten(staged)
        if notebook is not None:
            shutil.copyfile(notebook, staged / notebook.name)
        atomic_write_json(staged / "status.json", states)
        manifest = {
            "study": study.id,
            "scale": settings.scale,
            "settings_hash": settings.settings_hash,
            "published": now(),
            "dirty": bool(dirty),
            "seeds": manifests,
            "earlier_published_runs": _history(target),
        }
        atomic_write_json(staged / "manifest.json", manifest)
    return target


def redraw(study: RunnableStudy, settings: StudySettings, allow_dirty: bool = False) -> Path:
    """Draw a published run's figures and execute its notebook, if it has one, again: from its rows, with today's code.

    No row, table or verdict changes, and the manifest says when and from which commit it was redrawn. Raises
    MissingResource if nothing is published, RunError if the notebook fails or the tree has uncommitted changes
    (``allow_dirty`` records that instead).
    """
    commit, dirty = git_state()
    if dirty is not False and not allow_dirty:
        raise RunError("the tree has uncommitted changes: commit and redraw again, or add --allow-dirty")
    target, run = study.published_folder(settings), study.run(settings)
    seeds = json.loads((target / "manifest.json").read_text())["seeds"]
    shown, notebook = settings.model_copy(update={"seeds": tuple(map(int, seeds))}), None
    if settings.variant == settings.scale:
        if code := execute(study, shown):
            raise RunError(f"the notebook of {target} ended with code {code}; what was published is unchanged")
        notebook = notebook_folder(study, shown) / "notebook.ipynb"
    with _staged(target) as staged:
        shutil.copytree(target, staged, dirs_exist_ok=True)
        for drawn in [*(staged / "figures").glob("*.png"), *(staged / "figures").glob("*.svg")]:
            drawn.unlink()
        study.draw(replace(run, folder=staged), shown)
        _lighten(staged)
        if notebook is not None:
            shutil.copyfile(notebook, staged / notebook.name)
        manifest = json.loads((staged / "manifest.json").read_text())
        again = {"at": now(), "commit": commit, "dirty": dirty}
        atomic_write_json(staged / "manifest.json", {**manifest, "redrawn": again})
    return target


@contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """A new folder that takes the place of ``target`` at the end, or vanishes if anything fails before."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        yield staged
        os.chmod(staged, 0o755)
        _swap(staged, target)
    except OSError as error:
        raise RunError(f"{target} cannot be written ({error}); what was published before is unchanged") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _lighten(staged: Path) -> None:
    """Six digits in tables, no figure's data twice, no drawing (svg) of more than MOST_SVG_BYTES."""
    for path in (*staged.glob("*.csv"), *(staged / "figures").glob("*.csv")):
        path.write_text(LONG_NUMBER.sub(lambda number: f"{float(number[0]):.6g}", path.read_text("utf-8")), "utf-8")
    tables = {path.read_bytes() for path in staged.glob("*.csv")}
    for path in (staged / "figures").iterdir():
        large = path.suffix == ".svg" and path.stat().st_size > MOST_SVG_BYTES
        if large or (path.suffix == ".csv" and path.read_bytes() in tables):
            path.unlink()


def _of_seeds(folder: Path, settings: StudySettings) -> tuple[dict[str, dict], dict[str, dict]]:
    manifests, states = {}, {}
    for seed in settings.seeds:
        shard = folder / f"seed-{seed}"
        manifests[str(seed)] = json.loads((shard / "manifest.json").read_text())
        state = read_status(shard / "status.json")
        states[str(seed)] = {name: value for name, value in state.items() if name not in MACHINE}
    return manifests, states


def _dirty(manifests: dict[str, dict]) -> list[str]:
    # rows may come from several attempts at a seed; each must be of a commit
    return [
        seed
        for seed, manifest in manifests.items()
        if any(attempt["dirty"] is not False for attempt in (manifest, *manifest["attempts"]))
    ]


def _notebook(study: RunnableStudy, settings: StudySettings) -> Path:
    folder = notebook_folder(study, settings)
    state = read_status(folder / "status.json")
    if state["state"] != "done" or state["seeds"] != list(settings.seeds):
        raise RunError(
            f"{folder / 'notebook.ipynb'} was not executed to its end with these seeds: run the same "
            "command without --no-notebook (finished rows are not computed again)"
        )
    return folder / "notebook.ipynb"


def _history(target: Path) -> list[dict]:
    """Every earlier published run of this study and scale: per seed its settings hash, start and commit."""
    try:
        old = json.loads((target / "manifest.json").read_text())
    except FileNotFoundError:
        return []
    kept = ("settings_hash", "weights_hash", "data_hash", "start", "commit")
    last = {seed: {name: m.get(name) for name in kept} for seed, m in old["seeds"].items()}
    return [*old["earlier_published_runs"], {"published": old.get("published"), "seeds": last}]


def _swap(staged: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}.old.tmp")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    try:
        staged.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
