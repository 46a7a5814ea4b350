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
from typing import TYPE_CHECKING

from oryx.errors import RunError, SettingsError
from oryx.evidence.rows import read_published, write_published
from oryx.evidence.stats import LEAST_SEEDS, MOST_FAILED
from oryx.files import atomic_write_json
from workbook.runs.notebooks import execute, notebook_folder
from workbook.runs.provenance import git_state, now, stated_in
from workbook.runs.seeds import report_seeds
from workbook.runs.settings import StudySettings

if TYPE_CHECKING:
    from workbook.studies.base import Study

MOST_ROW_BYTES = 3_000_000
MOST_FIGURE_BYTES = 300_000
LONG_NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d{6,}(?:e[-+]?\d+)?(?![\w.])")


def publish(study: "Study", settings: StudySettings, allow_dirty: bool = False) -> Path:
    """Publish the run of these settings and seeds; returns the folder. The earlier one is replaced whole or not at all.

    The executed notebook is kept of the default run of a scale only: that of another run is the same story with the
    same pictures, half a megabyte each, and ``source="published"`` shows it again in seconds.

    Raises SettingsError for scale smoke, too few seeds or others than hypotheses.toml names, or a study that brings its
    own hypotheses, and RunError if a seed is unfinished, more than 1 % of the items failed, rows are of another split
    than ``report`` or too large, the notebook fails, or the run was made from a tree with uncommitted changes or
    outside git (``allow_dirty`` records that instead).
    """
    if settings.scale == "smoke":
        raise SettingsError("scale smoke is never published: its models are barely trained")
    if study.judged_by(settings) is None:
        raise SettingsError(f"{study.id} makes up its hypotheses; published are those that a file stated before")
    if settings.scale not in study.released_scales:
        _check_seeds(study, settings)
    run = study.collect(settings)
    manifests = {str(s): json.loads((run.folder / f"seed-{s}" / "manifest.json").read_text()) for s in settings.seeds}
    # rows may come from several attempts at a seed; each must be of a commit
    dirty = [s for s, m in manifests.items() if any(each["dirty"] is not False for each in (m, *m["attempts"]))]
    if dirty and not allow_dirty:
        raise RunError(
            f"seeds {', '.join(dirty)} ran from a tree with uncommitted changes: commit and run again, or publish with "
            "--allow-dirty, which the manifest then says"
        )
    if run.failed > MOST_FAILED * len(run.rows):
        raise RunError(f"{run.failed} of {len(run.rows)} items failed; more than {MOST_FAILED:.0%} is not published")
    if (splits := sorted(run.rows["split"].unique())) != ["report"]:
        raise RunError(f"rows are of split {', '.join(splits)}: only 'report' is published")
    notebook, target = _executed(study, settings), Path(settings.results, study.id, settings.variant)
    with _staged(target) as staged:
        size = write_published(run.rows, staged / "rows.parquet").stat().st_size
        if size > MOST_ROW_BYTES:
            raise RunError(f"rows.parquet would have {size} bytes, the limit is {MOST_ROW_BYTES}")
        tables = [run.folder / name for name in ("table.csv", "curves.csv", *study.tables)]
        for path in (*tables, *notebook):
            shutil.copyfile(path, staged / path.name)
        # published rows are judged, whose log-likelihoods are rounded, not those of the run
        verdicts = study.judged(settings, read_published(staged / "rows.parquet"))
        atomic_write_json(staged / "verdicts.json", verdicts)
        shutil.copytree(run.folder / "figures", staged / "figures")
        _lighten(staged, settings)
        manifest = {
            "study": study.id,
            "scale": settings.scale,
            "settings_hash": settings.settings_hash,
            "published": now(),
            "dirty": bool(dirty),
            "judged_by": stated_in(study.judged_by(settings)),
            "seeds": manifests,
            "earlier_published_runs": _history(target),
        }
        atomic_write_json(staged / "manifest.json", manifest)
    return target


def redraw(study: "Study", settings: StudySettings, allow_dirty: bool = False) -> Path:
    """Judge a published run again, draw its figures and execute its notebook, if it has one, with today's code.

    No row and no table changes; the manifest says when and from which commit, and keeps verdicts that were others.
    Raises MissingResource if nothing is published, SettingsError for rows that ship with the package, RunError if the
    notebook fails or the tree has uncommitted changes (``allow_dirty`` records that instead).
    """
    commit, dirty = git_state()
    if dirty is not False and not allow_dirty:
        raise RunError("the tree has uncommitted changes: commit and redraw again, or add --allow-dirty")
    target, run = study.published_folder(settings), study.run(settings)
    if Path(settings.results) not in target.parents:
        raise SettingsError(f"{study.id} has its rows in {target}, not below {settings.results}: nothing to draw again")
    shown = settings.model_copy(update={"seeds": tuple(sorted(run.rows["seed"].unique().tolist()))})
    notebook = _executed(study, shown)
    with _staged(target) as staged:
        shutil.copytree(target, staged, dirs_exist_ok=True)
        for drawn in [*(staged / "figures").glob("*.png"), *(staged / "figures").glob("*.svg")]:
            drawn.unlink()
        verdicts = study.judged(settings, run.rows)
        atomic_write_json(staged / "verdicts.json", verdicts)
        study.draw(replace(run, folder=staged, verdicts=verdicts), shown)
        _lighten(staged, settings)
        for path in notebook:
            shutil.copyfile(path, staged / path.name)
        manifest = json.loads((staged / "manifest.json").read_text())
        manifest["redrawn"] = {"at": now(), "commit": commit, "dirty": dirty}
        before, after = ({v["id"]: v["verdict"] for v in judged} for judged in (run.verdicts, verdicts))
        if before != after:
            rules = manifest.get("judged_by") or {"commit": next(iter(manifest["seeds"].values()))["commit"]}
            earlier = {"by": rules, "verdicts": before}
            manifest["earlier_verdicts"] = [*manifest.get("earlier_verdicts", []), earlier]
        manifest["judged_by"] = stated_in(study.judged_by(settings))
        atomic_write_json(staged / "manifest.json", manifest)
    return target


def _check_seeds(study: "Study", settings: StudySettings) -> None:
    if len(settings.seeds) < LEAST_SEEDS:
        raise SettingsError(f"publishing needs at least {LEAST_SEEDS} seeds, got {list(settings.seeds)}")
    file = study.judged_by(settings)
    stated = report_seeds(file, settings.variant)
    if sorted(settings.seeds) != sorted(stated or ()):
        named = f"names seeds {', '.join(map(str, stated))}" if stated else "names no seeds"
        raise SettingsError(
            f"{file.name} {named} for the report run of {settings.variant}, got "
            f"{', '.join(map(str, settings.seeds))}: which seeds count is written there before the run"
        )


@contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """A new folder that takes the place of ``target`` at the end, or vanishes if anything fails before."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staged, old = (Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)) for _ in "ab")
    try:
        yield staged
        os.chmod(staged, 0o755)
        if target.exists():
            target.replace(old)
        staged.replace(target)
    except OSError as error:
        if not target.exists() and any(old.iterdir()):
            old.replace(target)
        raise RunError(f"{target} cannot be written ({error}); what was published before is unchanged") from error
    finally:
        for folder in (staged, old):
            shutil.rmtree(folder, ignore_errors=True)


def _lighten(staged: Path, settings: StudySettings) -> None:
    """Six digits in tables, no figure's data twice, no drawing of more than MOST_FIGURE_BYTES.

    Of a run away from a scale's preset, which tells the same story again, pixels (png) are limited too, and no drawing
    (svg) is kept.
    """
    most = {".svg": MOST_FIGURE_BYTES} if settings.variant == settings.scale else {".svg": 0, ".png": MOST_FIGURE_BYTES}
    for path in (*staged.glob("*.csv"), *(staged / "figures").glob("*.csv")):
        path.write_text(LONG_NUMBER.sub(lambda number: f"{float(number[0]):.6g}", path.read_text("utf-8")), "utf-8")
    tables = {path.read_bytes() for path in staged.glob("*.csv")}
    for path in (staged / "figures").iterdir():
        large = path.stat().st_size > most.get(path.suffix, path.stat().st_size)
        if large or (path.suffix == ".csv" and path.read_bytes() in tables):
            path.unlink()


def _executed(study: "Study", settings: StudySettings) -> list[Path]:
    """The executed notebook of a scale's default run, executed now if it was not yet; of another run none is kept.

    A study without a notebook has none to keep.
    """
    if not study.notebook or settings.variant != settings.scale:
        return []
    if code := execute(study, settings):
        raise RunError(f"the notebook of {study.id} ended with code {code}; what was published is unchanged")
    return [notebook_folder(study, settings) / "notebook.ipynb"]


def _history(target: Path) -> list[dict]:
    """Every earlier published run of this study and scale: per seed its settings hash, start and commit."""
    try:
        old = json.loads((target / "manifest.json").read_text())
    except FileNotFoundError:
        return []
    kept = ("settings_hash", "weights_hash", "data_hash", "start", "commit")
    last = {seed: {name: m.get(name) for name in kept} for seed, m in old["seeds"].items()}
    return [*old["earlier_published_runs"], {"published": old.get("published"), "seeds": last}]
