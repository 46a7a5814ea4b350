"""Records of one's own for the tests: pictures of two colours, and what is said about them."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

COLOURS = {"red": (200, 30, 30), "blue": (30, 30, 200)}


def turns(*said: str) -> list[dict]:
    return [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(said)]


def save(folder: Path, records: Any) -> Path:
    path = folder / "records.json"
    path.write_text(json.dumps(records))
    return path


def write_records(folder: Path, count: int = 12, side: int = 32) -> Path:
    """``count`` pictures, every other one red, and a question about each."""
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for number in range(count):
        colour = list(COLOURS)[number % 2]
        Image.new("RGB", (side, side), COLOURS[colour]).save(folder / f"{number}.png")
        said = turns("<image>\nhue", colour)
        records.append({"id": number, "image": f"{number}.png", "task": "hue", "conversations": said})
    return save(folder, records)
