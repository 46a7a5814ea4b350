"""The table of hours, memory and cost in docs/small.md, by arithmetic on shapes; ``python -m tools.docs``."""

from math import ceil

import pandas as pd

from tools.docs.hours import QUESTIONS
from workbook.cli import find_study
from workbook.report.tables import as_table
from workbook.studies.public import costs

BEGIN, END = "<!-- small: python -m tools.docs -->", "<!-- end of small -->"
STUDIES = ("native_vs_fixed_resolution", "oryxvit_vs_siglip", "pooling_vs_dynamic_compression")
SEEDS = (0, 1, 2)


def table() -> pd.DataFrame:
    """A line per study, with three seeds and the presets."""
    rows = []
    for name in STUDIES:
        study = find_study(name)
        settings = study.settings({"scale": "small", "seeds": SEEDS, "joint": ["videos"]})
        questions = sum(QUESTIONS[name][0] for name in settings.benchmarks)
        found = costs.costs(settings, study.courses(settings), study.arms(settings), questions)
        hours = found["training"] + found["asking"]
        row = {"study": name, "arms": str(len(study.arms(settings)))}
        row |= {"hours of training": f"{found['training']:.0f}", "hours of asking": f"{found['asking']:.0f}"}
        row |= {
            "GPU memory, GB": f"{found['memory']:.0f}",
            "models on disk, GB": f"{found['disk']:.0f}",
        }
        rows.append(row | {"dollars": f"{ceil(hours * settings.price):,}"})
    return pd.DataFrame(rows)


def blocks() -> str:
    """The table and what it rests on."""
    settings = find_study(STUDIES[0]).settings({"scale": "small"})
    sizes = [f"{width}x{height}" for height, width in (costs.PICTURE, costs.FRAME)]
    rests = (
        f"Three seeds of the presets. By arithmetic, not measured. Assumed: one A100 in bfloat16 at "
        f"{costs.SHARE:.0%} of {settings.tera:g} TFLOP/s; pictures of {sizes[0]}, videos of {sizes[1]} pixels; "
        f"{costs.ANSWER:g} s for a question's prompt and answer, asked with and without its visual; "
        f"{settings.price:g} dollars an hour. Decoding is not counted. Memory is that of a step whose records are all "
        "as long as `longest` allows. Parts, records and copies come on top of the disk."
    )
    return "\n\n".join([BEGIN, as_table(table()), rests, END])
