"""Fine-tuning, shown: the shipped small model learns a question that it never met, from pictures of its own world.

    python -m benchmarks.fine_tuning [--pictures 600] [--epochs 8] [--json FILE] [--docs FILE]

The question is whether the number in a picture is even or odd. The model reads numbers, and knows neither the question
nor the answers. Pictures are drawn from the shipped fonts and textures of split ``dev``, by a seed from 100 on,
and a third of the pictures is held out. ``--docs docs/fine-tuning.md`` renews the table there.
"""

import argparse
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch

from benchmarks.results import deliver
from oryx.evidence.rows import read_rows
from oryx.evidence.stats import mean_score, paired_difference
from workbook.studies.finetune import EXAMPLE, PICTURES, Settings, run, write_example

RECIPE = {"seed": 100, "held_out": 1 / 3, "batch": 16, "learning_rate": 2e-3, "rank": 16, "max_new_tokens": 6}
CONDITIONS = {"visual": "with its picture", "no_visual": "without"}


def measure(folder: Path, pictures: int, epochs: float) -> dict:
    """Scores before and after with intervals, the blind control, chance, losses, seconds."""
    write_example(folder / EXAMPLE, pictures)
    began = time.process_time()
    run(Settings(data=EXAMPLE, folder=str(folder), epochs=epochs, precision="fp32", **RECIPE))
    seconds = time.process_time() - began
    rows = read_rows([folder / arm / "rows.jsonl" for arm in ("before", "after")])
    after, lines = rows[rows["arm"] == "after"], []
    for arm in ("before", "after"):
        for condition in CONDITIONS:
            score = mean_score(rows[rows["condition"] == condition], arm)
            lines.append({"arm": arm, "condition": condition, **vars(score)})
    differences = {
        "after against before": paired_difference(rows[rows["condition"] == "visual"], "after", "before"),
        "after, with its picture against without": paired_difference(
            after.assign(arm=after["condition"]), "visual", "no_visual"
        ),
    }
    curve = pd.read_csv(folder / "curve.csv")
    return {
        "pictures": pictures,
        "steps": int(curve["step"].iloc[-1]),
        "loss": [float(curve["loss"].iloc[0]), float(curve["loss"].iloc[-1])],
        "lines": lines,
        "chance": float(rows["chance"].iloc[0]),
        "differences": {what: vars(found) for what, found in differences.items()},
        "seconds": seconds,
    }


def table(found: dict) -> str:
    """The results as Markdown, with what they were measured with."""
    first, last = found["loss"]
    recipe = f"{found['steps']} steps of {RECIPE['batch']}, adapters of rank {RECIPE['rank']}"
    lines = [
        f"{found['pictures']} pictures, a third held out; {recipe}; loss {first:.2f} at first, {last:.2f} at the end; "
        f"{found['seconds']:.0f} s of one CPU core in all, torch {torch.__version__}.",
        "",
        "| training | asked | right [95 %] | n | a guess without looking |",
        "| --- | --- | --- | --- | --- |",
    ]
    for line in found["lines"]:
        score = f"{line['value']:.2f} [{line['low']:.2f}, {line['high']:.2f}]"
        cells = [line["arm"], CONDITIONS[line["condition"]], score, str(line["n_items"]), f"{found['chance']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    for what, one in found["differences"].items():
        lines += ["", f"Paired difference, {what}: {one['value']:+.2f} [{one['low']:+.2f}, {one['high']:+.2f}]."]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> dict:
    """Command line: train, score, print."""
    parser = argparse.ArgumentParser(description="The shipped small model learns a new question.")
    parser.add_argument("--pictures", type=int, default=PICTURES)
    parser.add_argument("--epochs", type=float, default=8.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", type=Path, help="a file whose block between the fine-tuning marks is renewed")
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), parsed.pictures, parsed.epochs)
    deliver(found, table(found), parsed.json, parsed.docs, "fine-tuning")
    return found


if __name__ == "__main__":
    main()
