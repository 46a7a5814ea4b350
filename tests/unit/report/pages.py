"""Published folders to make reports from, and a reader of the pages."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
from PIL import Image

from oryx.evidence.rows import write_published
from oryx.evidence.stats import summary
from oryx.evidence.verdicts import judge
from workbook.report import plots
from workbook.report.published import all_hypotheses

STUDY = "native_vs_fixed_resolution"
TASKS = ("number", "word", "list", "page")
VOID = {"meta", "img", "br", "circle", "line", "rect", "link"}


def answers(shares: dict[int, dict[str, int]], items: int = 20) -> pd.DataFrame:
    """Rows of a few arms: ``shares[seed][arm]`` of ``items`` items are right in every task."""
    lines = []
    for seed, arms in shares.items():
        for arm, right in arms.items():
            for task in TASKS:
                for i in range(items):
                    lines.append(
                        {
                            "schema": 1, "study": STUDY, "arm": arm, "condition": "visual", "item": f"{task}/{i}",
                            "seed": seed, "settings_hash": "s", "weights_hash": "w", "data_hash": "d",
                            "split": "report", "task": task, "cluster": f"{task}{i}", "question": "read", "truth": "a",
                            "answer": "a", "chance": 0.1, "error": None, "score": float(i < right), "seconds": 0.01,
                            "visual_tokens": 30, "size_bin": list(plots.BINS)[i % 3],
                        }
                    )  # fmt: skip
    return pd.DataFrame(lines)


def publish(results: Path, rows: pd.DataFrame, variant: str = "nano", **settings: object) -> Path:
    """A published folder of these rows; returns it."""
    folder = results / STUDY / variant
    verdicts = judge(rows, STUDY, "nano", all_hypotheses())
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "white").save(folder / "figures" / "verdicts.png")
    write_published(rows, folder / "rows.parquet")
    (folder / "verdicts.json").write_text(json.dumps(verdicts))
    summary(rows).to_csv(folder / "table.csv", index=False)
    (folder / "notebook.ipynb").write_text("{}")
    seeds = {
        str(seed): {
            "reproduce": f"python -m oryx run {STUDY} --seeds 0,1,2",
            "commit": "abcdef0123456789",
            "packages": {"torch": "2.13.0"},
            "settings": {"encoder": "frozen", **settings},
            "weights_hash": "w",
        }
        for seed in sorted(rows["seed"].unique())
    }
    manifest = {"study": STUDY, "scale": "nano", "dirty": False, "seeds": seeds, "earlier_published_runs": []}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


class Page(HTMLParser):
    """What a page links to, loads and defines; ``unclosed`` names tags that were opened and never closed."""

    def __init__(self, text: str):
        super().__init__()
        self.links, self.loads, self.ids, self.unclosed, self.crossed = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list):
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if tag == "a" else []
        self.loads += [found["src"]] if "src" in found else []
        if tag in ("script", "link", "iframe"):
            self.loads.append(tag)
        if tag not in VOID:
            self.unclosed.append(tag)

    def handle_endtag(self, tag: str):
        if tag in VOID:
            return
        if self.unclosed and self.unclosed[-1] == tag:
            self.unclosed.pop()
        else:
            self.crossed.append(tag)
