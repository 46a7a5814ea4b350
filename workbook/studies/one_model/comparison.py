"""The one model beside the models that studies trained for one purpose, on the same held-out items. No torch.

    python -m workbook.studies.one_model.comparison

writes ``scores.csv`` and ``unification.csv`` beside the shipped rows, from these and the published ones; tests hold
them to both. The one model has one training seed, so intervals cover items alone and every difference is a direction.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

import oryx
from oryx.errors import InputError, MissingResource
from oryx.evidence.rows import read_published
from oryx.evidence.stats import paired_difference, summary
from oryx.files import atomic_write_text, read_json
from workbook.report.names import name_of

FOLDER = Path(oryx.__path__[0]) / "weights" / "nano" / "one"
ROWS = "rows.parquet"
SPECIALIST = "for one purpose"


@dataclass(frozen=True)
class Match:
    """Items that an arm of a study's default run was asked too, and what differs between the two models.

    ``tasks``: pattern of their tasks here; ``more``: pattern of what item ids have here and lack there.
    """

    study: str
    arm: str
    tasks: str
    more: str
    differs: str


READER = "both go on from the shared reader with its encoder frozen; the other saw pictures at native size alone"
NEEDLE = "the other has an encoder of its own, trained on small frames, and positions made for length"
STORIES = "same encoder and frames; the other saw synthetic videos alone"
MATCHES = (
    Match("native_vs_fixed_resolution", "native", r"[a-z]+_1x", r"/1x$", READER),
    Match("needle_in_a_haystack", "retrieval", r"needle_\d+_16x", r"/16x$", NEEDLE),
    Match("needle_in_a_haystack", "retrieval_4x", r"needle_\d+_4x", r"/4x$", NEEDLE),
    Match("pooling_vs_dynamic_compression", "dynamic", r"(short|long)_32px_[a-z]+_(4|16)x", r"/32px", STORIES),
)


def with_specialists(rows: pd.DataFrame, results: str | Path = "results") -> pd.DataFrame:
    """The one model's rows, and for every item that a study's arm was asked too a row of that arm.

    Such a row carries the arm's mean score over its seeds. Studies that are not published yet are passed over.
    """
    return pd.concat([rows, *(theirs for _, theirs in _specialists(rows, results))], ignore_index=True)


def comparison(rows: pd.DataFrame, results: str | Path = "results") -> pd.DataFrame:
    """One line per task that was asked on the same items: both scores, the difference with its interval over items."""
    seen, lines = rows[rows["condition"] == "visual"], []
    for match, found in _specialists(rows, results):
        for task, theirs in found.sort_values("ratio", kind="stable").groupby("task", sort=False):
            own = seen[(seen["task"] == task) & seen["item"].isin(theirs["item"])]
            try:
                gap = paired_difference(pd.concat([own, theirs]), own["arm"].iloc[0], match.arm)
            except InputError:  # all items in one cluster: no interval
                continue
            line = {"study": match.study, "task": task, "n": len(theirs), "one model": own["score"].mean()}
            line |= {SPECIALIST: theirs["score"].mean(), "difference": gap.value, "low": gap.low, "high": gap.high}
            lines.append({**line, "arm": match.arm, "differs": match.differs})
    columns = ["study", "task", "n", "one model", SPECIALIST, "difference", "low", "high", "arm", "differs"]
    return pd.DataFrame(lines, columns=columns)


def differing(table: pd.DataFrame) -> str:
    """In what models of a study differ from the one model beside their purpose, a line each."""
    lines = table[["study", "arm", "differs"]].drop_duplicates().itertuples(index=False)
    return "\n".join(f"- `{study}`, {name_of(arm)}: {differs}." for study, arm, differs in lines)


def _specialists(rows: pd.DataFrame, results: str | Path) -> Iterator[tuple[Match, pd.DataFrame]]:
    for match in MATCHES:
        path = Path(results) / match.study / "nano" / ROWS
        if not path.is_file():
            continue
        other = read_published(path)
        other = other[(other["arm"] == match.arm) & (other["condition"] == "visual") & other["error"].isna()]
        own = rows[(rows["condition"] == "visual") & rows["task"].str.fullmatch(match.tasks)]
        named = own["item"].str.replace(match.more, "", regex=True)
        own = own.assign(arm=match.arm, score=named.map(other.groupby("item")["score"].mean()))
        yield match, own[own["score"].notna()]


def score_lines(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per task: score with interval, n, chance, the most frequent truth's share, the blind control."""
    by, found = ["group", "kind"], summary(rows).rename(columns={"n_items": "n"})
    seen = rows[rows["condition"] == "visual"]
    about = seen.groupby("task").agg({**dict.fromkeys([*by, "ratio"], "first"), "visual_tokens": "mean"})
    blind = rows[rows["condition"] == "no_visual"].groupby(by)["score"].mean().rename("blind")
    lines = found[found["condition"] == "visual"].join(about, on="task").join(blind, on=by)
    columns = ["task", *by, "ratio", "score", "low", "high", "n", "chance", "majority", "visual_tokens", "blind"]
    return lines[columns].sort_values([*by, "ratio"], kind="stable")


def rows(folder: Path = FOLDER) -> pd.DataFrame:
    """The shipped model's answers to held-out items; raises MissingResource if they are not there."""
    if not (folder / ROWS).is_file():
        raise MissingResource(f"no {folder / ROWS}: python -m oryx run one_model --no-notebook asks the model again")
    return read_published(folder / ROWS)


def scores() -> pd.DataFrame:
    """:func:`score_lines` of the shipped model as it was last written."""
    return pd.read_csv(FOLDER / "scores.csv")


def manifest() -> dict:
    """Recipe, command, hashes and curve of the shipped model."""
    return read_json(FOLDER / "manifest.json")


def table() -> pd.DataFrame:
    """:func:`comparison` of the shipped model as it was last written."""
    return pd.read_csv(FOLDER / "unification.csv")


def main() -> None:
    """Write ``scores.csv`` and ``unification.csv`` from the shipped rows and those in ``results``."""
    for name, made in (("scores", score_lines(rows())), ("unification", comparison(rows()))):
        atomic_write_text(FOLDER / f"{name}.csv", made.to_csv(index=False, float_format="%.4f"))


if __name__ == "__main__":
    main()
