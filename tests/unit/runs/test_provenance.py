"""The manifest: command, versions, hardware, and whether the code was committed."""

import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

import oryx
from tests.toy import ToyStudy
from workbook.runs import jobs, provenance
from workbook.runs.provenance import describe_run, run_words
from workbook.studies.native_resolution.study import Settings


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git checkout that the packages seem to lie in."""

    def git(*words):
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "results").mkdir()
    (tmp_path / "code.py").write_text("a = 1\n")
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    monkeypatch.setattr(provenance, "REPOSITORY", tmp_path)
    return tmp_path


def manifest() -> dict:
    study = ToyStudy()
    return describe_run(study, study.settings({"scale": "smoke"}), 0, {"weights_hash": "w"})


def test_changes_count_as_dirty_outside_the_results(checkout):
    clean = manifest()
    assert len(clean["commit"]) == 40 and clean["dirty"] is False
    (checkout / "results" / "rows.txt").write_text("new")
    assert manifest()["dirty"] is False
    (checkout / "code.py").write_text("a = 2\n")
    assert manifest()["dirty"] is True


def test_without_git_commit_and_dirty_are_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "REPOSITORY", tmp_path)
    found = manifest()
    assert found["commit"] is None and found["dirty"] is None


def test_the_manifest_names_versions_hardware_inputs_and_prompts():
    found = manifest()
    assert found["packages"]["numpy"] and found["hardware"]["cores"] and found["hardware"]["memory_gb"] > 0
    assert found["weights_hash"] == "w" and found["prompts"] and found["settings"]["scale"] == "smoke"
    assert (Path(oryx.__path__[0]) / "model").is_dir(), "the package under test is this one"


def test_the_command_names_what_changes_numbers():
    values = {"scale": "smoke", "seeds": [3, 4], "encoder": "trained", "batch": 4, "jobs": 1, "from_scratch": True}
    settings = Settings.from_mapping({**values, "arms": ["native", "area_1"]})
    assert shlex.join(run_words("native_vs_fixed_resolution", settings, settings.counting)) == (
        "-m oryx run native_vs_fixed_resolution --scale smoke --seeds 3,4 "
        """-p from_scratch=true -p batch=4 -p 'arms=["native", "area_1"]' -p encoder=trained"""
    )


def test_a_machine_with_gpus_is_named_with_its_driver_and_number_format(monkeypatch):
    said = {"name": "NVIDIA H200\nNVIDIA H200\n", "driver_version": "570.1\n570.1\n"}

    def smi(command, **_):
        return SimpleNamespace(stdout=said[command[1].removeprefix("--query-gpu=")])

    monkeypatch.setattr(jobs.subprocess, "run", smi)
    assert provenance._gpu() == {"gpu": "NVIDIA H200, NVIDIA H200", "driver": "570.1"}
    monkeypatch.setattr(provenance, "cuda_devices", lambda: ["0", "1"])
    assert [provenance.precision(asked) for asked in ("auto", "fp32", "bf16")] == ["bf16", "fp32", "bf16"]
    monkeypatch.setattr(provenance, "cuda_devices", list)
    assert provenance.precision("auto") == "fp32"


def test_without_a_driver_no_gpu_is_named(monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr(jobs.subprocess, "run", missing)
    assert provenance._gpu() == {}
