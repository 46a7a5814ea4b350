"""A small table to start from, with its pictures and videos: what one's own looks like, and something to run at once.

Drawn from the shipped data, split dev: numbers and icons as pictures, short films of a moving icon as MP4 files.
"""

import csv
import io
from pathlib import Path

from oryx.files import atomic_write_text
from workbook.data.items import evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.data.stories import QUESTIONS, chance, make_story

PICTURES, FILMS = 8, 4
"""Pictures of each of two tasks, and films."""


def write_example(folder: Path) -> Path:
    """Write ``own_data.csv`` and the files it names into ``folder``, unless it is there; returns the table's path."""
    table = folder / "own_data.csv"
    if table.exists():
        return table
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for task in ("number", "icon"):
        for i, item in enumerate(evaluation_items(task, "dev", PICTURES, PictureSizes())):
            item.picture.convert("RGB").save(folder / f"{task}_{i}.png")
            lines.append([f"{task}_{i}.png", item.question, item.answer, task, item.cluster, f"{item.chance:.4g}"])
    for i in range(FILMS):
        story = make_story(folder, "dev", "short", i)
        name = story.path.relative_to(folder).as_posix()
        told = f"{chance('move', 'dev'):.4g}"
        lines.append([name, QUESTIONS["move"], story.facts["move"], "film", f"film {i}", told])
    text = io.StringIO()
    columns = ["file", "question", "answer", "task", "cluster", "chance"]
    csv.writer(text, lineterminator="\n").writerows([columns, *lines])
    atomic_write_text(table, text.getvalue())  # last: a table that is there names files that are there
    return table
