"""docs/lmms-eval.md is carried out: its commands, but for those of which docs/commands.md says why not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.docs import commands

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page(checkpoint, copies, tmp_path_factory) -> Path:
    """The folder in which the commands ran."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(checkpoint, folder / "Oryx-7B")
    shutil.copytree(copies, folder / "copies", ignore=shutil.ignore_patterns("*.yaml", "datasets"))
    known = {one.command: one for one in commands.entries((ROOT / "docs" / "commands.md").read_text("utf-8"))}
    lines = list(commands.commands((ROOT / "docs" / "lmms-eval.md").read_text("utf-8")))
    run = [line for line in lines if known[line].kind == commands.RUN_BY]
    assert len(run) == 4
    for line in run:
        command = line.replace(".venv-evals/bin/", f"{Path(sys.executable).parent}/").replace(
            "HF_HOME=", f"HF_HOME={folder}/"
        )
        done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return folder


def results(page: Path, name: str) -> dict:
    [file] = (path for path in (page / "out").rglob("*_results.json") if name in str(path.parent))
    return json.loads(file.read_text())


def test_copies_are_asked_by_the_official_protocol(page):
    found = results(page, "Oryx-7B")
    used = found["config"]["resolved_cli_args"]["oryx_workbook"]
    assert (used["protocol"], used["frames"], used["repeat_frames"], used["failed"]) == ("official", 8, True, [])
    assert set(found["results"]) == {"videomme_local", "mlvu_local"}
    assert all(len(path.read_text().splitlines()) == 6 for path in (page / "out").rglob("*_samples_*_local.jsonl"))


def test_items_of_the_studies_are_asked_and_scored(page):
    """By the small model that ships, which was not taught these sentences."""
    found = results(page, "nano")
    assert found["config"]["resolved_cli_args"]["oryx_workbook"]["failed"] == []
    for name in ("pictures", "films", "needles"):
        table = [json.loads(line) for line in (page / "items" / f"{name}.jsonl").read_text().splitlines()]
        [samples] = (page / "out").rglob(f"*_samples_oryx_{name}.jsonl")
        answers = {row["doc_id"]: row["filtered_resps"] for row in map(json.loads, samples.read_text().splitlines())}
        right = [answers[i].strip(" .").casefold() == row["answer"].casefold() for i, row in enumerate(table)]
        assert found["results"][f"oryx_{name}"]["exact_match,none"] == pytest.approx(sum(right) / len(right))
