"""The stages: what learns in each, what is written, and that a model of one stage is what the next begins with."""

import resource

import pytest
import torch

import oryx
from oryx.errors import RunError, SettingsError
from oryx.model.parts import assemble
from oryx.processing.options import PreprocessOptions
from oryx.train.checkpoints import save_model
from oryx.train.datasets import read_records
from oryx.train.device import compute
from oryx.train.record_batches import RecordBatches
from oryx.train.stages import PARTS, STAGES, StagePlan, train_on_records
from tests.parts import write_language_model, write_siglip
from tests.records import write_records

PLAN = StagePlan(steps=3, batch=2, rate=1e-2, sides={"image": 2})  # at 1 the compressor has nothing to learn


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    return write_siglip(folder / "siglip"), write_language_model(folder / "qwen2")


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return read_records(write_records(tmp_path_factory.mktemp("records"), 6))


def fresh(parts):
    return assemble(*parts, position_grid=4, options=PreprocessOptions(low=None))


def carried_out(name, model, records, folder, plan=PLAN, **how):
    return train_on_records(STAGES[name], model, records, plan, folder, compute("fp32"), **how)


def moved(before: torch.nn.Module, after: torch.nn.Module) -> set[str]:
    """The parts whose parameters differ."""
    ours = after.state_dict()
    return {name.split(".")[0] for name, value in before.state_dict().items() if not torch.equal(value, ours[name])}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_trains_its_parts_and_no_others_and_writes_the_model(parts, records, tmp_path, name):
    model = fresh(parts)
    curve = carried_out(name, model, records, tmp_path)
    assert moved(fresh(parts), model) == set(STAGES[name].trains)
    assert [point["step"] for point in curve] == [1, 2, 3]
    again = oryx.load(tmp_path / "model")
    assert moved(model, again) == set() and again.processor.options == model.processor.options
    assert again.config.freeze_vision == (name != "pretrain")


def test_the_next_stage_begins_with_the_model_of_the_one_before(parts, records, tmp_path):
    carried_out("align", fresh(parts), records, tmp_path)
    model = oryx.load(tmp_path / "model")
    carried_out("sft", model, records, tmp_path)
    assert moved(oryx.load(tmp_path / "model"), model) == set()
    assert STAGES["sft"].trains == PARTS[1:]


def test_a_disk_that_fills_up_leaves_the_earlier_model_whole(parts, records, tmp_path):
    model = fresh(parts)
    save_model(tmp_path / "model", model)
    other = assemble(*parts, position_grid=4, options=PreprocessOptions(low=None), seed=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # the system then refuses, as it does on a full disk
    try:
        with pytest.raises(RunError, match=r"model: cannot be written \(.*\); it takes [\d,]{6,} bytes"):
            save_model(tmp_path / "model", other)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert moved(model, oryx.load(tmp_path / "model")) == set()
    save_model(tmp_path / "model", other)
    assert moved(other, oryx.load(tmp_path / "model")) == set() and moved(model, other) == {"compressor", "projector"}


def test_what_is_watched_has_speed_and_time_left(parts, records, tmp_path):
    seen, shown = [], []
    carried_out("align", fresh(parts), records, tmp_path, watch=seen.append, progress=lambda *now: shown.append(now))
    assert shown == [(1, 3), (2, 3), (3, 3)]
    assert all(point["tokens_per_second"] > 0 for point in seen)
    assert seen[0]["seconds_left"] > seen[-1]["seconds_left"] == 0


def test_steps_or_epochs_and_a_warm_up_by_share():
    plan = StagePlan(epochs=2, batch=4).schedule(STAGES["sft"], 200)
    assert (plan.steps, plan.warmup, plan.learning_rate, plan.rate(100)) == (100, 3, 2e-5, 0.0)
    for both in ({}, {"steps": 1, "epochs": 1}):
        with pytest.raises(SettingsError, match="expected steps or epochs"):
            StagePlan(**both).schedule(STAGES["sft"], 10)


def test_of_several_sides_each_record_has_one_by_lot_in_every_run_of_a_seed(parts, records):
    def sides(seed, given):
        batches = RecordBatches(records, fresh(parts).processor, 2, seed, sides={"image": given})
        return [batches.side(record) for record in records]

    first = sides(0, (2, 4))
    assert set(first) == {2, 4} and first == sides(0, (2, 4))
    assert any(sides(seed, (2, 4)) != first for seed in range(1, 6)), "another lot for another seed"
    assert sides(0, 4) == [4] * len(records)
