"""Tables of the needle study, and the shares behind its figures. No torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from oryx.evidence.stats import contrast, score_of
from workbook.report.tables import with_intervals
from workbook.studies.needle.arms import ARMS, EASY

KEPT = 0.85
"""Share of an arm's score at EASY frames that a length must keep (RULER, arXiv 2404.06654: 0.856 at all lengths)."""


def shares(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Share of right answers for every group of ``by``, with its 95 % interval, chance and the blind control.

    Intervals are those of :func:`score_of`, over needles and seeds; none in a group with but one needle.
    Groups lie in the order of their values, arms in that of the study.
    """
    by, answered = list(by), rows[rows["error"].isna()]
    seen, blind = (answered[answered["condition"] == condition] for condition in ("visual", "no_visual"))
    lines = [dict(zip(by, group, strict=True)) | score_of(own) for group, own in seen.groupby(by)]
    found = pd.DataFrame(lines, columns=[*by, "score", "low", "high", "n"]).rename(columns={"n": "items"})
    found = found.sort_values(by, key=_places).set_index(by)
    means = ("chance", "seconds", "visual_tokens")
    about = {"seeds": ("seed", "nunique"), **{name: (name, "mean") for name in means}}
    about["longest_trained"] = ("longest_trained", "max")
    found = found.join(seen.groupby(by).agg(**about)).join(blind.groupby(by)["score"].mean().rename("no_video"))
    return found.reset_index()


def break_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Where does it break? For each arm the longest videos that keep at least half of its score at EASY frames.

    An arm that is no better than chance there has nothing to keep.
    """
    frame = shares(rows[rows["variant"] == "number"], ("arm", "length"))
    lines = []
    for arm, mine in frame.groupby("arm", sort=False):
        scores, trained = mine.set_index("length")["score"].sort_index(), int(mine["longest_trained"].max())
        broken = scores.index[scores < scores[EASY] / 2]
        kept = scores.index[scores.index < min(broken, default=np.inf)].max()
        learned = scores[EASY] > mine["chance"].mean()
        lines.append(
            {
                "arm": arm,
                "trained to, frames": trained,
                f"score at {EASY} frames": f"{scores[EASY]:.2f}",
                "keeps half to, frames": kept if learned else "none",
                "below half from, frames": min(broken, default="not reached") if learned else EASY,
            }
        )
    return pd.DataFrame(lines)


def effective_length_table(rows: pd.DataFrame) -> pd.DataFrame:
    """What each arm keeps of its score at EASY frames, by length, and the effective length that follows.

    That is the longest length up to which every one keeps at least KEPT; ``surely``: with the 95 % interval of the
    difference between the scores, over the rows' clusters and seeds; empty where there is but one cluster. A length is
    compared at the depths it was asked.
    """
    numbers = rows[(rows["variant"] == "number") & (rows["condition"] == "visual") & rows["error"].isna()]
    lines = []
    for arm, mine in numbers.sort_values("arm", key=_places).groupby("arm", sort=False):
        easy, kept, reached = mine[mine["length"] == EASY], {}, {}
        for frames, asked in mine[mine["length"] > EASY].groupby("length"):
            both = pd.concat([asked, easy[easy["depth"].isin(asked["depth"])]])
            score = both.groupby("length")["score"].mean()
            kept[f"{frames:,}"] = f"{score[frames] / score[EASY]:.2f}" if score[EASY] else ""
            terms = [(arm, [f"number_{frames}"], 1.0), (arm, [f"number_{EASY}"], -KEPT)]
            low = contrast(both, terms).low if both["cluster"].nunique() > 1 else np.nan
            reached[frames] = (score[frames] >= KEPT * score[EASY], low >= 0)
        lengths = [_reached({n: sides[i] for n, sides in reached.items()}) for i in range(2)]
        sure = lengths[1] if mine["cluster"].nunique() > 1 else ""
        about = {f"score at {EASY} frames": f"{easy['score'].mean():.2f}", "effective length, frames": lengths[0]}
        lines.append({"arm": arm, **about, "surely": sure, **kept})
    return pd.DataFrame(lines).fillna("")


def _reached(reached: Mapping[int, bool]) -> int:
    """The longest length up to which all are reached, EASY if not even the next is."""
    return max((n for n in reached if all(ok for m, ok in reached.items() if m <= n)), default=EASY)


def other_question_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Answers to a question about the same video that retrieval training lacks.

    ``sensible``: the answer is the name of a colour, right or not.
    """
    asked = rows[(rows["condition"] == "other_question") & rows["error"].isna()]
    asked = asked.assign(sensible=asked["answer"].isin(asked["truth"].unique()))
    by = ["arm", "length"]
    found = shares(asked.assign(condition="visual"), by)
    more = asked.groupby(by).agg(sensible=("sensible", "mean"), given=("answer", lambda given: given.mode().iloc[0]))
    found = found.assign(right=with_intervals(found), chance=found["chance"].round(2)).join(more, on=by)
    found["sensible"] = found["sensible"].map("{:.2f}".format)
    found = found.rename(columns={"length": "frames", "given": "most frequent answer"})
    return found[["arm", "frames", "right", "sensible", "chance", "most frequent answer", "items", "seeds"]]


def audit_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Spliced needles against complete files: the same trials, needle inside the file, encoded as a whole."""
    whole = rows[(rows["condition"] == "complete_file") & rows["error"].isna()]
    pairs = whole.merge(rows[rows["condition"] == "visual"], on=["arm", "seed", "item"], suffixes=("", "_spliced"))
    pairs = pairs.assign(same=pairs["answer"] == pairs["answer_spliced"])
    pairs["change"] = (pairs["logprob"] - pairs["logprob_spliced"]).abs()
    columns = {
        "trials": ("item", "size"),
        "same answer": ("same", "mean"),
        "right, spliced": ("score_spliced", "mean"),
        "right, complete file": ("score", "mean"),
        "largest change of log-likelihood": ("change", "max"),
    }
    digits = {name: 2 for name in columns} | {"largest change of log-likelihood": 4}
    found = pairs.groupby(["arm", "length"]).agg(**columns).round(digits).sort_index(key=_places)
    return found.reset_index().rename(columns={"length": "frames"})


def _places(values: Any) -> Any:
    """What a column or level is sorted by: arms by their place in the study, others by themselves."""
    return values.map({arm: place for place, arm in enumerate(ARMS)}) if values.name == "arm" else values
