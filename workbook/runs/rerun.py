"""``python -m oryx rerun MANIFEST``: run a committed result again from its manifest alone, and compare.

Same study, settings and seeds, into ``results/runs``. Where weights, data, versions and machine are those of the
manifest, rows are expected to be identical, timing aside; else scores are expected within the stated tolerance.
"""

from typing import TYPE_CHECKING

from oryx.errors import RunError, SettingsError
from oryx.files import atomic_write_json, atomic_write_text
from workbook.runs import provenance
from workbook.runs.difference import Side, compared, made_from, read_side, verdicts_compared
from workbook.runs.seeds import seeds_of
from workbook.runs.settings import StudySettings

if TYPE_CHECKING:
    from workbook.studies.base import Study

LOCAL = ("results", "jobs", "source", "limit_minutes", "retry_failed", "seeds")
"""Settings that a rerun has of its own."""


def rerun(study: "Study", old: Side, results: str = "results", jobs: int | None = None) -> bool:
    """Run ``old`` again below ``results`` and compare; returns whether every score is within tolerance.

    ``old``: a published folder, a run of ``study`` or some of its seeds. Raises SettingsError if this version of the
    study does not know its settings, RunError if it has no rows or they would only be compared with themselves.
    """
    settings = _settings(study, old, results, jobs)
    seeds = seeds_of(study, settings)
    folder = study.run_folder(settings)
    if folder.resolve() in (old.folder.resolve(), old.folder.resolve().parent):
        raise RunError(f"{old.folder} would be compared with itself: give another folder (--results)")
    print(f"{study.id}, {settings.variant}, seeds {', '.join(old.manifests)}, {len(old.rows):,} rows: into {folder}")
    changed = made_from(old.first, provenance.describe_run(study, settings, seeds[0].seed, seeds[0].inputs))
    if len(changed):
        print("differs from the manifest (A), today (B):", changed.to_string(index=False), sep="\n")
    else:
        print("settings, weights, data, versions, machine and commit are those of the manifest")
    if done := [str(seed.seed) for seed in seeds if seed.finished]:
        print(f"seeds {', '.join(done)} lie there finished and are compared as they are: for a fresh computation give "
              "another folder (--results)")  # fmt: skip
    study.run(settings)
    new = read_side(folder)
    lines, scores = compared(old, new)
    # those of the manifest are judged anew, on the same seeds as the rerun's
    judged = [study.judged(settings, side.rows) for side in (old, new)]
    text = "\n".join(["A  the manifest's rows, B  the rerun's", *lines, *verdicts_compared(*judged)])
    atomic_write_text(folder / "rerun.csv", scores.to_csv(index=False))
    by_id = [{verdict["id"]: verdict for verdict in verdicts} for verdicts in judged]
    atomic_write_json(folder / "rerun_verdicts.json", dict(zip("AB", by_id, strict=True)))
    atomic_write_text(folder / "rerun.txt", text + "\n")
    print(text, f"kept in {folder / 'rerun.txt'}", sep="\n")
    return bool(len(scores) and scores["same"].all())


def _settings(study: "Study", old: Side, results: str, jobs: int | None) -> StudySettings:
    recorded = [{n: v for n, v in m["settings"].items() if n not in LOCAL} for m in old.manifests.values()]
    if any(other != recorded[0] for other in recorded):
        raise SettingsError(f"{old.folder}: its seeds have different settings; rerun one of them")
    own = {"seeds": [int(seed) for seed in old.manifests], "results": results, "jobs": jobs}
    try:
        return study.settings({**recorded[0], **own})
    except SettingsError as error:
        raise SettingsError(f"{old.folder}: this version of {study.id} does not know its settings ({error}); check out "
                            f"commit {old.first.get('commit')}") from error  # fmt: skip
