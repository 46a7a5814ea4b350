"""Tables of the encoder study: effects of training and of resolution, and probes. No torch."""

from collections.abc import Mapping, Sequence

import pandas as pd

from oryx.errors import InputError
from oryx.evidence.stats import contrast

EFFECTS: dict[str, dict[str, float]] = {
    "more training, on squares (control - siglip)": {
        "control_fixed": 0.5,
        "control_native": 0.5,
        "siglip_fixed": -0.5,
        "siglip_native": -0.5,
    },
    "native instead of square training (oryxvit - control)": {
        "oryxvit_fixed": 0.5,
        "oryxvit_native": 0.5,
        "control_fixed": -0.5,
        "control_native": -0.5,
    },
    "native instead of fixed input, all encoders": {
        "siglip_native": 1 / 3,
        "control_native": 1 / 3,
        "oryxvit_native": 1 / 3,
        "siglip_fixed": -1 / 3,
        "control_fixed": -1 / 3,
        "oryxvit_fixed": -1 / 3,
    },
    "interaction: native input gains more after native training": {
        "oryxvit_native": 1.0,
        "oryxvit_fixed": -1.0,
        "control_native": -1.0,
        "control_fixed": 1.0,
    },
    "interaction: native input gains more after more training": {
        "control_native": 1.0,
        "control_fixed": -1.0,
        "siglip_native": -1.0,
        "siglip_fixed": 1.0,
    },
}
"""Effect -> arm -> weight: main effects and interactions of the crossed design, encoder by fixed or native input."""


PROBES = ("retrieval", "patch reading", "match by area", "match by aspect", "attention distance")


def probes_table(frame: pd.DataFrame) -> pd.DataFrame:
    """One line per probe and condition, a column per encoder: the mean over seeds (lowest to highest seed), and chance.

    ``frame``: ``looks.csv`` of a run.
    """
    frame = frame[frame["look"].isin(PROBES)].copy()
    lines = []
    for (look, reader, view, x), part in frame.groupby(["look", "reader", "input", "x"], sort=False, dropna=False):
        condition = ", ".join(str(v) for v in (reader, view, x) if pd.notna(v))
        line = {"look": look, "condition": condition}
        for encoder, own in part.groupby("encoder", sort=False):
            each = own.groupby("seed")["value"].mean()
            span = f" ({each.min():.2f} to {each.max():.2f})" if len(each) > 1 else ""
            line[encoder] = f"{each.mean():.2f}{span}"
        chance = part["chance"].dropna() if "chance" in part else pd.Series(dtype=float)
        lines.append({**line, "chance": f"{chance.mean():.2f}" if len(chance) else "", "n": int(part["n"].mean())})
    return pd.DataFrame(lines).fillna("")


def effects_table(rows: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """One line per effect and group of tasks: estimate with its 95 % interval (uncorrected), items, seeds.

    An effect whose arms were not all run says so.
    """
    seen = rows[rows["condition"] == "visual"]
    lines = []
    for group, tasks in groups.items():
        for effect, weights in EFFECTS.items():
            line = {"tasks": group, "effect": effect}
            if lacking := sorted(set(weights) - set(seen["arm"])):
                lines.append({**line, "estimate": f"not run: {', '.join(lacking)}", "items": 0, "seeds": 0})
                continue
            try:
                found = contrast(seen, [(arm, list(tasks), weight) for arm, weight in weights.items()])
            except InputError as error:
                lines.append({**line, "estimate": str(error), "items": 0, "seeds": seen["seed"].nunique()})
                continue
            text = f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
            text += "*" if found.low > 0 or found.high < 0 else ""
            lines.append({**line, "estimate": text, "items": found.n_items, "seeds": found.n_seeds})
    return pd.DataFrame(lines)
