"""Training steps on stories: who sees what, equally warm starts, and exact going on."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from oryx.eval.features import FrameTokens
from oryx.layout import Layout
from oryx.processing.video import probe
from workbook.data.stories import LENGTHS, DatasetSizes, make_dataset
from workbook.stages.models import build_reader
from workbook.stages.recipes import recipe
from workbook.stages.stage import Options
from workbook.stages.videos import StoryPlan, draw_step, frame_inputs, train_stories, with_connector

PLAN = StoryPlan(200, (1, 2, 4), 400, 1e-3)
SOURCES = {side: [64] for side in (1, 2, 4)}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("dataset"), 0, DatasetSizes(3, 2, 2, 2))


def grid_of(source, side):
    return (8, 8)


def step_of(dataset, number, seed=0):
    return draw_step(PLAN, seed, number, dataset, SOURCES, grid_of)


def features_of(dataset, grid, width):
    count = sum(probe(path).frames for path in dataset.files)
    generator = torch.Generator().manual_seed(grid[0])
    return FrameTokens(torch.randn(count, grid[0] * grid[1], width, generator=generator).half(), grid)


def model_of(seed=0):
    torch.manual_seed(seed)
    return build_reader(recipe("smoke"))


def test_a_step_is_a_function_of_seed_and_step(dataset):
    assert step_of(dataset, 7, 3) == step_of(dataset, 7, 3) != step_of(dataset, 7, 4)


def test_singles_come_first_and_sides_have_their_shares(dataset):
    steps = [step_of(dataset, i) for i in range(PLAN.steps)]
    story = [len(step[0].clip.turns) > 2 for step in steps]
    assert not any(story[:40]) and 0.5 < sum(story[40:]) / 160 < 0.8
    sides = Counter(step[0].side for step in steps)
    assert sides[1] < sides[2] and sides[1] < sides[4] and sum(sides.values()) == 200
    frames = {(step[0].side, len(step[0].clip.frames)) for step, full in zip(steps, story, strict=True) if full}
    assert (4, LENGTHS["long"]) in frames and (1, LENGTHS["long"]) not in frames, "1,754 tokens are too many"


def test_frames_of_long_stories_are_chosen_evenly(dataset):
    plan = replace(PLAN, steps=60, sides=(2,), first=0, singles=0, long_share=1.0, frames=(4, 24))
    shown = Counter(len(draw_step(plan, 0, i, dataset, SOURCES, grid_of)[0].clip.frames) for i in range(60))
    assert set(shown) == {4, 24}


def test_the_arm_with_smaller_pictures_takes_the_same_steps(dataset):
    smaller = {1: [64], 2: [32], 4: [16]}
    for number in range(12):
        ours, theirs = (draw_step(PLAN, 0, number, dataset, sources, grid_of) for sources in (SOURCES, smaller))
        assert theirs == [replace(sample, source=64 // sample.side) for sample in ours]


def test_inputs_hold_the_frames_in_order(dataset):
    features = features_of(dataset, (2, 2), 8)
    clips = [sample.clip for sample in step_of(dataset, 1)]
    batch = frame_inputs(clips, features, 2)
    first = clips[0].frames
    torch.testing.assert_close(
        batch["vision_features"][: 4 * len(first)], features.tokens[list(first)].flatten(0, 1).float()
    )
    assert batch["visual_spec"].tolist() == [[Layout.VIDEO, len(first), 2]] * len(clips)


@pytest.mark.parametrize("name, factor", [("average", 1), ("mlp", 1), ("dynamic", 2), ("dynamic_convmlp", 2)])
def test_every_connector_starts_as_the_same_model_on_uncompressed_tokens(name, factor):
    features = torch.randn(4, 128)
    shown = {"vision_features": features, "image_grids": [(2, 2)], "visual_spec": [(Layout.VIDEO, 1, 1)]}
    start = with_connector(model_of(), "average_x2", 5)
    expected = start.encode_visuals(**shown)[0]
    arm = with_connector(start, name, 5, factor)
    torch.testing.assert_close(arm.encode_visuals(**shown)[0], expected)
    assert arm.config.compressor == name


def test_connectors_of_one_seed_have_the_same_attention():
    first, second = (with_connector(model_of(i), name, 5) for i, name in enumerate(("dynamic", "dynamic_dwconv_cold")))
    assert torch.equal(first.compressor.vlm_query_projector.weight, second.compressor.vlm_query_projector.weight)


def test_training_moves_connector_and_reader_but_not_the_tower(dataset, tmp_path):
    features, plan = {16: features_of(dataset, (2, 2), 128)}, StoryPlan(3, (1, 2), 200, 1e-3)
    model = with_connector(model_of(), "dynamic", 0)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    curve = train_stories(model, dataset, features, {1: [16], 2: [16]}, plan, Options("smoke", 0, tmp_path))
    moved = {name.split(".")[0] for name, p in model.named_parameters() if not torch.equal(before[name], p)}
    assert moved == {"compressor", "projector", "language_model"} and curve[-1]["step"] == 3
