"""Claims held against the paper's own tables and against integer arithmetic: nothing is run, nothing is measured.

A check is a table of claims.toml whose ``kind`` is a function here. ``consistent``: the statement agrees with the
numbers; ``not consistent``: it does not; ``in part``: in some of the cells it speaks of.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from oryx.errors import SettingsError
from oryx.evidence.paper import Claim, select
from oryx.grids import patch_grid, token_count, video_token_count
from oryx.processing.context import CONTEXTS, PATCH, SIZES, compressed, frames_that_fit
from oryx.processing.options import PreprocessOptions
from workbook.report.templating import render

CONSISTENT, PARTLY, NOT = "consistent", "in part", "not consistent"
ROUNDING = 0.051
"""Two numbers of one decimal that differ by less are the same."""

Found = tuple[str, dict]
"""A verdict and the values that the template of the check names."""


@dataclass(frozen=True)
class Checked:
    """What a check found: ``verdict`` (consistent, in part, not consistent) and the numbers, in words."""

    verdict: str
    found: str


def check(claim: Claim) -> Checked:
    """Carry out a claim's check; raises SettingsError for an unknown kind or a field that it does not know."""
    settings = dict(claim.check)
    kind = settings.pop("kind", None)
    if kind not in _KINDS:
        raise SettingsError(f"{claim.id}, field check: expected kind {', '.join(_KINDS)}, got {kind!r}")
    try:
        verdict, values = _KINDS[kind](claim, **settings)
    except TypeError as error:
        raise SettingsError(f"{claim.id}, field check: {error}") from error
    return Checked(verdict, render("check.md.j2", kind=kind, **values).replace("\n", ""))


def _graded(good: int, total: int) -> str:
    return CONSISTENT if good == total else PARTLY if good else NOT


def _claimed(claim: Claim) -> float:
    return float(select(claim.paper[0])[0]["value"])


def _difference(claim: Claim, study: str, benchmark: str, model: str, other: str) -> Found:
    """The claimed gain against the difference of two cells of a table."""
    (one,), (two,) = (select({"study": study, "benchmark": benchmark, "model": name}) for name in (model, other))
    claimed, found = _claimed(claim), float(one["value"]) - float(two["value"])
    away = abs(found - claimed)
    values = {"one": one["value"], "two": two["value"], "other": other, "found": found, "claimed": claimed}
    return (CONSISTENT if away < ROUNDING else NOT), {**values, "away": away, "agrees": away < ROUNDING}


def _leads(
    claim: Claim,
    studies: list[str],
    model: str,
    on: str,
    against: list[str] | None = None,
    up_to_billion: int = 0,
    questions: Mapping[str, int] | None = None,
) -> Found:
    """In which cells of the tables is ``model`` above all it is compared with?"""
    rows = [row for study in studies for row in select({"study": study}) if row["value"]]
    rivals = against or sorted({r["model"] for r in rows if _billions(r["model"]) <= up_to_billion} - {model})
    cells: dict[tuple, dict[str, float]] = {}
    for row in rows:
        cells.setdefault((row["benchmark"], row["metric"], row["variant"]), {})[row["model"]] = float(row["value"])
    won, lost, near = 0, [], []
    for (benchmark, metric, variant), scores in cells.items():
        others = {name: scores[name] for name in rivals if name in scores}
        if model not in scores or not others:
            continue
        score, rival = scores[model], max(others, key=others.get)
        lead = score - others[rival]
        name = f"{benchmark} {variant or (metric if benchmark == 'ScanQA' else '')}".strip()
        cell = {"name": name, "score": score, "best": others[rival], "rival": rival, "lead": lead}
        if lead > 0:
            won += 1
        else:
            lost.append(cell)
        if (n := (questions or {}).get(benchmark)) and 0 < lead < (half := _half_width(score, n)):
            near.append({**cell, "questions": n, "half": half})
    total = won + len(lost)
    verdict = _graded(won, total) if on == "all" or not won else CONSISTENT
    return verdict, {"won": won, "total": total, "lost": lost, "near": near}


def _billions(model: str) -> float:
    size = re.search(r"(\d+)B\b", model)
    return float(size[1]) if size else float("inf")


def _half_width(percent: float, n: int) -> float:
    """Half of the 95 % interval of a share in percent over ``n`` independent questions."""
    share = percent / 100
    return 100 * 1.96 * (share * (1 - share) / n) ** 0.5


def _image_tokens(claim: Claim, size: list[int]) -> Found:
    """Tokens of one image view: whole patches of it, and after the released rounding of its sizes."""
    patches = (size[0] // PATCH) * (size[1] // PATCH)
    height, width = PreprocessOptions().high.target((size[0], size[1]))
    rounded = token_count([patch_grid((height, width), PATCH)])
    verdict = CONSISTENT if rounded == _claimed(claim) else PARTLY if patches == _claimed(claim) else NOT
    return verdict, {"patch": PATCH, "patches": patches, "width": width, "height": height, "rounded": rounded}


def _frame_tokens(claim: Claim, ratio: int) -> Found:
    """Tokens of a frame: the bounds of its area divided by patches and ratio, and what the released rounding gives."""
    rule = PreprocessOptions().video
    nominal = {size: size * size // (PATCH * PATCH * ratio) for size in (rule.min_side, rule.max_side)}
    grids = {name: compressed(size, ratio) for name, size in SIZES.items()}
    counts = {name: rows * columns for name, (rows, columns) in grids.items()}
    claimed = _claimed(claim)
    verdict = CONSISTENT if claimed in counts.values() else PARTLY if claimed in nominal.values() else NOT
    return verdict, {"ratio": ratio, "nominal": nominal, "counts": counts}


def _sequence(claim: Claim, frames: int, ratio: int) -> Found:
    """Do so many frames fit the claimed length at all?"""
    counts = {name: video_token_count(frames, compressed(size, ratio)) for name, size in SIZES.items()}
    fitting = sum(tokens <= _claimed(claim) for tokens in counts.values())
    return _graded(fitting, len(counts)), {"frames": frames, "ratio": ratio, "counts": counts}


def _context(claim: Claim, frames: int, context: int) -> Found:
    """Which frame sizes leave so many frames in the context at 16x?"""
    fits = {name: frames_that_fit(context, compressed(size, 16)) for name, size in SIZES.items()}
    good = sum(most >= frames for most in fits.values())
    return _graded(good, len(fits)), {"context": context, "fits": fits, "contexts": CONTEXTS}


_KINDS = {
    "difference": _difference,
    "leads": _leads,
    "image_tokens": _image_tokens,
    "frame_tokens": _frame_tokens,
    "sequence": _sequence,
    "context": _context,
}
