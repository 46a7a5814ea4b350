"""``python -m oryx rerun MANIFEST``: run a committed result again from its manifest alone, and compare.

Same study, settings and seeds, into ``results/runs``. Where weights, data, versions and machine are those of the
manifest, rows are expected to be identical, timing aside; else scores are expected within the stated tolerance.
"""

from collections.abc import Callable

import pandas as pd

from oryx.errors import RunError, SettingsError
from oryx.evidence.schema import published_rows
from oryx.evidence.verdicts import judge
from oryx.files import atomic_write_json, atomic_write_text
from workbook.runs import provenance
from workbook.runs.difference import Side, compared, made_from, read_side, scores, verdicts_compared
from workbook.runs.seeds import seeds_of
from workbook.runs.settings import StudySettings
from workbook.runs.study import RunnableStudy

LOCAL = ("results", "jobs", "source", "limit_minutes", "seeds")
"""Settings that a rerun has of its own."""


def rerun(
    study: RunnableStudy, old: Side, results: str = "results", jobs: int | None = None, say: Callable = print
) -> bool:
    """Run ``old`` again below ``results`` and compare; returns whether every score is within tolerance.

    ``old``: a published folder, a run of ``study`` or some of its seeds. Raises SettingsError if this version of the
    study does not know its settings, RunError if the rerun would only compare rows with themselves.
    """
    settings = _settings(study, old, results, jobs)
    seeds = seeds_of(study, settings)
    folder = study.run_folder(settings)
    if folder.resolve() in (old.folder.resolve(), old.folder.resolve().parent):
        raise RunError(f"{old.folder} would be compared with itself: give another folder (--results)")
    say(f"{study.id}, {settings.variant}, seeds {', '.join(old.manifests)}: again into {folder}")
    today = provenance.describe_run(study, settings, seeds[0].seed, seeds[0].inputs)
    if old.first["settings_hash"] != settings.settings_hash:
        say(f"settings hash {old.first['settings_hash']} -> {settings.settings_hash}")
    changed = made_from(old.first, today)
    say("differs from the manifest (A), today (B):\n" + changed.to_string(index=False) if len(changed) else
        "settings, weights, data, versions, machine and commit are those of the manifest")  # fmt: skip
    if done := [str(seed.seed) for seed in seeds if seed.finished]:
        say(f"seeds {', '.join(done)} lie there finished and are compared as they are: for a fresh computation give "
            "another folder (--results)")  # fmt: skip
    study.check(settings)
    study.run(settings)
    new = read_side(folder)
    if published_rows(old.folder) is None and not any(old.folder.glob("**/rows.jsonl")):
        say(f"{old.folder} holds no rows: nothing to compare with")
        return True
    lines = ["A  the manifest's rows, B  the rerun's", *compared(old, new)]
    judged = [_verdicts(study, settings, side.rows) for side in (old, new)]
    lines += verdicts_compared(*judged)
    table = scores(old, new)
    atomic_write_text(folder / "rerun.csv", table.to_csv(index=False))
    atomic_write_json(folder / "rerun_verdicts.json", dict(zip("AB", judged, strict=True)))
    atomic_write_text(folder / "rerun.txt", "\n".join(lines) + "\n")
    say("\n".join(lines))
    say(f"kept in {folder / 'rerun.txt'}")
    return bool(len(table) and table["same"].all())


def _verdicts(study: RunnableStudy, settings: StudySettings, rows: pd.DataFrame) -> dict[str, dict]:
    """Hypothesis -> verdict on these rows: those of the manifest are judged anew, on the same seeds as the rerun's."""
    found = judge(study.evidence(settings, rows), study.id, settings.scale, study.hypotheses(settings))
    return {verdict["id"]: verdict for verdict in found}


def _settings(study: RunnableStudy, old: Side, results: str, jobs: int | None) -> StudySettings:
    recorded = [{n: v for n, v in m["settings"].items() if n not in LOCAL} for m in old.manifests.values()]
    if any(other != recorded[0] for other in recorded):
        raise SettingsError(f"{old.folder}: its seeds have different settings; rerun one of them")
    own = {"seeds": [int(seed) for seed in old.manifests], "results": results, "jobs": jobs}
    try:
        return study.settings({**recorded[0], **own})
    except SettingsError as error:
        raise SettingsError(f"{old.folder}: this version of {study.id} does not know its settings ({error}); check out "
                            f"commit {old.first.get('commit')}") from error  # fmt: skip
