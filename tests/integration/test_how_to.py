"""docs/how-to.md is carried out block by block: files written, diffs applied, commands and code run."""

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from oryx.evidence.rows import read_rows
from workbook.data.stories import make_story

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"#? ?([\w.]+\.(?:py|toml|csv))\n")


@dataclass
class Carried:
    """The folder in which the page was carried out, and what each command printed."""

    folder: Path
    printed: list[tuple[str, str]]

    def of(self, words: str) -> list[str]:
        """What the commands with these words printed."""
        return [text for line, text in self.printed if words in line]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("how_to")
    for name in ("one.png", "two.png"):
        Image.new("RGB", (64, 48)).save(folder / name)
    make_story(folder, "dev", "short", 0).path.rename(folder / "clip.mp4")
    printed = []
    for language, text in BLOCK.findall((ROOT / "docs" / "how-to.md").read_text(encoding="utf-8")):
        named = FILE.match(text)
        if language == "bash":
            for line in text.splitlines():
                printed.append((line, shell(line, ROOT if "tools.docs" in line else folder)))
        elif language == "diff":
            (folder / "change.diff").write_text(text)
            shell("git apply --unidiff-zero change.diff", folder)
        elif named:
            (folder / named[1]).write_text(text[named.end() :] if language == "csv" else text)
        else:
            assert language == "python", f"a block that nothing is done with: {language}"
            (folder / "block.py").write_text(text)
            shell("python block.py", folder)
    return Carried(folder, printed)


def shell(line: str, folder: Path) -> str:
    command = re.sub(r"^python\b", sys.executable, line)
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "HOME": tempfile.gettempdir(),  # not the repository, where a command may run
        "GIT_CEILING_DIRECTORIES": "/",
    }
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


def rows_of(page: Carried, pattern: str) -> pd.DataFrame:
    return read_rows(sorted((page.folder / "results" / "runs").glob(pattern)))


def test_own_data_are_asked_and_judged(page):
    rows = rows_of(page, "own_data/nano/*/seed-0/arms/*/rows.jsonl")
    assert set(rows["arm"]) == {"4x", "16x"} and rows["frames"].max() == 8
    assert rows["error"].isna().all() and len(rows) == 2 * 2 * 3
    (printed,) = page.of("own_data")
    told = re.findall(r"^  own\.\S+ +(.*?)  [+-]?\d", printed, re.MULTILINE)
    assert len(told) == 2 and all(verdict.startswith("direction only: ") for verdict in told), printed


def test_the_study_learns_and_gets_verdicts(page):
    rows = rows_of(page, "spot/nano/*/seed-*/arms/*/rows.jsonl")
    seen = rows[rows["condition"] == "visual"].groupby(["arm", "task"])["score"].mean()
    assert seen["native", "large"] > 0.7, "a reader that learns nothing shows nothing"
    (plan,), (status,) = page.of("plan my_study"), page.of("oryx status")
    whole, _ = page.of("--seeds 0,1,2")
    assert "arms: native, area_8" in plan
    assert re.search(r"S1\.spot +(supported|contradicted|inconclusive)", whole)
    assert re.search(r"S1\.large_spot +(supported|contradicted|inconclusive)", whole)
    assert len(re.findall(r"^spot/.*: done, 2 of 2 started arms done$", status, re.MULTILINE)) == 4


def test_the_new_arm_alone_is_run(page):
    rows = rows_of(page, "spot/nano/*/seed-*/arms/*/rows.jsonl")
    assert set(rows["arm"]) == {"native", "area_8", "pad_8"} and rows["settings_hash"].nunique() == 1
    wide = rows[rows["condition"] == "visual"].pivot(index=["task", "item", "seed"], columns="arm", values="answer")
    assert (wide["area_8"] == wide["pad_8"]).all(), "a square picture is not padded: the arms see the same"
    for seed in (0, 1, 2):
        (shard,) = (page.folder / "results" / "runs" / "spot" / "nano").glob(f"*/seed-{seed}")
        ends = {arm: (shard / "arms" / arm / "done").stat().st_mtime_ns for arm in ("native", "area_8", "pad_8")}
        assert ends["pad_8"] > max(ends["native"], ends["area_8"])
    assert "S2.pad" in page.of("--seeds 0,1,2")[1]
