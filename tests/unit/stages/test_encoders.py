"""The encoders of the encoder study: what differs between them, how they are kept, where they start."""

from functools import partial

import pytest
import torch
from PIL import Image

from oryx.errors import CheckpointError
from oryx.train.checkpoints import load_weights, module_sha256, save_weights
from workbook.data.items import generator
from workbook.stages.encoders import (
    CONTINUED,
    ENCODERS,
    _at,
    encoder_file,
    load_encoder,
    starting_tower,
    train_encoder,
)
from workbook.stages.recipes import encoder_recipe
from workbook.stages.shared import reader_batches
from workbook.stages.stage import Options

SMOKE = encoder_recipe("smoke")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    for name in ENCODERS:
        train_encoder(name, SMOKE, Options("smoke", 0, folder, folder))
    return folder


def test_each_encoder_is_kept_and_read_again(trained):
    towers = {name: load_encoder(name, SMOKE, trained) for name in ENCODERS}
    assert len({module_sha256(tower) for tower in towers.values()}) == len(ENCODERS)
    with pytest.raises(CheckpointError, match=encoder_file("oryxvit")):
        load_encoder("oryxvit", SMOKE, trained / "elsewhere")


def test_continued_encoders_see_the_same_items_at_other_sizes():
    """Same questions and answers in the same order for all; only the pictures' sizes differ."""
    seen = {}
    for name, size in CONTINUED.items():
        batch = reader_batches(SMOKE, 0, partial(_at, size))[2]
        seen[name] = sorted(map(tuple, batch["labels"].tolist())), batch["image_grids"].tolist()
    # labels are padded to the longest prompt, which is the same in all
    assert seen["control"][0] == seen["oryxvit"][0] == seen["mixed"][0]
    square = [SMOKE.side // SMOKE.patch] * 2
    assert all(grid == square for grid in seen["control"][1]) and any(grid != square for grid in seen["oryxvit"][1])


def test_fixed_is_siglips_own_square():
    long_ = Image.new("RGB", (160, 16))
    sizes = [_at(size, None, long_, SMOKE.phases[0], SMOKE).size for size in ("fixed", "native")]
    assert sizes == [(SMOKE.side, SMOKE.side), (160, 16)]


def test_eight_bits_keep_weights_within_half_a_step(tmp_path):
    model, other = (torch.nn.Sequential(torch.nn.Linear(40, 30), torch.nn.LayerNorm(30)) for _ in range(2))
    torch.nn.init.normal_(model[1].bias)
    save_weights(tmp_path / "w.safetensors", model, torch.int8)
    load_weights(tmp_path / "w.safetensors", other)
    step = model[0].weight.abs().amax(1, keepdim=True) / 127
    assert ((model[0].weight - other[0].weight).abs() <= 0.51 * step + 1e-6).all()
    assert torch.equal(other[1].bias, model[1].bias.half().float())
    assert (tmp_path / "w.safetensors").stat().st_size < 30 * 40 + 1000


def test_eight_bits_barely_move_the_features(trained):
    tower = starting_tower(SMOKE, trained).eval()
    before = tower(torch.randn(36, 192, generator=torch.Generator().manual_seed(0)), [(6, 6)]).tokens
    save_weights(trained / "eight.safetensors", tower, torch.int8)
    load_weights(trained / "eight.safetensors", tower)
    after = tower(torch.randn(36, 192, generator=torch.Generator().manual_seed(0)), [(6, 6)]).tokens
    assert 0 < (after - before).norm() / before.norm() < 0.03


def test_every_phase_of_the_recipe_draws_pictures_of_its_patch():
    r = encoder_recipe("nano", side=96, patch=16)
    for phase in r.phases:
        height, width = phase.sizes.draw(generator("test", phase.until))
        assert height % 16 == 0 and width % 16 == 0 and min(height, width) >= 16
