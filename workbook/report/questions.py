"""What reviewers and users of the paper asked: values for the answers in ``templates/question_*.md.j2``.

Every number is looked up when the page is made; where nothing was measured the answer says so. Reviewers: the public
review forum of ICLR 2025 (openreview.net/forum?id=ODiY6pbHZQ). Users: public threads about reproducing results.
"""

import csv
import re
from collections import namedtuple
from collections.abc import Mapping, Sequence
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from oryx.processing.options import PreprocessOptions
from workbook.report.fits import context_table
from workbook.report.paper import numbers, select, sources
from workbook.report.published import Published
from workbook.report.tables import estimate_text, render

BENCHMARKS = Path(__file__).parents[2] / "docs" / "benchmarks.md"
NAMES = ("throughput", "architecture_or_data", "why_these_ratios", "short_or_long", "several_scores")


Question = namedtuple("Question", ["id", "title", "asked_by", "status", "text"])
"""One question with its answer as Markdown, and how far the answer was measured."""


def questions(runs: Sequence[Published], benchmarks: str | None = None) -> list[Question]:
    """All questions with their answers from the published ``runs`` and the text of ``docs/benchmarks.md``."""
    contexts = context_table()
    values = {
        **speeds(benchmark_page() if benchmarks is None else benchmarks),
        "runs": runs,
        "answer_costs": answer_costs,
        "mean_scores": mean_scores,
        "tested": partial(verdict_lines, runs),
        "select": select,
        "costs": contexts.query("model == 'Oryx-7B' and frame == '640x360'"),
        "fits": contexts.pivot_table("frames that fit", ["model", "frame"], "compression", sort=False),
        "short_frames": PreprocessOptions().short_video_frames,
        "scores": several_scores(),
    }
    texts = [render(f"question_{name}.md.j2", **values).split("\n", 3) for name in NAMES]
    return [Question(name, *map(str.strip, parts)) for name, parts in zip(NAMES, texts, strict=True)]


def benchmark_page() -> str:
    """``docs/benchmarks.md``; empty where the package is installed without its repository."""
    return BENCHMARKS.read_text(encoding="utf-8") if BENCHMARKS.is_file() else ""


def tables(text: str) -> list[pd.DataFrame]:
    """Every Markdown table of a text, its cells as text."""
    parts = re.findall(r"(?:^\|.*\|\n?)+", text, re.MULTILINE)
    form = {"sep": r"\s*\|\s*", "engine": "python", "dtype": str, "quoting": csv.QUOTE_NONE}
    return [pd.read_csv(StringIO(part), **form).iloc[1:, 1:-1] for part in parts]


def speeds(benchmarks: str) -> dict[str, Any]:
    """Speed of the packed encoder and of the compressor, from the tables of ``docs/benchmarks.md``."""

    def first_with(*names: str, block: str = "") -> pd.DataFrame:
        wanted = (table for table in tables(_block(block, benchmarks)) if set(names) <= set(table))
        return next(wanted, pd.DataFrame(columns=names))

    packed = first_with("mix", "peer / packed").merge(first_with("mix", "padding ratio"), on="mix")
    packed = packed[packed["peer"] == "padded"] if len(packed) else packed
    equal, ratios = packed["padding ratio"].astype(float) == 1, packed["peer / packed"].astype(float)
    squares = first_with("against", "pictures/s", block="native-encoding")
    shares = first_with("share", block="connectors")
    native = _block("native-encoding", benchmarks)
    return {
        "one_size": list(ratios[equal]),
        "unequal": list(ratios[~equal]),
        "native": tables(native),
        "squares": {
            case: list(squares.loc[squares["against"].str.endswith(case), "pictures/s"].astype(float))
            for case in ("equal tokens", "equal pixels")
        },
        "shares": dict(zip(shares.iloc[:, 0], shares["share"], strict=True)),
        "on_gpu": "FLOP" in native,
    }


def _block(name: str, text: str) -> str:
    """What stands between ``<!-- NAME -->`` and ``<!-- end -->``; the whole text without a name."""
    return "".join(re.findall(rf"<!-- {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)) if name else text


def answer_costs(run: Published) -> pd.DataFrame:
    """Mean tokens and milliseconds of one answer, an arm a line."""
    rows = run.rows("arm", "condition", "seconds", "visual_tokens")
    rows = rows[(rows["condition"] == "visual") & rows["arm"].isin(["native", "area_matched", "area_4", "pad"])]
    means = rows.groupby("arm")[["visual_tokens", "seconds"]].mean()
    return pd.DataFrame({"visual tokens": means["visual_tokens"], "ms": 1000 * means["seconds"]}).round(1)


def verdict_lines(runs: Sequence[Published], wanted: Mapping[str, str]) -> list[dict[str, str]]:
    """One line per hypothesis (named without its scale, with what it compares) and run that tests it."""
    return [
        {"what": what, "hypothesis": v["id"], "verdict": v["verdict"], "estimate": estimate_text(v), "run": run.place}
        for name, what in wanted.items()
        for run in runs
        if (v := run.verdict(f"{name}.{run.scale}"))
    ]


def mean_scores(run: Published, *by: str) -> pd.DataFrame:
    """Mean score over kinds of question, an arm a line (and the first fields of ``by``), the last of ``by`` a column.

    At 1x short videos alone were asked: left out.
    """
    rows = run.rows("arm", "condition", "error", "score", "ratio", "length", "kind")
    rows = rows[(rows["condition"] == "visual") & rows["error"].isna() & (rows["ratio"] > 1)]
    means = rows.groupby(["arm", *by, "kind"])["score"].mean().groupby(["arm", *by]).mean().round(2)
    return means.rename("{:.0f}x".format, level="ratio").unstack(by[-1], sort=False)


def several_scores() -> pd.DataFrame:
    """One checkpoint, several published scores: from the paper, leaderboards and other papers; the widest first."""
    frame = pd.DataFrame(numbers())
    ours = frame["model"].str.startswith("Oryx") & ~frame["model"].str.contains(r"\+|family")
    scored = frame["study"].str.match("main-(?!claims)|re-evaluation") & frame["unit"].eq("%") & frame["value"].ne("")
    # what is scored, without how: ``w/ subtitles`` or a sub-task; frames, dates and 'overall' are how
    how = r"(?:|w/o subtitles|overall|M-Avg|.*frames|according.*)"
    kind = frame["variant"].str.split(",").str[0].str.strip().str.replace(rf"^{how}$", "", regex=True)
    place = frame["source"].map(sources()).str.split(" ").str[0].str.removeprefix("https://")
    frame = frame.assign(
        benchmark=(frame["benchmark"] + " " + kind).str.strip(),
        published=frame["value"] + " (" + place + ")",
        value=pd.to_numeric(frame["value"], "coerce"),
    )[ours & scored]
    several = frame.groupby(["model", "benchmark"], sort=False).filter(lambda rows: rows["source"].nunique() > 1)
    groups = several.groupby(["model", "benchmark"], sort=False)
    spread = (groups["value"].max() - groups["value"].min()).round(1)
    found = pd.DataFrame({"published": groups["published"].agg("; ".join), "spread": spread})
    return found.sort_values("spread", ascending=False, kind="stable").reset_index()
