"""Processes that draw batches for a training (DataLoader workers)."""

from functools import partial

import pytest
import torch

from oryx.train.device import compute
from oryx.train.loop import loader
from oryx.train.streaming import streamed_batches
from workbook.stages.recipes import recipe
from workbook.stages.shared import reader_batches
from workbook.studies.encoders.study import OryxViTvsSigLIP
from workbook.studies.picture_training import drawn_items

pytestmark = pytest.mark.integration


def streamed():
    """Batches of an arm of the encoder study whose pictures are cut as they are asked for."""
    study = OryxViTvsSigLIP()
    settings = study.settings({"scale": "smoke", "features": "streamed"})
    own = study.picture_arm(settings, "oryxvit_partition")
    draw = partial(drawn_items, settings, own, 0)
    return streamed_batches(draw, own.resolution, own.sizes.patch, settings.train_steps)


@pytest.mark.parametrize("made", [lambda: reader_batches(recipe("smoke"), 0), streamed], ids=["reader", "streamed"])
def test_workers_draw_the_batches_that_the_training_would(made):
    """From any step on, and without a touch to the training's random numbers."""
    batches, before = made(), torch.random.get_rng_state()
    batches.workers = 2
    found = list(loader(batches, 1, compute()))
    assert torch.equal(torch.random.get_rng_state(), before) and len(found) == batches.steps - 1 > 1
    for step, batch in enumerate(found, 1):
        expected = batches[step]
        assert batch.keys() == expected.keys()
        assert all(torch.equal(batch[name], expected[name]) for name in batch)
