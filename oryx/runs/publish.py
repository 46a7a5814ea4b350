"""Copy a finished run into ``results/<study>/<scale>/``, the published reference that is committed."""

import json
import shutil
from pathlib import Path

from oryx.errors import RunError, SettingsError
from oryx.evidence.files import atomic_write_json
from oryx.evidence.rows import write_rows_xz
from oryx.runs.settings import StudySettings

MOST_ROW_BYTES = 3_000_000
LEAST_SEEDS = 3


def publish(study, settings: StudySettings, allow_dirty: bool = False) -> Path:
    """Publish the run of these settings and seeds; returns the folder.

    Raises SettingsError for scale smoke or too few seeds, RunError if a seed is unfinished, items failed, the rows are
    too large, or the run was made from a tree with uncommitted changes (``allow_dirty`` records that instead).
    """
    if settings.scale == "smoke":
        raise SettingsError("scale smoke is never published: its models are barely trained")
    if len(settings.seeds) < LEAST_SEEDS:
        raise SettingsError(f"publishing needs at least {LEAST_SEEDS} seeds, got {list(settings.seeds)}")
    folder, target = study.run_folder(settings), Path(settings.results) / study.id / settings.scale
    manifests, states = {}, {}
    for seed in settings.seeds:
        shard = folder / f"seed-{seed}"
        try:
            manifests[str(seed)] = json.loads((shard / "manifest.json").read_text())
            states[str(seed)] = json.loads((shard / "status.json").read_text())
        except FileNotFoundError as error:
            raise RunError(f"seed {seed} has not been run with these settings: {error.filename} is missing") from error
        if states[str(seed)]["state"] != "done":
            raise RunError(f"seed {seed} is {states[str(seed)]['state']}, expected done: run it to its end first")
    dirty = sorted(seed for seed, manifest in manifests.items() if manifest.get("dirty"))
    if dirty and not allow_dirty:
        raise RunError(f"seeds {', '.join(dirty)} ran from a tree with uncommitted changes: commit and run again")
    run = study.run(settings)
    if run.failed:
        raise RunError(f"{run.failed} items failed; a published run has none beyond 1 % and says why")
    earlier = _history(target)
    target.mkdir(parents=True, exist_ok=True)
    size = write_rows_xz(run.rows, target / "rows.jsonl.xz").stat().st_size
    if size > MOST_ROW_BYTES:
        raise RunError(f"{target / 'rows.jsonl.xz'} has {size} bytes, the limit is {MOST_ROW_BYTES}")
    for name in ("table.csv", "verdicts.json", "curves.csv", "notebook.ipynb"):
        if (folder / name).exists():
            shutil.copyfile(folder / name, target / name)
    shutil.rmtree(target / "figures", ignore_errors=True)
    shutil.copytree(folder / "figures", target / "figures")
    atomic_write_json(target / "status.json", states)
    atomic_write_json(target / "manifest.json", {"seeds": manifests, "earlier_published_runs": earlier})
    return target


def _history(target: Path) -> list[dict]:
    """The list of every earlier published run of this study and scale: settings, seeds, start."""
    try:
        old = json.loads((target / "manifest.json").read_text())
    except FileNotFoundError:
        return []
    last = {
        seed: {"settings_hash": m["settings_hash"], "start": m["start"], "commit": m["commit"]}
        for seed, m in old["seeds"].items()
    }
    return [*old["earlier_published_runs"], last]
