"""All parts in one command from an empty folder: each from those before it, a model at the end; killed, it goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import oryx
from oryx.files import sha256_file
from workbook.stages import chain, encoders, models, shipped, stage, video_reader
from workbook.stages.registry import PARTS, main

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


def all_parts(folder: Path) -> list[str]:
    return ["all", "--scale", "smoke", "--folder", str(folder)]


def hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_file(path) for path in sorted(folder.rglob("*.safetensors"))}


def manifests(folder: Path) -> dict[str, dict]:
    return {part: json.loads((folder / chain.MANIFESTS.get(part, f"{part}.json")).read_text()) for part in PARTS}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A whole chain, made where nothing that ships can be read."""
    folder = tmp_path_factory.mktemp("chain")
    with pytest.MonkeyPatch.context() as patch:
        for module in (chain, encoders, models, shipped, stage, video_reader):
            patch.setattr(module, "WEIGHTS", folder / "nothing ships")
        main(all_parts(folder))
    return folder


def test_every_part_starts_from_what_lies_in_the_folder(made):
    found, sha256 = manifests(made), hashes(made)
    started = shipped.weights_hash(made)
    assert found["one_model"]["started_from"] == found["language_model"]["reader"] == started
    assert found["one_model"]["encoder"]["sha256"] == sha256["oryxvit.safetensors"]
    assert found["video_reader"]["siglip"] == found["encoders"]["sha256"]["siglip"] == sha256["siglip.safetensors"]
    assert {part: manifest["stage"] for part, manifest in found.items()} == {
        "shared": "pretrain",
        "video_reader": "pretrain",
        "encoders": "pretrain",
        "language_model": "sft",
        "one_model": "joint",
    }
    assert all(manifest["seconds"] > 0 for manifest in found.values()) and not list(made.rglob("*.pt"))


def test_the_folder_is_laid_out_as_what_ships(made):
    shipped_files = {path.relative_to(shipped.WEIGHTS / "nano") for path in shipped.WEIGHTS.rglob("*.safetensors")}
    assert set(map(Path, hashes(made))) == shipped_files
    shipped.check(made)
    shipped.check(made, ("video_reader", "language_model"))


def test_the_last_part_is_a_model_that_answers(made):
    answer = oryx.load(made / "one").ask(np.zeros((48, 48, 3), np.uint8), "read", max_new_tokens=4)
    assert answer.visual_tokens == 6 * 7 + 2


def test_a_chain_that_was_killed_goes_on_to_the_same_weights(made, tmp_path, capsys):
    command = [sys.executable, "-m", "oryx.train", *all_parts(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}
    ) as run:
        while run.poll() is None and not (tmp_path / "control.pt").exists():
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL and not (tmp_path / "encoders.json").exists(), "killed inside a part"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    main(all_parts(tmp_path))
    out = capsys.readouterr().out
    assert "encoders: done, time not measured" in out and "shared: done" not in out
    assert all(path.stat().st_mtime_ns == at for path, at in before.items() if path.name != chain.CHAIN)
    assert hashes(tmp_path) == hashes(made)
    assert {part for part, manifest in manifests(tmp_path).items() if "seconds" not in manifest} == {"encoders"}


def test_a_whole_chain_is_not_made_again(made, capsys):
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*.safetensors")}
    main(all_parts(made))
    assert "done" not in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*.safetensors")} == before
