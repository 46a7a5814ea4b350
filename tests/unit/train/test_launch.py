"""What accelerate is told: trackers, and the layers that lie in shards of their own."""

import json
from types import SimpleNamespace

import pytest
from accelerate import tracking
from accelerate.tracking import GeneralTracker

from oryx.errors import MissingResource, SettingsError
from oryx.train import launch
from oryx.train.device import compute
from oryx.train.launch import accelerator_for, layer_names
from oryx.train.loop import Objective, TrainPlan, train
from tests.unit.model.builders import tiny_model
from tests.unit.train.test_loop import batches, loss, model


class Lines(GeneralTracker):
    """Keeps what it is told as JSON lines in the folder of the training."""

    name, requires_logging_directory = "lines", True

    def __init__(self, run_name, logging_dir):
        self.path = f"{logging_dir}/{run_name}.jsonl"

    @property
    def tracker(self):
        return None

    def _write(self, values):
        with open(self.path, "a") as file:
            file.write(json.dumps(values) + "\n")

    def store_init_configuration(self, values):
        self._write({"config": values})

    def log(self, values, step=None, **kwargs):
        self._write(values | {"at": step})

    def finish(self):
        self._write("finished")


@pytest.fixture
def lines(monkeypatch):
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "lines", Lines)


def test_a_tracker_gets_every_point_of_the_curve_with_speed_and_time_left(lines, tmp_path):
    plan = TrainPlan(6, 1e-2, log_every=2, trackers=("lines",))
    curve = train(model(), batches(6), loss, plan, tmp_path / "c.pt")
    first, *told, last = map(json.loads, (tmp_path / "oryx.jsonl").read_text().splitlines())
    assert first == {"config": {"steps": 6, "learning_rate": 1e-2}} and last == "finished"
    assert [(one["at"], one["loss"]) for one in told] == [(point["step"], point["loss"]) for point in curve]
    assert all(one["tokens_per_second"] == 0 for one in told), "batches of numbers have no tokens"
    assert told[-1]["seconds_left"] == 0 < told[0]["seconds_left"]


def test_unknown_trackers_and_those_without_their_package_are_named():
    machine = compute("fp32")
    with pytest.raises(SettingsError, match="unknown tracker 'wandbb'; did you mean 'wandb'"):
        accelerator_for(TrainPlan(1, 1.0, trackers=("wandbb",)), machine)
    with pytest.raises(MissingResource, match="tracker 'aim' needs a package: pip install aim"):
        accelerator_for(TrainPlan(1, 1.0, trackers=("aim",)), machine)


@pytest.mark.parametrize("kind, layer", [("qwen2", "Qwen2DecoderLayer"), ("llama", "LlamaDecoderLayer")])
def test_decoder_layers_and_blocks_lie_in_shards_of_their_own(kind, layer):
    whole = tiny_model(kind)
    assert layer_names(whole) == ["Block", layer]
    assert Objective(whole, loss, compute("fp32"))._no_split_modules == ["Block", layer]
    assert layer_names(model()) == []


def test_deepspeed_gets_what_the_loop_decides_and_stage_3_is_refused(monkeypatch):
    plugin = SimpleNamespace(zero_stage=2, deepspeed_config={"gradient_accumulation_steps": 4})
    made = SimpleNamespace(state=SimpleNamespace(deepspeed_plugin=plugin))
    monkeypatch.setattr(launch, "Accelerator", lambda **_: made)
    assert accelerator_for(TrainPlan(1, 1.0, clip=0.5), compute("fp32")) is made
    expected = {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 1, "gradient_clipping": 0.5}
    assert plugin.deepspeed_config == expected
    plugin.zero_stage = 3
    with pytest.raises(SettingsError, match="expected ZeRO stage 1 or 2, got 3"):
        accelerator_for(TrainPlan(1, 1.0), compute("fp32"))
