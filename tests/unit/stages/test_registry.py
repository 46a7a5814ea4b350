"""``python -m oryx.train``: what it writes, and what it refuses."""

import json

import pytest

from oryx.errors import SettingsError
from oryx.files import sha256_file
from workbook.stages.chain import CHAIN
from workbook.stages.registry import PARTS, main
from workbook.stages.shipped import check


def test_a_part_is_written_with_a_manifest_that_names_it(tmp_path, capsys):
    main(["shared", "--scale", "smoke", "--folder", str(tmp_path), "-p", "reader_steps=1", "-p", "siglip_steps=1"])
    assert "shared: step 1 of 1" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["command"].endswith("--scale smoke --seed 0 --folder FOLDER -p reader_steps=1 -p siglip_steps=1")
    assert manifest["recipe"]["reader_steps"] == 1
    assert set(manifest["curves"]) == {"siglip", "reader"}
    assert manifest["sha256"] == {
        file: sha256_file(tmp_path / f"{file}.safetensors") for file in ("siglip", "oryxvit", "reader")
    }
    check(tmp_path)


def test_what_is_no_part_or_no_change_is_refused(tmp_path):
    with pytest.raises(SystemExit):
        main(["everything", "--folder", str(tmp_path)])
    with pytest.raises(SettingsError, match="expected NAME=VALUE"):
        main(["shared", "--folder", str(tmp_path), "-p", "steps"])
    assert not list(tmp_path.iterdir()) and set(PARTS) == {
        "shared",
        "encoders",
        "language_model",
        "video_reader",
        "one_model",
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "reader_steps=1"], "all: expected no --start and no -p"),
        (["--start", "here"], "all: expected no --start and no -p"),
        (["--scale", "medium"], "scale 'medium': language_model is trained at nano, smoke"),
        (["--seed", "1"], "holds a chain of {'scale': 'nano', 'seed': 0}, expected an empty folder or {.*'seed': 1}"),
    ],
)
def test_a_chain_that_cannot_be_made_is_refused_before_any_work(words, said, tmp_path):
    (tmp_path / CHAIN).write_text(json.dumps({"scale": "nano", "seed": 0}))
    with pytest.raises(SettingsError, match=said):
        main(["all", "--folder", str(tmp_path), *words])
    assert [path.name for path in tmp_path.iterdir()] == [CHAIN]
