"""Processes that draw batches for a training (DataLoader workers)."""

import pytest
import torch

from oryx.train.device import compute
from oryx.train.loop import loader
from workbook.stages.recipes import recipe
from workbook.stages.shared import reader_batches

pytestmark = pytest.mark.integration


def test_workers_draw_the_batches_that_the_training_would():
    """From any step on, and without a touch to the training's random numbers."""
    batches, before = reader_batches(recipe("smoke"), 0), torch.random.get_rng_state()
    batches.workers = 2
    found = list(loader(batches, 1, compute()))
    assert torch.equal(torch.random.get_rng_state(), before) and len(found) == batches.steps - 1 > 1
    for step, batch in enumerate(found, 1):
        expected = batches[step]
        assert batch.keys() == expected.keys()
        assert all(torch.equal(batch[name], expected[name]) for name in batch)
