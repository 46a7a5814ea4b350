"""What the harness calls for one of our items."""

from pathlib import Path

from PIL import Image

from workbook.data.answers import score as score_of


def visual(item: dict, given: dict) -> list:
    """The picture, or the path of the video; ``given`` has the folder of the items."""
    path = Path(given["folder"]) / item["file"]
    return [str(path) if path.suffix == ".mp4" else Image.open(path).convert("RGB")]


def score(item: dict, answers: list[str]) -> dict[str, float]:
    """Right as in the study of one's own data: case, quotes and closing punctuation do not count."""
    return {"exact_match": score_of(answers[0], item["answer"], "exact")}
