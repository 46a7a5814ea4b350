"""Records about frames of long videos made of the shipped material are what the joint stage learns from."""

import pytest

from oryx.model.parts import assemble
from oryx.processing.options import PreprocessOptions
from oryx.train.datasets import checked, read_data
from oryx.train.device import compute
from oryx.train.record_batches import RecordBatches
from oryx.train.stages import STAGES, StagePlan, train_on_records
from tests.parts import write_language_model, write_siglip
from workbook.stages import retrieval_records
from workbook.stages.retrieval_records import main

pytestmark = pytest.mark.integration


def test_the_joint_stage_takes_steps_on_records_of_the_shipped_material(tmp_path, monkeypatch):
    monkeypatch.setattr(retrieval_records, "HAYSTACKS", 1)
    monkeypatch.setattr(retrieval_records, "SHOTS", 30)
    assert main(["--videos", "shipped", "--output", str(tmp_path / "data.json"), "--records", "6"]) == 0
    records = read_data([tmp_path / "data.json"])
    parts = write_siglip(tmp_path / "siglip"), write_language_model(tmp_path / "qwen2")
    model, plan = assemble(*parts, position_grid=4, options=PreprocessOptions()), {"frames": 8}
    good, faults = checked(records, RecordBatches([], model.processor, 2, 0, None, plan), folder=tmp_path)
    assert len(good) == 6 and not faults and min(good.lengths) > 8
    steps = StagePlan(steps=2, batch=2, video=plan)
    curve = train_on_records(STAGES["joint"], model, good, steps, tmp_path / "joint", compute("fp32"))
    assert [point["step"] for point in curve] == [1, 2] and all(0 < point["loss"] < 20 for point in curve)
