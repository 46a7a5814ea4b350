"""Claims held against the paper's own tables, integer arithmetic, and the committed benchmarks: nothing is run.

A check is a table of claims.toml whose ``kind`` is a function here. ``consistent``: the statement agrees with the
numbers; ``not consistent``: it does not; ``in part``: in some of the cells it speaks of.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from oryx.errors import SettingsError
from oryx.grids import patch_grid, token_count, video_token_count
from oryx.processing.context import CONTEXTS, PATCH, SIZES, compressed, frames_that_fit
from oryx.processing.options import PreprocessOptions
from workbook.report.paper import Claim, select
from workbook.report.published import NOT_TESTED
from workbook.report.questions import benchmark_page, speeds
from workbook.report.tables import render

CONSISTENT, PARTLY, NOT = "consistent", "in part", "not consistent"
ROUNDING = 0.051
"""Two numbers of one decimal that differ by less are the same."""

Found = tuple[str, dict]
"""A verdict and the values that the template of the check names."""


def check(claim: Claim) -> tuple[str, str]:
    """The verdict of a claim's check (consistent, in part, not consistent) and what it found, in words.

    Raises SettingsError for an unknown kind or a field that it does not know.
    """
    settings = dict(claim.check)
    kind = settings.pop("kind", None)
    if kind not in _KINDS:
        raise SettingsError(f"{claim.id}, field check: expected kind {', '.join(_KINDS)}, got {kind!r}")
    try:
        verdict, values = _KINDS[kind](claim, **settings)
    except TypeError as error:
        raise SettingsError(f"{claim.id}, field check: {error}") from error
    return verdict, render("check.md.j2", kind=kind, **settings, **values).replace("\n", "")


def _graded(good: int, total: int) -> str:
    return CONSISTENT if good == total else PARTLY if good else NOT


def _claimed(claim: Claim) -> float:
    return float(select(claim.paper[0])[0]["value"])


def _difference(claim: Claim, study: str, benchmark: str, model: str, other: str) -> Found:
    """The claimed gain against the difference of two cells of a table."""
    one, two = (select({"study": study, "benchmark": benchmark, "model": name})[0]["value"] for name in (model, other))
    found, claimed = float(one) - float(two), _claimed(claim)
    agrees = abs(found - claimed) < ROUNDING
    values = {"one": one, "two": two, "found": found, "claimed": claimed, "agrees": agrees}
    return (CONSISTENT if agrees else NOT), values


def _leads(
    claim: Claim,
    studies: Sequence[str],
    model: str,
    on: str,
    against: Sequence[str],
    questions: Mapping[str, int] | None = None,
) -> Found:
    """In which cells of the tables is ``model`` above all it is compared with?"""
    rows = pd.DataFrame([row for study in studies for row in select({"study": study}) if row["value"]])
    wide = rows.astype({"value": float}).pivot_table("value", ["benchmark", "metric", "variant"], "model", sort=False)
    others = wide.loc[wide[model].notna(), list(against)].dropna(how="all")
    cells = pd.DataFrame({"score": wide[model], "best": others.max(axis=1), "rival": others.idxmax(axis=1)}).dropna()
    cells = cells.assign(lead=cells["score"] - cells["best"]).reset_index()
    which = cells["variant"].mask(cells["benchmark"] == "ScanQA", cells["metric"])
    share, asked = cells["score"] / 100, cells["benchmark"].map(questions or {}).astype(float)
    half = 196 * (share * (1 - share) / asked) ** 0.5  # of the 95 % interval of a share over independent questions
    cells = cells.assign(name=(cells["benchmark"] + " " + which).str.strip(), questions=asked, half=half)
    ahead = cells["lead"] > 0
    verdict = _graded(ahead.sum(), len(cells)) if on == "all" or not ahead.any() else CONSISTENT
    lost, near = (part.to_dict("records") for part in (cells[~ahead], cells[ahead & (cells["lead"] < cells["half"])]))
    return verdict, {"won": ahead.sum(), "total": len(cells), "lost": lost, "near": near}


def _image_tokens(claim: Claim, size: Sequence[int]) -> Found:
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
    counts = {name: token_count([compressed(size, ratio)]) for name, size in SIZES.items()}
    claimed = _claimed(claim)
    verdict = CONSISTENT if claimed in counts.values() else PARTLY if claimed in nominal.values() else NOT
    return verdict, {"nominal": nominal, "counts": counts}


def _sequence(claim: Claim, frames: int, ratio: int) -> Found:
    """Do so many frames fit the claimed length at all?"""
    counts = {name: video_token_count(frames, compressed(size, ratio)) for name, size in SIZES.items()}
    fitting = sum(tokens <= _claimed(claim) for tokens in counts.values())
    return _graded(fitting, len(counts)), {"counts": counts}


def _context(claim: Claim, frames: int, context: int) -> Found:
    """Which frame sizes leave so many frames in the context at 16x?"""
    fits = {name: frames_that_fit(context, compressed(size, 16)) for name, size in SIZES.items()}
    return _graded(sum(most >= frames for most in fits.values()), len(fits)), {"fits": fits, "contexts": CONTEXTS}


def _speed(claim: Claim, beside: str, margin: float) -> Found:
    """Is native size at most ``margin`` slower than batches of equal squares, in every measurement on a CPU?"""
    ratios = speeds(benchmark_page())["squares"][beside]
    verdict = _graded(sum(ratio >= 1 - margin for ratio in ratios), len(ratios)) if ratios else NOT_TESTED
    return verdict, {"ratios": ratios}


_KINDS = {
    function.__name__.removeprefix("_"): function
    for function in (_difference, _leads, _image_tokens, _frame_tokens, _sequence, _context, _speed)
}
