"""The script for a borrowed GPU runs here part by part with toy shapes; its studies are those of test_stand_in.py."""

import json
from importlib.util import find_spec

import pytest
import torch

from benchmarks import gpu_acceptance

pytestmark = pytest.mark.integration
PARTS = [part for part in gpu_acceptance.PARTS if part != "studies"]


def test_every_part_passes_and_is_kept_with_its_provenance(tmp_path):
    torch.set_num_threads(1)
    out = tmp_path / "report.json"
    code = gpu_acceptance.main(["--tiny", "--parts", ",".join(PARTS), "--out", str(out)])
    report = json.loads(out.read_text())
    assert (code, report["failed"]) == (0, [])
    assert {line["part"] for line in report["checks"]} == set(PARTS) == set(report["seconds"])
    passed = {line["part"] for line in report["checks"] if line["ok"]}
    skipped = set() if find_spec("peft") else {"fine_tuning"}
    assert passed == set(PARTS) - {"facts"} - skipped, "facts are only reported"
    assert report["tiny"] and report["commit"] and report["packages"]["torch"] == torch.__version__
