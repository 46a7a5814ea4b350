"""What reviewers and users of the paper asked, answered from published rows, benchmarks and the paper's own numbers.

Every number is looked up when the page is made; where nothing was measured the answer says so. Reviewers: the public
review forum of ICLR 2025 (openreview.net/forum?id=ODiY6pbHZQ). Users: public threads about reproducing results.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from oryx.evidence.paper import numbers, select, sources
from oryx.grids import video_token_count
from oryx.processing.context import CONTEXTS, SIZES, compressed, frames_that_fit
from oryx.processing.options import PreprocessOptions
from workbook.report.benchmark_tables import block, table_with, tables
from workbook.report.published import Published, estimate_text

MEASURED, PARTLY, NOT_MEASURED = "measured", "measured in part", "not measured"
Table = tuple[str, list[dict[str, str]]]


@dataclass
class Answer:
    """One question: who asked it, what is known (paragraphs and tables with captions), and how far it is measured."""

    id: str
    question: str
    asked_by: str
    status: str = NOT_MEASURED
    text: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def answers(runs: Sequence[Published], benchmarks: str) -> list[Answer]:
    """All questions with their answers from the published ``runs`` and the text of ``docs/benchmarks.md``."""
    made = (throughput(runs, benchmarks), architecture_or_data(runs), why_these_ratios(runs), short_or_long(runs))
    return [*made, several_scores()]


def throughput(runs: Sequence[Published], benchmarks: str) -> Answer:
    """Speed of the packed encoder, of the compressor, and of whole answers."""
    answer = Answer("throughput", "How fast is native resolution, and what does the compressor cost?", "reviewers")
    mixes = {row["mix"]: row for row in table_with("padding ratio", benchmarks)}
    speeds = [row for row in table_with("speed ratio", benchmarks) if row["mix"] in mixes]
    for equal in (False, True):
        own = [row for row in speeds if (float(mixes[row["mix"]]["padding ratio"]) == 1) == equal]
        if own:
            low, high = min(float(r["speed ratio"]) for r in own), max(float(r["speed ratio"]) for r in own)
            kind = "Pictures of one size" if equal else "Pictures of unequal sizes"
            answer.text.append(
                f"{kind}: the packed encoder takes {_span(low, high)} times less CPU time than the same one "
                f"padded to the largest picture ({len(own)} measurements, CPU)."
            )
    answer.status = MEASURED if speeds else NOT_MEASURED
    native = tables(block("native-encoding", benchmarks))
    for lines in native:
        answer.tables.append(("Packed, padded, partition and fixed squares (docs/benchmarks.md)", lines))
    against = [row for lines in native for row in lines if "against" in row]
    for case in ("equal tokens", "equal pixels"):
        if ratios := [float(row["pictures/s"]) for row in against if row["against"].endswith(case)]:
            answer.text.append(
                f"Packed native against batches of equal squares (one a picture, or tiles) at {case}: "
                f"{_span(min(ratios), max(ratios))} times the pictures a second ({len(ratios)} measurements, CPU)."
            )
    if not native:
        answer.text.append("Packed against squares of one size and against tiles: not measured yet.")
        answer.status = PARTLY if speeds else NOT_MEASURED
    if shares := [row for row in tables(block("connectors", benchmarks)) if "share" in row[0]]:
        words = ", ".join(f"{row['share']} at {next(iter(row.values()))}" for row in shares[0])
        answer.text.append(f"The compressor takes {words} of the encoder's time.")
    for run in runs:
        if run.study == "native_vs_fixed_resolution" and "," not in run.variant and (lines := _seconds(run)):
            answer.tables.append((f"One answer of the small models ({run.place}, wall-clock)", lines))
            ms = {line["arm"]: float(line["ms"]) for line in lines}
            if {"native", "area_matched"} <= set(ms):
                ratio = ms["native"] / ms["area_matched"]
                answer.text.append(
                    f"A whole answer of the small models takes {ratio:.1f} times as long at native size as "
                    "at a fixed area of as many tokens (wall-clock, on a machine that did other work)."
                )
    if not any("FLOP" in " ".join(row) for lines in native for row in lines):
        answer.text.append("On a GPU: not measured.")
    return answer


def _seconds(run: Published) -> list[dict[str, str]]:
    rows = run.rows("arm", "condition", "seconds", "visual_tokens")
    if "seconds" not in rows:
        return []
    rows = rows[(rows["condition"] == "visual") & rows["arm"].isin(["native", "area_matched", "area_4", "pad"])]
    means = rows.groupby("arm", sort=False)[["visual_tokens", "seconds"]].mean()
    return [
        {"arm": arm, "visual tokens": f"{line.visual_tokens:.1f}", "ms": f"{1000 * line.seconds:.1f}"}
        for arm, line in means.iterrows()
    ]


def architecture_or_data(runs: Sequence[Published]) -> Answer:
    """What more training does, what native resolution does, what retrieval data do."""
    answer = Answer(
        "architecture_or_data", "Does the architecture help, or only the additional training data?", "reviewers"
    )
    told = {
        "H2a.training": "more training alone, on squares",
        "H2a.resolution": "equal training, native against squares",
        "H2a.crossed": "native training gains more at native input",
        "H4b.tokens": "retrieval data, at equal tokens",
        "H4b.steps": "retrieval data, at equal steps",
        "H4b.positions_alone": "positions alone, without retrieval data",
    }
    lines = verdict_lines(runs, told)
    if lines:
        answer.tables.append(("What was taken apart", lines))
        answer.status = PARTLY
        clear = [line["what"] for line in lines if line["verdict"] == "supported"]
        unclear = [line["what"] for line in lines if line["verdict"] != "supported"]
        answer.text.append("Supported: " + ("; ".join(dict.fromkeys(clear)) or "none") + ".")
        answer.text.append("Not decided or against: " + ("; ".join(dict.fromkeys(unclear)) or "none") + ".")
    said = select({"study": "method", "benchmark": "OryxViT pre-training data"})
    words = " against ".join(f"{row['value']} ({row['variant'].split(' (')[0]})" for row in said)
    answer.text.append(f"How much data the released encoder saw is itself not settled: {words}.")
    return answer


def verdict_lines(runs: Sequence[Published], told: dict[str, str]) -> list[dict[str, str]]:
    """One line per hypothesis (named without its scale) and run that tests it."""
    lines = []
    for name, what in told.items():
        for run in runs:
            verdict = run.verdict(f"{name}.{run.scale}")
            if verdict and verdict["verdict"] != "not tested":
                lines.append(
                    {
                        "what": what,
                        "hypothesis": verdict["id"],
                        "verdict": verdict["verdict"],
                        "estimate": estimate_text(verdict),
                        "run": run.place,
                    }
                )
    return lines


def why_these_ratios(runs: Sequence[Published]) -> Answer:
    """What other ratios would cost in tokens, and what was measured between them."""
    answer = Answer("why_these_ratios", "Why 1, 4 and 16, and no other ratio?", "reviewers")
    model, context = next(iter(CONTEXTS.items()))
    size = "640x360"
    costs = []
    for ratio in (1, 4, 16):
        grid = compressed(SIZES[size], ratio)
        each = video_token_count(2, grid) - video_token_count(1, grid)
        fits = f"{frames_that_fit(context, grid):,}"
        costs.append({"ratio": f"{ratio}x", "tokens a frame": str(each), f"frames in {context:,} tokens": fits})
    answer.tables.append((f"Arithmetic: frames of {size} in the context of {model}", costs))
    answer.text.append("The paper gives no reason. Any square number (4, 9, 16, 25) keeps the pooled regions square.")
    if lines := verdict_lines(runs, {"H4c.ratio": "4x against 16x on a needle among 50 frames"}):
        answer.tables.append(("Measured: the needle", lines))
        answer.status = PARTLY
    ratios = [run for run in runs if run.study == "pooling_vs_dynamic_compression"]
    for run in ratios:
        if lines := _by_ratio(run):
            answer.tables.append((f"Measured: mean score over questions by ratio ({run.place})", lines))
            answer.status = PARTLY
    if not any("panel=ratios" in run.variant for run in ratios):
        answer.text.append("Ratios between and beyond (9, 25) with every connector: not measured yet.")
    else:
        answer.status = MEASURED
    return answer


def _by_ratio(run: Published) -> list[dict[str, str]]:
    import pandas as pd

    table = pd.read_csv(run.folder / "table.csv")
    seen = table[(table["condition"] == "visual") & table["task"].str.fullmatch(r"[a-z]+_\d+x")]
    if seen.empty:
        return []
    seen = seen.assign(ratio=seen["task"].str.extract(r"_(\d+)x")[0].astype(int))
    seen = seen[seen["ratio"] > 1]  # uncompressed films were asked about where they are short only
    wide = seen.pivot_table(index="arm", columns="ratio", values="score", sort=False).sort_index(axis=1)
    return [
        {"arm": arm, **{f"{ratio}x": "" if value != value else f"{value:.2f}" for ratio, value in line.items()}}
        for arm, line in wide.iterrows()
    ]


def short_or_long(runs: Sequence[Published]) -> Answer:
    """Where 4x ends and 16x begins: what the released code does, what fits, what was measured."""
    answer = Answer("short_or_long", "Where does a short video end and a long one begin?", "reviewers")
    (long,) = select({"study": "method", "benchmark": "long-video training frames"})
    bound = PreprocessOptions().short_video_frames
    answer.text.append(
        f"The paper draws no line. The released training treats {long['value']} frames as long; here the rule "
        f"auto takes 4x up to {bound} frames and 16x beyond, or, with a token budget, the lowest ratio that fits."
    )
    lines = []
    for model, context in CONTEXTS.items():
        for name, size in SIZES.items():
            fits = {ratio: frames_that_fit(context, compressed(size, ratio)) for ratio in (4, 16)}
            ends = {f"{ratio}x ends at": f"{most:,}" for ratio, most in fits.items()}
            lines.append({"model": model, "frames of": name, **ends})
    answer.tables.append(("Arithmetic: the longest video, in frames, that fits the context", lines))
    told = {
        "H4c.ratio": "4x against 16x at 50 frames",
        "H4a.length": "1,600 frames as well as 50",
    }
    if found := verdict_lines(runs, told):
        answer.tables.append(("Measured: the needle", found))
        answer.status = PARTLY
    for run in runs:
        if run.study == "pooling_vs_dynamic_compression" and (lines := _by_length(run)):
            answer.tables.append((f"Measured: short and long films ({run.place})", lines))
            answer.status = PARTLY
    return answer


def _by_length(run: Published) -> list[dict[str, str]]:
    rows = run.rows("arm", "condition", "error", "score", "ratio", "length", "kind")
    if not {"ratio", "length", "kind"} <= set(rows):
        return []
    rows = rows[(rows["condition"] == "visual") & rows["error"].isna() & (rows["ratio"] > 1)]
    means = rows.groupby(["arm", "ratio", "length", "kind"], sort=False)["score"].mean()
    means = (
        means.groupby(["arm", "ratio", "length"], sort=False)
        .mean()
        .unstack("length")
        .sort_index(axis=1, ascending=False)
    )
    return [
        {"arm": arm, "ratio": f"{int(ratio)}x", **{n: "" if v != v else f"{v:.2f}" for n, v in line.items()}}
        for (arm, ratio), line in means.iterrows()
    ]


def several_scores() -> Answer:
    """One checkpoint, several published scores: from the paper, leaderboards and other papers."""
    answer = Answer("several_scores", "Which of several published scores of one checkpoint is right?", "users")
    groups: dict[tuple, list[dict[str, str]]] = {}
    for row in numbers():
        ours = row["model"].startswith("Oryx") and "+" not in row["model"] and "family" not in row["model"]
        told = row["study"].startswith("main-") or row["study"] == "re-evaluation"
        if ours and told and row["study"] != "main-claims" and row["unit"] == "%" and row["value"]:
            groups.setdefault((row["model"], row["benchmark"], _kind(row["variant"])), []).append(row)
    lines = []
    for (model, benchmark, kind), rows in groups.items():
        if len({row["source"] for row in rows}) < 2:
            continue
        values = [float(row["value"]) for row in rows]
        told = "; ".join(f"{row['value']} {_short(row['source'])}" for row in rows)
        name = f"{benchmark} {kind}".strip()
        spread = max(values) - min(values)
        lines.append({"model": model, "benchmark": name, "published": told, "spread": f"{spread:.1f}"})
    lines.sort(key=lambda line: -float(line["spread"]))
    answer.tables.append(("Scores of one model in several places, in percent", lines))
    if lines:
        top = lines[0]
        answer.text.append(
            f"{len(lines)} scores are published more than once for one model and differ by up to {top['spread']} "
            f"points ({top['model']}, {top['benchmark']}). Frames, prompts, harness and averaging are rarely stated."
        )
    answer.text.append("None of them was measured here: that needs the released weights and the benchmarks.")
    return answer


def _kind(variant: str) -> str:
    """What is scored, without how: ``w/ subtitles`` or a sub-task; frames, dates and 'overall' are how."""
    part = variant.split(",")[0].strip()
    plain = part in ("", "w/o subtitles", "overall", "M-Avg") or part.endswith("frames") or part.startswith("according")
    return "" if plain else part


def _short(key: str) -> str:
    return f"({sources()[key].split(' ')[0].removeprefix('https://')})"


def _span(low: float, high: float) -> str:
    return f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"
