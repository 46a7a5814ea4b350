"""What does one model for everything cost? Its scores beside those of the models that studies trained for one purpose.

    python -m workbook.studies.one_model.unification

compares the same held-out items, from published rows, and writes ``unification.csv`` beside the scores (it takes
seconds to read all rows, so the notebook reads that file; ``tests/integration`` hold it to the rows). The one model
has one training seed, so intervals cover items alone and every difference is a direction. No torch.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

import oryx
from oryx.errors import InputError, MissingResource
from oryx.evidence.rows import read_rows_xz
from oryx.evidence.stats import paired_difference
from oryx.files import atomic_write_text
from workbook.report import plots

FOLDER = Path(oryx.__path__[0]) / "weights" / "nano" / "one"
SPECIALIST = "for one purpose"


@dataclass(frozen=True)
class Match:
    """Tasks of the one model that a study's arm was asked too: ``mine`` -> ``theirs`` (task), and what differs."""

    study: str
    variant: str
    arm: str
    tasks: dict[str, str]
    differs: str


def matches() -> list[Match]:
    """Every comparison on equal items."""
    found = [
        Match(
            "native_vs_fixed_resolution", "nano", "native",
            {f"{task}_1x": task for task in ("number", "word", "list", "page", "icon", "clipart", "photo")},
            "both go on from the shared reader with its encoder frozen; the other saw pictures at native size alone",
        )
    ]  # fmt: skip
    for arm, ratio in (("retrieval", 16), ("retrieval_4x", 4)):
        tasks = {f"needle_{frames}_{ratio}x": f"number_{frames}" for frames in (16, 50)}
        how = "the other has an encoder of its own, trained on small frames, and positions made for length"
        found.append(Match("needle_in_a_haystack", "nano", arm, tasks, how))
    kinds = ("what", "when", "order", "move", "colour", "sign", "count")
    for ratio in (4, 16):
        for length in ("short", "long"):
            tasks = {f"{length}_32px_{kind}_{ratio}x": f"{kind}_{ratio}x" for kind in kinds}
            how = "same encoder and frames; the other saw films alone"
            found.append(Match("pooling_vs_dynamic_compression", "nano", "dynamic", tasks, how))
    return found


def rows(folder: Path = FOLDER) -> pd.DataFrame:
    """The one model's answers to held-out items; raises MissingResource if they are not there."""
    path = folder / "rows.columns.jsonl.xz"
    if not path.is_file():
        raise MissingResource(f"no {path}: python -m oryx.train one_model --folder FOLDER writes it")
    return read_rows_xz(path)


def scores(folder: Path = FOLDER) -> pd.DataFrame:
    """One line per task: score with interval, n, chance, majority answer, the same model with nothing to see."""
    return pd.read_csv(folder / "scores.csv")


def manifest(folder: Path = FOLDER) -> dict:
    """Recipe, command, hashes and curve."""
    return json.loads((folder / "manifest.json").read_text())


def table(folder: Path = FOLDER) -> pd.DataFrame:
    """:func:`comparison` as it was last written."""
    return pd.read_csv(folder / "unification.csv")


def comparison(results: str | Path = "results", folder: Path = FOLDER) -> pd.DataFrame:
    """One line per task that was asked on the same items: both scores, the difference with its interval over items.

    Studies that are not published yet are passed over.
    """
    own, lines = rows(folder), []
    for match in matches():
        place = Path(results) / match.study / match.variant / "rows.columns.jsonl.xz"
        if place.is_file():
            lines += _lines(own, read_rows_xz(place), match)
    columns = ["study", "task", "n", "one model", SPECIALIST, "difference", "low", "high", "arm", "differs"]
    return pd.DataFrame(lines, columns=columns)


def _lines(own: pd.DataFrame, other: pd.DataFrame, match: Match) -> Iterator[dict]:
    other = other[(other["arm"] == match.arm) & (other["condition"] == "visual") & other["error"].isna()]
    for mine, theirs in match.tasks.items():
        left = _keyed(own[(own["task"] == mine) & (own["condition"] == "visual")], "one")
        right = _keyed(other[other["task"] == theirs], "other")
        common = set(left["item"]) & set(right["item"])
        both = pd.concat([left, right])
        both = both[both["item"].isin(common)]
        if len(common) < 2:
            continue
        means = both.groupby("arm")["score"].mean()
        try:
            found = paired_difference(both, "one", "other")
        except InputError:  # all items in one cluster: no interval
            continue
        yield {
            "study": match.study,
            "task": mine,
            "n": len(common),
            "one model": means["one"],
            SPECIALIST: means["other"],
            "difference": found.value,
            "low": found.low,
            "high": found.high,
            "arm": match.arm,
            "differs": match.differs,
        }


def _keyed(part: pd.DataFrame, name: str) -> pd.DataFrame:
    """One line per item, seeds averaged, under the id that the item has without ratio and size."""
    item = part["item"].str.replace(r"(/\d+px)?/\d+x$", "", regex=True)
    kept = part.assign(item=item)[["item", "cluster", "score"]]
    kept = kept.groupby("item", as_index=False).agg({"cluster": "first", "score": "mean"})
    return kept.assign(arm=name, task="both", seed=0, error=None, condition="visual")


def score_table(folder: Path = FOLDER) -> pd.DataFrame:
    """A line per group and kind of question, ratios side by side, with n, chance, majority and the blind control."""
    found = scores(folder)
    found["score"] = [
        f"{line.score:.2f} [{line.low:.2f}, {line.high:.2f}]" if line.low == line.low else f"{line.score:.2f}"
        for line in found.itertuples()
    ]
    wide = found.pivot_table(index=["group", "kind"], columns="ratio", values="score", aggfunc="first", sort=False)
    wide.columns = [f"{ratio}x" for ratio in wide.columns]
    beside = found.groupby(["group", "kind"], sort=False)[["n", "chance", "majority", "blind"]].mean().round(2)
    beside["n"] = beside["n"].astype(int)
    return wide.fillna("").join(beside)


def words(frame: pd.DataFrame) -> str:
    """What :func:`comparison_figure` shows, as its text alternative."""
    worse, better = frame[frame["high"] < 0]["task"].tolist(), frame[frame["low"] > 0]["task"].tolist()
    return (
        f"Differences of the one model to models for one purpose on {len(frame)} tasks. Interval below zero: "
        f"{', '.join(worse) or 'none'}. Interval above zero: {', '.join(better) or 'none'}. All others hold zero."
    )


def curve_words(curve: list[dict]) -> str:
    """What the training curve shows, as its text alternative."""
    first, last = curve[0], curve[-1]
    return (
        f"Training loss falls from {first['loss']:.2f} at step {first['step']} to {last['loss']:.2f} at {last['step']}."
    )


def comparison_figure(frame: pd.DataFrame) -> Figure:
    """Difference of the one model to the model for one purpose, a line per task, with its interval over items."""
    with mpl.rc_context(plots.STYLE):
        figure, (axis,) = plots.panels(1, 1, 8.5, 0.9 + 0.24 * max(1, len(frame)))
        if len(frame):
            plots.forest(axis, frame, "task", "difference", "study")
            handles = axis.get_legend_handles_labels()
            axis.get_legend().remove()
            figure.legend(*handles, loc="outside upper left", ncols=2, fontsize=8)
        axis.set_xlabel("one model minus the model for one purpose (interval over items; one training seed)")
    return figure


def main() -> None:
    """Write ``unification.csv`` from the rows in ``results`` and beside the shipped model."""
    atomic_write_text(FOLDER / "unification.csv", comparison().to_csv(index=False, float_format="%.4f"))


if __name__ == "__main__":
    main()
