"""The loop: schedule, resume to the very same weights, damaged checkpoints."""

import resource

import pytest
import torch
from torch import nn

from oryx.errors import CheckpointError, RunError, SettingsError
from oryx.train.checkpoints import load_weights, save_weights
from oryx.train.loop import StepBatches, TrainPlan, train


def draw(step: int) -> torch.Tensor:
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(step))


def batches(steps: int) -> StepBatches:
    return StepBatches(draw, lambda x: {"x": x}, steps)


def loss(model: nn.Module, batch: dict) -> torch.Tensor:
    x = batch["x"]
    return ((model(x) - x.sum(1, keepdim=True)) ** 2).sum() / batch["num_items_in_batch"]


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 1))


class Stop(Exception):
    pass


def test_training_lowers_the_loss_and_records_its_curve():
    curve = train(model(), batches(60), loss, TrainPlan(60, 5e-2, warmup=5, log_every=10))
    assert [point["step"] for point in curve] == [10, 20, 30, 40, 50, 60]
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]


def test_the_rate_warms_up_and_decays_to_its_final_fraction():
    plan = TrainPlan(100, 1.0, warmup=10, final_fraction=0.1)
    rates = [plan.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1, abs=1e-3) and max(rates) == pytest.approx(1.0, abs=0.05)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)


def test_a_resumed_training_ends_with_the_weights_of_an_undisturbed_one(tmp_path):
    plan = TrainPlan(40, 1e-2, warmup=5, log_every=10, checkpoint_seconds=0.0)
    whole = model()
    train(whole, batches(40), loss, plan)

    def stop_at_30(done, total):
        if done == 30:
            raise Stop

    half = model()
    with pytest.raises(Stop):
        train(half, batches(40), loss, plan, tmp_path / "c.pt", stop_at_30)
    resumed = model()
    steps = []
    curve = train(resumed, batches(40), loss, plan, tmp_path / "c.pt", lambda done, total: steps.append(done))
    assert steps[0] == 30, "the last checkpoint before the stop was of step 20"
    assert [point["step"] for point in curve] == [10, 20, 30, 40]
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_frozen_parameters_stay_and_are_in_no_checkpoint(tmp_path):
    net = model()
    net[0].requires_grad_(False)
    before = net[0].weight.clone()
    train(net, batches(5), loss, TrainPlan(5, 1e-2), tmp_path / "c.pt")
    assert torch.equal(before, net[0].weight)
    assert set(torch.load(tmp_path / "c.pt")["model"]) == {"2.weight", "2.bias"}
    again = model()
    again[0].requires_grad_(False)
    train(again, batches(5), loss, TrainPlan(5, 1e-2), tmp_path / "c.pt")
    assert torch.equal(again[2].weight, net[2].weight)
    with pytest.raises(CheckpointError, match=r"c\.pt is no checkpoint of this training .*0\.bias is missing"):
        train(model(), batches(5), loss, TrainPlan(5, 1e-2), tmp_path / "c.pt")


def test_pieces_of_a_batch_make_the_step_of_the_whole():
    whole, cut = model(), model()
    curve = train(whole, batches(5), loss, TrainPlan(5, 1e-2, log_every=1))
    pieces = StepBatches(draw, lambda x: {"x": torch.as_tensor(x)}, 5, pieces=3)
    assert [len(piece["x"]) for piece in pieces[0]] == [3, 3, 2]
    found = train(cut, pieces, loss, TrainPlan(5, 1e-2, log_every=1))
    assert [point["loss"] for point in found] == pytest.approx([point["loss"] for point in curve], rel=1e-5)
    for a, b in zip(whole.parameters(), cut.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    with pytest.raises(SettingsError, match="at least one sample for each of 1 processes and 9 pieces, got 8"):
        StepBatches(draw, lambda x: x, 5, pieces=9)[0]


def test_a_disk_that_fills_up_keeps_the_last_checkpoint_and_the_run_goes_on_from_it(tmp_path):
    """The system refuses to write beyond a size, as it does when a disk is full."""
    plan, path = TrainPlan(40, 1e-2, warmup=5, log_every=10, checkpoint_seconds=0.0), tmp_path / "c.pt"
    whole = model()
    curve = train(whole, batches(40), loss, plan)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(done, total):
        if done == 20:  # the checkpoint of step 10 is there
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))

    try:
        with pytest.raises(
            RunError, match=r"c\.pt: cannot be written \(.*; it takes [\d,]+ bytes\); the earlier file is"
        ):
            train(model(), batches(40), loss, plan, path, fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert torch.load(path)["step"] == 10 and [one.name for one in tmp_path.iterdir()] == ["c.pt"]
    resumed = model()
    assert train(resumed, batches(40), loss, plan, path) == curve
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "c.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match=r"c\.pt is no checkpoint"):
        train(model(), batches(5), loss, TrainPlan(5, 1e-2), tmp_path / "c.pt")


def test_shipped_weights_round_trip_in_half_precision(tmp_path):
    net, path = model(), tmp_path / "w.safetensors"
    save_weights(path, net)
    other = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 1))
    load_weights(path, other)
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(a.half().float(), b)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda p: p.unlink(), "no such file"),
        (lambda p: p.write_bytes(p.read_bytes()[:40]), "not readable as safetensors"),
    ],
)
def test_missing_or_truncated_weights_are_named(tmp_path, spoil, message):
    path = tmp_path / "w.safetensors"
    save_weights(path, model())
    spoil(path)
    with pytest.raises(CheckpointError, match=message):
        load_weights(path, model())


def test_weights_of_another_shape_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, model())
    with pytest.raises(CheckpointError, match=r"safetensors: '0\.bias': expected shape \(9,\), got \(8,\)"):
        load_weights(path, nn.Sequential(nn.Linear(4, 9), nn.GELU(), nn.Linear(9, 1)))
    with pytest.raises(CheckpointError, match="unexpected"):
        load_weights(path, nn.Sequential(nn.Linear(4, 8)))
