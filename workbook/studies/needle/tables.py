"""Tables of the needle study, and the shares behind its figures. No torch."""

from collections.abc import Sequence

import pandas as pd

from oryx.evidence.stats import wilson


def shares(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Share of right answers for every group of ``by``, with Wilson's 95 % interval, chance and the blind control.

    ``items``: different trials; the seeds of a trial are averaged first and do not make the interval narrower.
    """
    answered = rows[rows["error"].isna()]
    found = []
    for names, part in answered[answered["condition"] == "visual"].groupby(list(by), sort=False):
        items = part.groupby("item")["score"].mean()
        low, high = wilson(float(items.sum()), len(items))
        found.append(
            {**dict(zip(by, names, strict=True)), "score": items.mean(), "low": low, "high": high, "items": len(items)}
            | {"seeds": part["seed"].nunique(), "chance": part["chance"].mean(), "seconds": part["seconds"].mean()}
            | {"visual_tokens": part["visual_tokens"].mean(), "longest_trained": part["longest_trained"].max()}
        )
    frame = pd.DataFrame(found)
    blind = answered[answered["condition"] == "no_visual"].groupby(list(by))["score"].mean().rename("no_video")
    return frame.merge(blind.reset_index(), on=list(by), how="left")


def break_table(rows: pd.DataFrame, easy: int) -> pd.DataFrame:
    """Where does it break? For each arm the longest videos that keep at least half of its score at ``easy`` frames.

    An arm that is no better than chance there has nothing to keep.
    """
    frame = shares(rows[rows["variant"] == "number"], ("arm", "length"))
    lines = []
    for arm, mine in frame.groupby("arm", sort=False):
        mine = mine.sort_values("length")
        start = mine.loc[mine["length"] == easy, "score"].mean()
        below = mine.loc[mine["score"] < start / 2, "length"]
        kept = mine["length"] if below.empty else mine.loc[mine["length"] < below.min(), "length"]
        learned = start > mine["chance"].mean()
        lines.append(
            {
                "arm": arm,
                "trained to, frames": (trained := int(mine["longest_trained"].max())),
                "1,600 frames are": f"{1600 / trained:.0f} times that" if trained else "",
                f"score at {easy} frames": f"{start:.2f}",
                "keeps half to, frames": int(kept.max()) if len(kept) and learned else "none",
                "below half from, frames": ("not reached" if below.empty else int(below.min())) if learned else easy,
            }
        )
    return pd.DataFrame(lines)


def training_length_table(runs: Sequence[pd.DataFrame], arms: Sequence[str]) -> pd.DataFrame:
    """Arms by the longest clip they were trained on, over several runs: score with Wilson's 95 % interval by length.

    An arm that several runs trained alike counts once; of its lengths each comes from the first run that asked it.
    """
    by, found = ["arm", "longest_trained", "length"], []
    for rows in runs:
        asked = rows[(rows["variant"] == "number") & rows["arm"].isin(list(arms))]
        found += [shares(asked, ("arm", "length"))] if len(asked) else []
    if not found:
        return pd.DataFrame([{"published runs": "none at this scale"}])
    frame = pd.concat(found).drop_duplicates(by)
    frame["text"] = [f"{line.score:.2f} [{line.low:.2f}, {line.high:.2f}]" for line in frame.itertuples()]
    wide = frame.pivot(index=["longest_trained", "arm"], columns="length", values="text").fillna("")
    wide = wide.rename(columns=lambda length: f"{length:,} frames").reset_index()
    wide = wide.rename(columns={"longest_trained": "trained to, frames"}).rename_axis(columns=None)
    wide.insert(2, "1,600 frames are", [f"{1600 / trained:.0f} times that" for trained in wide["trained to, frames"]])
    return wide


def other_question_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Does it still speak sense? Answers to a question about the same video that retrieval training lacks.

    ``sensible``: the answer is the name of a colour, right or not.
    """
    asked = rows[(rows["condition"] == "other_question") & rows["error"].isna()]
    colours = set(asked["truth"])
    lines = []
    for (arm, length), part in asked.groupby(["arm", "length"], sort=False):
        low, high = wilson(float(part.groupby("item")["score"].mean().sum()), part["item"].nunique())
        lines.append(
            {
                "arm": arm,
                "frames": length,
                "right": f"{part['score'].mean():.2f} [{low:.2f}, {high:.2f}]",
                "sensible": f"{part['answer'].isin(colours).mean():.2f}",
                "chance": round(part["chance"].mean(), 2),
                "most frequent answer": part["answer"].mode().iloc[0],
                "items": part["item"].nunique(),
                "seeds": part["seed"].nunique(),
            }
        )
    return pd.DataFrame(lines)


def audit_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Spliced needles against complete files: the same trials, needle inside the file, encoded as a whole."""
    names = ["arm", "seed", "item"]
    whole = rows[(rows["condition"] == "complete_file") & rows["error"].isna()]
    pairs = whole.merge(rows[rows["condition"] == "visual"], on=names, suffixes=("", "_spliced"))
    lines = []
    for (arm, length), part in pairs.groupby(["arm", "length"], sort=False):
        same = (part["answer"] == part["answer_spliced"]).mean()
        lines.append(
            {
                "arm": arm,
                "frames": length,
                "trials": len(part),
                "same answer": f"{same:.2f}",
                "right, spliced": f"{part['score_spliced'].mean():.2f}",
                "right, complete file": f"{part['score'].mean():.2f}",
                "largest change of log-likelihood": f"{(part['logprob'] - part['logprob_spliced']).abs().max():.4f}",
            }
        )
    return pd.DataFrame(lines)
