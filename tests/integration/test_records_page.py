"""docs/records.md is carried out block by block."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from oryx.train.datasets import read_data
from workbook.data.stories import make_story

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "records.md"
pytestmark = pytest.mark.integration


def test_the_page(tmp_path):
    Image.new("RGB", (64, 64), "red").save(tmp_path / "one.png")
    make_story(tmp_path, "dev", "short", 0).path.rename(tmp_path / "clip.mp4")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    code = []
    for language, text in blocks:
        if language in ("json", "csv"):
            name, _, content = text.partition("\n")
            (tmp_path / name).write_text(content)
        elif language == "bash":
            for line in text.replace("\\\n", " ").splitlines():
                run(tmp_path, *shlex.split(line)[1:])
        else:
            code.append(text)
    printed = run(tmp_path, "-c", "\n".join(code)).splitlines()
    kinds = ["image", "images", "video", "views", "video_long", None]
    assert printed[0] == f"6 {kinds}" and re.fullmatch(r"\[\d+, \d+\] \[\]", printed[1])
    needles = read_data([tmp_path / "needles.json"])
    assert [one.kind for one in needles] == ["video_long"] * 6
    assert "The card gives way to a moving thing." in [one.answer for one in needles]
    assert all(one.placed().indices for one in needles)
    assert (tmp_path / "run" / "faulty.jsonl").read_text() == ""


def run(folder, *words):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    made = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return made.stdout
