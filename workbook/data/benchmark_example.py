"""Tiny copies in the format of two benchmarks, drawn from the shipped data, so that a run needs nothing else."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from oryx.files import atomic_write_bytes
from workbook.data.items import evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.data.stories import MOVES, make_story

ITEMS = 6


def write_example(folder: Path) -> Path:
    """Six numbers to read as OCRBench, six films of moving icons as VideoMME, split dev; ``folder`` itself."""
    numbers, films = [], []
    for item in evaluation_items("number", "dev", ITEMS, PictureSizes()):
        file = io.BytesIO()
        item.picture.convert("RGB").save(file, "PNG")
        asked = {"question": "What number is written in the image?", "question_type": "Digit String Recognition"}
        numbers.append(asked | {"dataset": "drawn", "answer": [item.answer], "image": {"bytes": file.getvalue()}})
    options = [f"{letter}. {move}" for letter, move in zip("ABCD", MOVES, strict=True)]
    for i in range(ITEMS):
        story = make_story(folder / "videomme" / "data", "dev", "short", i)
        asked = {"question": "Where does the icon move?", "task_type": "Spatial Perception", "duration": "short"}
        answer = "ABCD"[list(MOVES).index(story.facts["move"])]
        films.append(asked | {"question_id": str(i), "videoID": f"dev/short/{i}", "options": options, "answer": answer})
    for name, rows in (("ocrbench/data", numbers), ("videomme/videomme", films)):
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), file)
        atomic_write_bytes(folder / name / "test-00000-of-00001.parquet", file.getvalue())
    return folder
