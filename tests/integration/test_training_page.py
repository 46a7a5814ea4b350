"""docs/training.md is carried out block by block, on tiny random parts."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file

from tests.parts import write_language_model, write_siglip
from workbook.data.stories import make_story

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "training.md"
pytestmark = pytest.mark.integration


def test_the_page(tmp_path):
    Image.new("RGB", (64, 64), "red").save(tmp_path / "one.png")
    make_story(tmp_path, "dev", "short", 0).path.rename(tmp_path / "clip.mp4")
    write_siglip(tmp_path / "parts" / "siglip")
    write_language_model(tmp_path / "parts" / "language-model")
    printed = []
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE):
        if language == "json":
            name, _, content = text.partition("\n")
            (tmp_path / name).write_text(content)
        elif language == "bash":
            printed += [run(tmp_path, *shlex.split(line)[1:]) for line in text.splitlines()]
        elif language == "python":
            printed.append(run(tmp_path, "-c", text))
    assert [re.search(r"step 2, loss \d", said) is not None for said in printed[:4]] == [True] * 4
    assert int(printed[4]) > 0 and printed[5] == "[1, 2]\n"
    first, last = (load_file(tmp_path / "chain" / one / "model" / "model.safetensors") for one in ("pretrain", "joint"))
    towers = [{name: value for name, value in own.items() if name.startswith("vision_tower.")} for own in (first, last)]
    assert towers[0] and all(value.equal(towers[1][name]) for name, value in towers[0].items())
    for stage in ("pretrain", "align", "sft", "joint"):
        assert {"curve.png", "settings.json", f"{stage}.pt"} <= {p.name for p in (tmp_path / "chain" / stage).iterdir()}


def run(folder: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    made = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-3000:]
    return made.stdout
