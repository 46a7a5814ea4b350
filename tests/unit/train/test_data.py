"""Batches of steps: the same whatever the workers, and the shares of several processes make up a batch."""

import pytest
import torch

from oryx.errors import SettingsError
from oryx.processing.sizes import Resolution
from oryx.train.device import compute
from oryx.train.inputs import PictureInputs
from oryx.train.loop import StepBatches, answer_loss, loader
from workbook.data.items import draw_item, generator
from workbook.data.pictures import PictureSizes
from workbook.stages.models import build_reader
from workbook.stages.recipes import recipe


def numbers(step: int) -> list[int]:
    return [step, step + 1, step + 2]


def stacked(samples: list[int]) -> dict:
    return {"x": torch.tensor(samples)}


def of_process(batches: StepBatches, rank: int, processes: int) -> StepBatches:
    batches.rank, batches.processes = rank, processes
    return batches


def test_processes_take_samples_in_turn_and_know_the_targets_of_all():
    shares = [of_process(StepBatches(numbers, stacked, 9, lambda n: n), r, 2)[4] for r in (0, 1)]
    assert [share["x"].tolist() for share in shares] == [[4, 6], [5]]
    assert [float(share["num_items_in_batch"]) for share in shares] == [7.5, 7.5], "4 + 5 + 6, over two processes"
    with pytest.raises(SettingsError, match="at least one sample for each of 4 processes, got 3"):
        of_process(StepBatches(numbers, stacked, 9), 0, 4)[0]


def test_a_training_goes_on_with_the_batch_of_its_step():
    batches = StepBatches(numbers, stacked, 7)
    before = torch.random.get_rng_state()
    assert [batch["x"].tolist() for batch in loader(batches, 3, compute())] == [numbers(step) for step in range(3, 7)]
    assert torch.equal(torch.random.get_rng_state(), before), "random numbers of the training are left alone"


def test_shares_of_several_processes_make_up_the_batch():
    """The mean of what two processes compute, and of its gradients, is what one computes."""
    torch.manual_seed(0)
    model = build_reader(recipe("smoke"))
    rng, sizes = generator("shares"), PictureSizes()
    items = [draw_item(rng, ("number", "icon")[i % 2], "train", sizes, "t") for i in range(7)]
    inputs = PictureInputs(items, Resolution("native"), sizes.patch)

    def loss_of(rank: int, processes: int) -> torch.Tensor:
        batches = StepBatches(lambda step: list(range(7)), inputs.batch, 1, inputs.targets)
        return answer_loss(model, of_process(batches, rank, processes)[0])

    def gradients(loss):
        found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
        return [gradient for gradient in found if gradient is not None]

    whole = loss_of(0, 1)
    torch.testing.assert_close(whole, model(**inputs.batch(range(7))).loss)
    together = (loss_of(0, 2) + loss_of(1, 2)) / 2
    torch.testing.assert_close(together, whole, atol=1e-5, rtol=1e-5)
    for own, expected in zip(gradients(together), gradients(whole), strict=True):
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-4)
