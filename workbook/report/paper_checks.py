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

CONSISTENT, PARTLY, NOT = "consistent", "in part", "not consistent"
ROUNDING = 0.051
"""Two numbers of one decimal that differ by less are the same."""


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
        return _KINDS[kind](claim, **settings)
    except TypeError as error:
        raise SettingsError(f"{claim.id}, field check: {error}") from error


def _difference(claim: Claim, study: str, benchmark: str, model: str, other: str) -> Checked:
    """The claimed gain against the difference of two cells of a table."""
    (one,), (two,) = (select({"study": study, "benchmark": benchmark, "model": name}) for name in (model, other))
    claimed, found = float(select(claim.paper[0])[0]["value"]), float(one["value"]) - float(two["value"])
    text = f"the table gives {one['value']} - {two['value']} ({other}) = {found:.1f}"
    if abs(found - claimed) < ROUNDING:
        return Checked(CONSISTENT, text)
    return Checked(NOT, f"{text}, {abs(found - claimed):.1f} away from the claimed {claimed:g}")


def _leads(
    claim: Claim,
    studies: list[str],
    model: str,
    on: str,
    against: list[str] | None = None,
    up_to_billion: int = 0,
    questions: Mapping[str, int] | None = None,
) -> Checked:
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
        best = max(others, key=others.get)
        name = f"{benchmark} {variant or (metric if benchmark == 'ScanQA' else '')}".strip()
        if scores[model] > others[best]:
            won += 1
        else:
            lost.append(f"{name} ({scores[model]:g} against {others[best]:g} of {best})")
        lead = scores[model] - others[best]
        if (n := (questions or {}).get(benchmark)) and 0 < lead < (half := _half_width(scores[model], n)):
            near.append(
                f"the lead of {lead:.1f} on {name} is inside the sampling error of {n:,} questions (±{half:.1f})"
            )
    total = won + len(lost)
    text = f"ahead in {won} of {total} cells" + (f"; not on {', '.join(lost)}" if lost else "")
    text += "".join(f"; {remark}" for remark in near)
    good = won == total if on == "all" else won > 0
    return Checked(CONSISTENT if good else PARTLY if won else NOT, text)


def _billions(model: str) -> float:
    size = re.search(r"(\d+)B\b", model)
    return float(size[1]) if size else float("inf")


def _half_width(percent: float, n: int) -> float:
    """Half of the 95 % interval of a share in percent over ``n`` independent questions."""
    share = percent / 100
    return 100 * 1.96 * (share * (1 - share) / n) ** 0.5


def _image_tokens(claim: Claim, size: list[int]) -> Checked:
    """Tokens of one image view: whole patches of it, and after the released rounding of its sides."""
    claimed = int(select(claim.paper[0])[0]["value"])
    patches = (size[0] // PATCH) * (size[1] // PATCH)
    target = PreprocessOptions().high.target((size[0], size[1]))
    rounded = token_count([patch_grid(target, PATCH)])
    text = f"whole patches of {PATCH} pixels: {patches:,}; "
    text += f"after the released rounding ({target[1]} x {target[0]}): {rounded:,}"
    return Checked(CONSISTENT if rounded == claimed else PARTLY if patches == claimed else NOT, text)


def _frame_tokens(claim: Claim, ratio: int) -> Checked:
    """Tokens of a frame: the bounds of its area divided by patches and ratio, and what the released rounding gives."""
    claimed = int(select(claim.paper[0])[0]["value"])
    rule = PreprocessOptions().video
    nominal = {side: side * side // (PATCH * PATCH * ratio) for side in (rule.min_side, rule.max_side)}
    grids = {name: compressed(size, ratio) for name, size in SIZES.items()}
    counts = {name: rows * columns for name, (rows, columns) in grids.items()}
    text = f"at {ratio}x without rounding: " + ", ".join(f"{n} (area {s} x {s})" for s, n in nominal.items())
    text += "; after the released rounding: " + ", ".join(f"{n} ({name})" for name, n in counts.items())
    text += "; separators come on top"
    good = claimed in counts.values()
    return Checked(CONSISTENT if good else PARTLY if claimed in nominal.values() else NOT, text)


def _sequence(claim: Claim, frames: int, ratio: int) -> Checked:
    """Do so many frames fit the claimed length at all?"""
    claimed = int(select(claim.paper[0])[0]["value"])
    counts = {name: video_token_count(frames, compressed(size, ratio)) for name, size in SIZES.items()}
    fitting = [name for name, tokens in counts.items() if tokens <= claimed]
    text = f"{frames} frames at {ratio}x need " + ", ".join(f"{tokens:,} ({name})" for name, tokens in counts.items())
    return Checked(CONSISTENT if len(fitting) == len(counts) else PARTLY if fitting else NOT, text)


def _context(claim: Claim, frames: int, context: int) -> Checked:
    """Which frame sizes leave so many frames in the context at 16x?"""
    fits = {name: frames_that_fit(context, compressed(size, 16)) for name, size in SIZES.items()}
    text = f"at 16x {context:,} tokens hold " + ", ".join(f"{most:,} frames ({name})" for name, most in fits.items())
    good = [name for name, most in fits.items() if most >= frames]
    text += f"; contexts of the released configurations: {', '.join(f'{m} {c:,}' for m, c in CONTEXTS.items())}"
    return Checked(CONSISTENT if len(good) == len(fits) else PARTLY if good else NOT, text)


_KINDS = {
    "difference": _difference,
    "leads": _leads,
    "image_tokens": _image_tokens,
    "frame_tokens": _frame_tokens,
    "sequence": _sequence,
    "context": _context,
}
