"""A small picture of one estimate: its interval against what the claim needs, as inline SVG. No library, no script."""

from oryx.evidence.verdicts import Hypothesis

WIDTH, HEIGHT, PAD = 176, 22, 4
FARTHEST = 0.6
"""Where the axis of differences ends; an interval that goes on is cut there and has no end mark."""


def interval_mark(verdict: dict, hypothesis: Hypothesis | None) -> str:
    """SVG of the interval: 0 to 1 for a level, else ±FARTHEST with the margin as a band; empty without one.

    The thin line is what the estimate must pass (zero, the level, or the margin of a retention). Colours come from the
    page (classes ``band``, ``limit``, ``axis``, ``interval``).
    """
    if verdict.get("estimate") is None:
        return ""
    kind = verdict.get("kind", "difference")
    least, most = (0.0, 1.0) if kind == "level" else (-FARTHEST, FARTHEST)
    margin = hypothesis.margin if hypothesis else 0.0
    limit = hypothesis.level if hypothesis and kind == "level" else -margin if kind == "retention" else 0.0

    def x(value: float) -> float:
        inside = min(most, max(least, value))
        return round(PAD + (inside - least) / (most - least) * (WIDTH - 2 * PAD), 1)

    middle = HEIGHT / 2
    parts = [f'<line class="axis" x1="{PAD}" x2="{WIDTH - PAD}" y1="{middle}" y2="{middle}"/>']
    if kind != "level" and margin:
        left, right = x(-margin), x(margin)
        parts.insert(0, f'<rect class="band" x="{left}" y="2" width="{right - left:.1f}" height="{HEIGHT - 4}"/>')
    parts.append(f'<line class="limit" x1="{x(limit)}" x2="{x(limit)}" y1="2" y2="{HEIGHT - 2}"/>')
    ends = x(verdict["low"]), x(verdict["high"])
    parts.append(f'<line class="interval" x1="{ends[0]}" x2="{ends[1]}" y1="{middle}" y2="{middle}"/>')
    parts += [
        f'<line class="interval" x1="{end}" x2="{end}" y1="{middle - 4}" y2="{middle + 4}"/>'
        for end, value in zip(ends, (verdict["low"], verdict["high"]), strict=True)
        if least <= value <= most
    ]
    parts.append(f'<circle class="interval" cx="{x(verdict["estimate"])}" cy="{middle}" r="3.6"/>')
    label = f"{verdict['estimate']:+.2f}, interval {verdict['low']:+.2f} to {verdict['high']:+.2f}"
    return (
        f'<svg role="img" aria-label="{label}" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(parts)}</svg>'
    )
