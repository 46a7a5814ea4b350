"""A fine-tuning that is killed goes on as an undisturbed one; docs/fine-tuning.md is carried out block by block."""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from oryx.evidence.rows import read_rows
from tests.records import write_records
from tests.rows import same_rows
from workbook.data.stories import make_story
from workbook.studies.finetune import Settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "fine-tuning.md"
pytestmark = [pytest.mark.integration, pytest.mark.finetune]


def command(data, folder):
    words = {"data": data, "folder": folder, "epochs": 6, "batch": 2, "held-out": 0.34, "max-new-tokens": 3, "rank": 2}
    words |= {"learning-rate": 0.01, "checkpoint-seconds": 0}
    flags = [str(word) for name, value in words.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", "oryx.train", "finetune", *flags]


def test_a_killed_fine_tuning_ends_as_an_undisturbed_one(tmp_path):
    data, whole, killed = write_records(tmp_path / "data", 12), tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(data, whole), check=True, capture_output=True)
    process = subprocess.Popen(command(data, killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not (killed / "training.pt").exists():
        assert process.poll() is None and time.monotonic() < end, "it should have been in training"
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (killed / "curve.csv").exists(), "killed too late"
    done = subprocess.run(command(data, killed), check=True, capture_output=True, text=True)
    assert "step 1 of" not in done.stdout and "step 24 of 24" in done.stdout
    assert (killed / "curve.csv").read_text() == (whole / "curve.csv").read_text()
    for arm in ("before", "after"):
        assert not same_rows(*(read_rows([folder / arm / "rows.jsonl"]) for folder in (killed, whole)))


def test_the_page(tmp_path):
    for name, colour in (("one.png", "red"), ("two.png", "blue")):
        Image.new("RGB", (64, 48), colour).save(tmp_path / name)
    make_story(tmp_path, "dev", "short", 0).path.rename(tmp_path / "clip.mp4")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert [language for language, _ in blocks] == ["json", "bash", "python", "console"]
    name, _, records = blocks[0][1].partition("\n")
    (tmp_path / name).write_text(records)
    for line in blocks[1][1].splitlines():
        words = [sys.executable, *shlex.split(line)[1:]]
        subprocess.run(words, cwd=tmp_path, env=environment(), check=True, capture_output=True)
    given = re.findall(
        r"^\| `([^|]*)` \|",
        PAGE.read_text().partition("in `tuned/`")[2].partition("Given the same command")[0],
        re.MULTILINE,
    )
    files = [file for cell in given for file in cell.split("`, `")]
    assert len(files) == 9 and all((tmp_path / "tuned" / file).exists() for file in files)
    done = subprocess.run(
        [sys.executable, "-c", blocks[2][1]],
        cwd=tmp_path,
        env=environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    assert len(done.stdout.splitlines()) == 2
    assert finetune_parses(blocks[3][1])


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def finetune_parses(command: str) -> bool:
    """Whether the settings take the words of a command that is not run."""
    words = shlex.split(command)[4:]
    values = {
        name.removeprefix("--").replace("-", "_"): value for name, value in zip(words[::2], words[1::2], strict=True)
    }
    return Settings.from_mapping(values).accumulate == 8
