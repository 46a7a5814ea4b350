"""``python -m oryx rerun MANIFEST``: run a committed result again from its manifest alone, and compare.

Same study, settings and seeds, into ``results/runs``. Where weights, data, versions and machine are those of the
manifest, rows are expected to be identical, timing aside; else scores are expected within the stated tolerance.
"""

from collections.abc import Callable, Mapping
from typing import Any

from oryx.errors import RunError, SettingsError
from oryx.files import atomic_write_text
from workbook.runs import provenance
from workbook.runs.difference import PACKED, Side, made_from, paired, read_side, rows_told, scores_told, verdicts_told
from workbook.runs.seeds import seeds_of

LOCAL = ("results", "jobs", "source", "limit_minutes", "seeds")
"""Settings that a rerun has of its own."""


def rerun(study: Any, old: Side, results: str = "results", jobs: int | None = None, say: Callable = print) -> bool:
    """Run ``old`` again below ``results`` and compare; returns whether every score is within tolerance.

    ``old``: a published folder, or one seed of a run of ``study``. Raises SettingsError if this version of the study
    does not know its settings, RunError if the rerun would only compare rows with themselves.
    """
    settings = _settings(study, old, results, jobs)
    seeds = seeds_of(study, settings)
    folder = study.run_folder(settings)
    if folder.resolve() in (old.folder.resolve(), old.folder.resolve().parent):
        raise RunError(f"{old.folder} would be compared with itself: give another folder (--results)")
    say(f"{study.id}, {settings.variant}, seeds {', '.join(old.manifests)}: again into {folder}")
    today = provenance.describe_run(study, settings, seeds[0].seed, seeds[0].inputs)
    for line in _differences(old.first, today, settings):
        say(line)
    if done := [str(seed.seed) for seed in seeds if seed.finished]:
        say(f"seeds {', '.join(done)} lie there finished and are compared as they are: for a fresh computation give "
            "another folder (--results)")  # fmt: skip
    study.check(settings)
    study.run(settings)
    new = read_side(folder)
    text, same = _compared(old, new)
    atomic_write_text(folder / "rerun.txt", text + "\n")
    say(text)
    say(f"kept in {folder / 'rerun.txt'}")
    return same


def _settings(study: Any, old: Side, results: str, jobs: int | None) -> Any:
    told = [{n: v for n, v in m["settings"].items() if n not in LOCAL} for m in old.manifests.values()]
    if any(other != told[0] for other in told):
        raise SettingsError(f"{old.folder}: its seeds have different settings; rerun one of them")
    own = {"seeds": [int(seed) for seed in old.manifests], "results": results, "jobs": jobs}
    try:
        return study.settings({**told[0], **own})
    except SettingsError as error:
        raise SettingsError(f"{old.folder}: this version of {study.id} does not know its settings ({error}); check out "
                            f"commit {old.first.get('commit')}") from error  # fmt: skip


def _differences(old: Mapping[str, Any], today: Mapping[str, Any], settings: Any) -> list[str]:
    """What is not as it was, in words; the rows can be identical only where nothing but the code's commit differs."""
    lines = []
    if old["settings_hash"] != settings.settings_hash:
        new = sorted(set(today["settings"]) - set(old["settings"]))
        why = f"settings that are new since, at their defaults: {', '.join(new)}" if new else "the form has changed"
        lines.append(f"settings hash {old['settings_hash']} -> {settings.settings_hash}: {why}")
    for title, found in made_from(old, today).items():
        lines += [f"{title} differ from the manifest: {text}" for text in found]
    return lines or ["settings, weights, data, versions, machine and commit are those of the manifest"]


def _compared(old: Side, new: Side) -> tuple[str, bool]:
    """The comparison in words, and whether all scores are within tolerance."""
    from oryx.evidence.compare import compare

    if not old.packed and not any(old.folder.glob("**/rows.jsonl")):
        return f"{old.folder} holds no rows ({PACKED}): nothing to compare with", True
    found = paired(old, new)
    lines = ["A  the manifest's rows, B  the rerun's", *rows_told(found)]
    if found.same:
        lines.append("  identical, timing aside")
    lines += scores_told(old, new)
    if set(old.manifests) == set(new.manifests):
        lines += verdicts_told(old.verdicts, new.verdicts)
    table = compare(new.rows[new.rows["seed"].isin(set(old.rows["seed"]))], old.rows)
    atomic_write_text(new.folder / "rerun.csv", table.to_csv(index=False))
    return "\n".join(lines), bool(len(table) and table["same"].all())
