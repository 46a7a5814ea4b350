"""Tables of the encoder study: effects of training and of resolution, and probes. No torch."""

from collections.abc import Mapping, Sequence

import pandas as pd

from oryx.errors import InputError
from oryx.evidence.stats import contrast
from workbook.report.names import name_of

CROSSED = ("siglip_fixed", "siglip_native", "control_fixed", "control_native", "oryxvit_fixed", "oryxvit_native")
EFFECTS: dict[str, tuple[float, ...]] = {
    "more training, on squares (continued SigLIP - SigLIP)": (-1 / 2, -1 / 2, 1 / 2, 1 / 2, 0, 0),
    "native instead of square training (OryxViT - continued SigLIP)": (0, 0, -1 / 2, -1 / 2, 1 / 2, 1 / 2),
    "native instead of fixed input, all encoders": (-1 / 3, 1 / 3, -1 / 3, 1 / 3, -1 / 3, 1 / 3),
    "interaction: native input gains more after native training": (0, 0, 1, -1, -1, 1),
    "interaction: native input gains more after more training": (1, -1, -1, 1, 0, 0),
}
"""Effect -> weights of CROSSED: main effects and interactions of encoder by fixed or native input."""

PROBES = ("retrieval", "patch reading", "match by area", "match by aspect", "attention distance")


def probes_table(frame: pd.DataFrame) -> pd.DataFrame:
    """One line per probe and condition, a column per encoder: the mean over seeds (lowest to highest seed), and chance.

    ``frame``: ``probes.csv`` of a run.
    """
    named = ("chance", "reader", "input")  # a run on public weights has no probe with readers
    frame = frame[frame["probe"].isin(PROBES)].reindex(columns=list(dict.fromkeys([*frame.columns, *named])))
    conditions = [", ".join(line.dropna().astype(str)) for _, line in frame[["reader", "input", "x"]].iterrows()]
    lines = frame.assign(condition=conditions).groupby(["probe", "condition"], sort=False)
    seeds = lines.obj.groupby(["probe", "condition", "encoder", "seed"], sort=False)["value"].mean()
    found = seeds.groupby(["probe", "condition", "encoder"], sort=False).agg(_span).unstack("encoder")
    found = found.reindex(index=list(lines.groups), columns=list(dict.fromkeys(frame["encoder"])))
    found = (
        found.rename(columns=name_of)
        .join(lines.agg(chance=("chance", "mean"), n=("n", "mean")))
        .astype({"n": int})
        .reset_index()
    )
    return found.assign(chance=found["chance"].map("{:.2f}".format, na_action="ignore")).fillna("")


def effects_table(rows: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """One line per effect and group of tasks: estimate with its 95 % interval (uncorrected), items, seeds.

    An effect whose arms were not all run says so.
    """
    seen, lines = rows[rows["condition"] == "visual"], []
    for group, tasks in groups.items():
        for effect, weights in EFFECTS.items():
            terms = {arm: weight for arm, weight in zip(CROSSED, weights, strict=True) if weight}
            line = {"tasks": group, "effect": effect, "items": 0, "seeds": 0}
            try:
                found = contrast(seen, [(arm, tasks, weight) for arm, weight in terms.items()])
            except InputError as error:
                lacking = ", ".join(map(name_of, sorted(set(terms) - set(seen["arm"]))))
                lines.append({**line, "estimate": f"not run: {lacking}" if lacking else str(error)})
                continue
            text = f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]" + "*" * (found.low > 0 or found.high < 0)
            lines.append({**line, "estimate": text, "items": found.n_items, "seeds": found.n_seeds})
    return pd.DataFrame(lines, columns=["tasks", "effect", "estimate", "items", "seeds"])


def _span(seeds: pd.Series) -> str:
    """The mean, and the lowest and highest of several."""
    return f"{seeds.mean():.2f}" + (f" ({seeds.min():.2f} to {seeds.max():.2f})" if len(seeds) > 1 else "")
