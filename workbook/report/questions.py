"""What reviewers and users of the paper asked: values for the answers in ``templates/question_*.md.j2``.

Every number is looked up when the page is made; where nothing was measured the answer says so. Reviewers: the public
review forum of ICLR 2025 (openreview.net/forum?id=ODiY6pbHZQ). Users: public threads about reproducing results.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from oryx.evidence.paper import numbers, select, sources
from oryx.grids import video_token_count
from oryx.processing.context import CONTEXTS, SIZES, compressed, frames_that_fit
from oryx.processing.options import PreprocessOptions
from workbook.report.benchmark_tables import block, table_with, tables
from workbook.report.published import NOT_TESTED, Published, estimate_text
from workbook.report.templating import render

MEASURED, PARTLY, NOT_MEASURED = "measured", "measured in part", "not measured"
CONNECTORS = "pooling_vs_dynamic_compression"
Values = tuple[str, dict]
"""How far a question is measured, and the values that its template names."""


@dataclass(frozen=True)
class Question:
    """One question with its answer as Markdown, and how far the answer was measured."""

    id: str
    title: str
    asked_by: str
    status: str
    text: str


def questions(runs: Sequence[Published], benchmarks: str) -> list[Question]:
    """All questions with their answers from the published ``runs`` and the text of ``docs/benchmarks.md``."""
    made = {
        "throughput": throughput(runs, benchmarks),
        "architecture_or_data": architecture_or_data(runs),
        "why_these_ratios": why_these_ratios(runs),
        "short_or_long": short_or_long(runs),
        "several_scores": several_scores(),
    }
    found = []
    for name, (status, values) in made.items():
        title, asked_by, text = render(f"question_{name}.md.j2", **values).split("\n", 2)
        found.append(Question(name, title, asked_by, status, text.strip()))
    return found


def throughput(runs: Sequence[Published], benchmarks: str) -> Values:
    """Speed of the packed encoder, of the compressor, and of whole answers."""
    padding = {row["mix"]: float(row["padding ratio"]) for row in table_with("padding ratio", benchmarks)}
    speeds = [row for row in table_with("speed ratio", benchmarks) if row["mix"] in padding]
    native = tables(block("native-encoding", benchmarks))
    against = [row for lines in native for row in lines if "against" in row]
    shares = [row for row in tables(block("connectors", benchmarks)) if "share" in row[0]]
    default = [run for run in runs if run.study == "native_vs_fixed_resolution" and "," not in run.variant]
    values = {
        "one_size": [float(row["speed ratio"]) for row in speeds if padding[row["mix"]] == 1],
        "unequal": [float(row["speed ratio"]) for row in speeds if padding[row["mix"]] != 1],
        "native": native,
        "squares": {
            case: [float(row["pictures/s"]) for row in against if row["against"].endswith(case)]
            for case in ("equal tokens", "equal pixels")
        },
        "shares": {next(iter(row.values())): row["share"] for row in (shares[0] if shares else [])},
        "answers": {run.place: means for run in default if len(means := _seconds(run))},
        "on_gpu": any("FLOP" in " ".join(row) for lines in native for row in lines),
    }
    return (NOT_MEASURED if not speeds else MEASURED if native else PARTLY), values


def _seconds(run: Published) -> pd.DataFrame:
    """Mean tokens and milliseconds of one answer, an arm a line; empty where rows have no times."""
    rows = run.rows("arm", "condition", "seconds", "visual_tokens")
    if "seconds" not in rows:
        return pd.DataFrame()
    rows = rows[(rows["condition"] == "visual") & rows["arm"].isin(["native", "area_matched", "area_4", "pad"])]
    means = rows.groupby("arm", sort=False)[["visual_tokens", "seconds"]].mean()
    return pd.DataFrame({"visual tokens": means["visual_tokens"], "ms": 1000 * means["seconds"]}).round(1)


def architecture_or_data(runs: Sequence[Published]) -> Values:
    """What more training does, what native resolution does, what retrieval data do."""
    lines = verdict_lines(
        runs,
        {
            "H2a.training": "more training alone, on squares",
            "H2a.resolution": "equal training, native against squares",
            "H2a.crossed": "native training gains more at native input",
            "H4b.tokens": "retrieval data, at equal tokens",
            "H4b.steps": "retrieval data, at equal steps",
            "H4b.positions_alone": "positions alone, without retrieval data",
        },
    )
    data = select({"study": "method", "benchmark": "OryxViT pre-training data"})
    return (PARTLY if lines else NOT_MEASURED), {"lines": lines, "data": data}


def verdict_lines(runs: Sequence[Published], wanted: dict[str, str]) -> list[dict[str, str]]:
    """One line per hypothesis (named without its scale, with what it compares) and run that tests it."""
    return [
        {
            "what": what,
            "hypothesis": verdict["id"],
            "verdict": verdict["verdict"],
            "estimate": estimate_text(verdict),
            "run": run.place,
        }
        for name, what in wanted.items()
        for run in runs
        if (verdict := run.verdict(f"{name}.{run.scale}")) and verdict["verdict"] != NOT_TESTED
    ]


def why_these_ratios(runs: Sequence[Published]) -> Values:
    """What other ratios would cost in tokens, and what was measured between them."""
    model, context = next(iter(CONTEXTS.items()))
    size, costs = "640x360", []
    for ratio in (1, 4, 16):
        grid = compressed(SIZES[size], ratio)
        each = video_token_count(2, grid) - video_token_count(1, grid)
        fits = f"{frames_that_fit(context, grid):,}"
        costs.append({"ratio": f"{ratio}x", "tokens a frame": str(each), f"frames in {context:,} tokens": fits})
    connectors = [run for run in runs if run.study == CONNECTORS]
    values = {
        "model": model,
        "size": size,
        "costs": costs,
        "needle": verdict_lines(runs, {"H4c.ratio": "4x against 16x on a needle among 50 frames"}),
        "by_ratio": {run.place: table for run in connectors if len(table := _by_ratio(run))},
        "in_between": any("panel=ratios" in run.variant for run in connectors),
    }
    measured = values["needle"] or values["by_ratio"]
    return (MEASURED if values["in_between"] else PARTLY if measured else NOT_MEASURED), values


def _by_ratio(run: Published) -> pd.DataFrame:
    """Mean score over questions, an arm a line, a ratio a column. At 1x short videos alone were asked: left out."""
    table = pd.read_csv(run.folder / "table.csv")
    seen = table[(table["condition"] == "visual") & table["task"].str.fullmatch(r"[a-z]+_\d+x")]
    seen = seen.assign(ratio=seen["task"].str.extract(r"_(\d+)x")[0].astype(float))
    wide = seen[seen["ratio"] > 1].pivot_table(index="arm", columns="ratio", values="score", sort=False)
    return wide.sort_index(axis=1).rename(columns=lambda ratio: f"{ratio:.0f}x").round(2)


def short_or_long(runs: Sequence[Published]) -> Values:
    """Where 4x ends and 16x begins: what the released code does, what fits, what was measured."""
    (long,) = select({"study": "method", "benchmark": "long-video training frames"})
    lines = []
    for model, context in CONTEXTS.items():
        for name, size in SIZES.items():
            fits = {ratio: frames_that_fit(context, compressed(size, ratio)) for ratio in (4, 16)}
            ends = {f"{ratio}x ends at": f"{most:,}" for ratio, most in fits.items()}
            lines.append({"model": model, "frames of": name, **ends})
    needle = {"H4c.ratio": "4x against 16x at 50 frames", "H4a.length": "1,600 frames as well as 50"}
    values = {
        "long": long["value"],
        "bound": PreprocessOptions().short_video_frames,
        "fits": lines,
        "needle": verdict_lines(runs, needle),
        "by_length": {run.place: table for run in runs if run.study == CONNECTORS and len(table := _by_length(run))},
    }
    return (PARTLY if values["needle"] or values["by_length"] else NOT_MEASURED), values


def _by_length(run: Published) -> pd.DataFrame:
    """Mean score over questions of short and of long videos, a line an arm and ratio; empty where rows lack lengths."""
    rows = run.rows("arm", "condition", "error", "score", "ratio", "length", "kind")
    if not {"ratio", "length", "kind"} <= set(rows):
        return pd.DataFrame()
    rows = rows[(rows["condition"] == "visual") & rows["error"].isna() & (rows["ratio"] > 1)]
    means = rows.groupby(["arm", "ratio", "length", "kind"], sort=False)["score"].mean()
    wide = means.groupby(["arm", "ratio", "length"], sort=False).mean().unstack("length")
    wide = wide.rename(index=lambda ratio: f"{ratio:.0f}x", level="ratio")
    return wide.sort_index(axis=1, ascending=False).round(2)


def several_scores() -> Values:
    """One checkpoint, several published scores: from the paper, leaderboards and other papers."""
    groups: dict[tuple, list[dict[str, str]]] = {}
    for row in numbers():
        released = row["model"].startswith("Oryx") and "+" not in row["model"] and "family" not in row["model"]
        scored = row["study"].startswith("main-") or row["study"] == "re-evaluation"
        if released and scored and row["study"] != "main-claims" and row["unit"] == "%" and row["value"]:
            groups.setdefault((row["model"], row["benchmark"], _kind(row["variant"])), []).append(row)
    lines = []
    for (model, benchmark, kind), rows in groups.items():
        if len({row["source"] for row in rows}) > 1:
            values = [float(row["value"]) for row in rows]
            places = [sources()[row["source"]].split(" ")[0].removeprefix("https://") for row in rows]
            published = "; ".join(f"{row['value']} ({place})" for row, place in zip(rows, places, strict=True))
            spread = f"{max(values) - min(values):.1f}"
            name = f"{benchmark} {kind}".strip()
            lines.append({"model": model, "benchmark": name, "published": published, "spread": spread})
    return NOT_MEASURED, {"lines": sorted(lines, key=lambda line: -float(line["spread"]))}


def _kind(variant: str) -> str:
    """What is scored, without how: ``w/ subtitles`` or a sub-task; frames, dates and 'overall' are how."""
    part = variant.split(",")[0].strip()
    plain = part in ("", "w/o subtitles", "overall", "M-Avg") or part.endswith("frames") or part.startswith("according")
    return "" if plain else part
