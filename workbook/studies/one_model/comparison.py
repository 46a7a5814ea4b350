"""The one model beside the models that studies trained for one purpose, on the same held-out items. No torch.

    python -m workbook.studies.one_model.comparison

writes ``unification.csv`` beside the shipped scores, from the rows there and the published ones; ``tests/integration``
hold it to them. The one model has one training seed, so intervals cover items alone and every difference is a
direction.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

import oryx
from oryx.errors import InputError, MissingResource
from oryx.evidence.rows import read_published
from oryx.evidence.stats import paired_difference, summary
from oryx.files import atomic_write_text

FOLDER = Path(oryx.__path__[0]) / "weights" / "nano" / "one"
ROWS = "rows.parquet"
SPECIALIST = "for one purpose"
SIZED = r"(/\d+px)?/\d+x$"
"""Size and ratio, in which item ids of some studies end."""


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
            how = "same encoder and frames; the other saw synthetic videos alone"
            found.append(Match("pooling_vs_dynamic_compression", "nano", "dynamic", tasks, how))
    return found


def with_specialists(rows: pd.DataFrame, results: str | Path = "results") -> pd.DataFrame:
    """The one model's rows, and for every item that a study's arm was asked too a row of that arm.

    Such a row carries the arm's mean score over its seeds. Studies that are not published yet are passed over.
    """
    return pd.concat([rows, *(theirs for _, _, theirs in _specialists(rows, results))], ignore_index=True)


def comparison(rows: pd.DataFrame, results: str | Path = "results") -> pd.DataFrame:
    """One line per task that was asked on the same items: both scores, the difference with its interval over items."""
    lines = []
    for match, mine, theirs in _specialists(rows, results):
        own = rows[rows["condition"] == "visual"].merge(theirs[["item", "task", "seed"]], on=["item", "task", "seed"])
        if len(theirs) < 2:
            continue
        try:
            found = paired_difference(pd.concat([own, theirs]), own["arm"].iloc[0], match.arm)
        except InputError:  # all items in one cluster: no interval
            continue
        line = {"study": match.study, "task": mine, "n": len(theirs), "one model": own["score"].mean()}
        line |= {SPECIALIST: theirs["score"].mean(), "difference": found.value, "low": found.low, "high": found.high}
        lines.append({**line, "arm": match.arm, "differs": match.differs})
    columns = ["study", "task", "n", "one model", SPECIALIST, "difference", "low", "high", "arm", "differs"]
    return pd.DataFrame(lines, columns=columns)


def _specialists(rows: pd.DataFrame, results: str | Path) -> Iterator[tuple[Match, str, pd.DataFrame]]:
    seen = rows[rows["condition"] == "visual"]
    for match in matches():
        path = Path(results) / match.study / match.variant / ROWS
        if not path.is_file():
            continue
        other = read_published(path)
        other = other[(other["arm"] == match.arm) & (other["condition"] == "visual") & other["error"].isna()]
        for mine, theirs in match.tasks.items():
            of_task, own = other[other["task"] == theirs], seen[seen["task"] == mine]
            scores = of_task.groupby(_unsized(of_task["item"]))["score"].mean()
            own = own.assign(arm=match.arm, score=_unsized(own["item"]).map(scores))
            if len(own := own[own["score"].notna()]):
                yield match, mine, own


def _unsized(items: pd.Series) -> pd.Series:
    return items.str.replace(SIZED, "", regex=True)


def score_lines(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per task: score with interval, n, chance, the most frequent truth's share, the blind control."""
    found = summary(rows)
    seen = found[found["condition"] == "visual"].set_index("task")
    blind = rows[rows["condition"] == "no_visual"].groupby(["group", "kind"])["score"].mean().rename("blind")
    about = rows.drop_duplicates("task").set_index("task")[["group", "kind", "ratio"]]
    tokens = rows[rows["condition"] == "visual"].groupby("task")["visual_tokens"].mean().rename("visual_tokens")
    kept = seen[["score", "low", "high", "n_items", "chance", "majority"]].rename(columns={"n_items": "n"})
    lines = about.join(kept).join(tokens).reset_index().join(blind, on=["group", "kind"])
    return lines.sort_values(["group", "kind", "ratio"], kind="stable")


def rows(folder: Path = FOLDER) -> pd.DataFrame:
    """The shipped model's answers to held-out items; raises MissingResource if they are not there."""
    if not (folder / ROWS).is_file():
        raise MissingResource(f"no {folder / ROWS}: python -m oryx run one_model --no-notebook asks the model again")
    return read_published(folder / ROWS)


def scores(folder: Path = FOLDER) -> pd.DataFrame:
    """:func:`score_lines` of the shipped model as it was last written."""
    return pd.read_csv(folder / "scores.csv")


def manifest(folder: Path = FOLDER) -> dict:
    """Recipe, command, hashes and curve of the shipped model."""
    return json.loads((folder / "manifest.json").read_text())


def table(folder: Path = FOLDER) -> pd.DataFrame:
    """:func:`comparison` of the shipped model as it was last written."""
    return pd.read_csv(folder / "unification.csv")


def main() -> None:
    """Write ``unification.csv`` from the shipped rows and those in ``results``."""
    atomic_write_text(FOLDER / "unification.csv", comparison(rows()).to_csv(index=False, float_format="%.4f"))


if __name__ == "__main__":
    main()
