"""Retrieval training: how long clips are, what learns, and that it goes on exactly."""

import torch

from oryx.grids import video_token_count
from oryx.model.positions import set_positions
from oryx.train.device import compute
from oryx.train.loop import TrainPlan
from workbook.data.needles import make_dataset
from workbook.stages import videos
from workbook.stages.models import build_reader
from workbook.stages.recipes import video_recipe
from workbook.stages.stage import Options
from workbook.stages.videos import RetrievalPlan, step_shape, steps_for_tokens, tokens_trained_on, train_retrieval
from workbook.studies.frames import frame_cache

GRID = (1, 1)


def plan(steps=4, **changes):
    return RetrievalPlan(**{"longest": 40, "tokens": 300, "most_clips": 6, "plan": TrainPlan(steps, 1e-3)} | changes)


def test_steps_keep_within_lengths_tokens_and_clips():
    shapes = [step_shape(plan(), 0, step, GRID) for step in range(1000)]
    assert {length for _, length in shapes} >= {2, 3, 5, 40} and max(length for _, length in shapes) == 40
    assert all(1 <= clips <= 6 and clips * video_token_count(length, GRID) <= 300 for clips, length in shapes)
    halves = sum(length <= 9 for _, length in shapes) / 1000
    assert 0.4 < halves < 0.6, "log-uniform: half of the lengths lie below the geometric mean"


def test_one_clip_at_least_even_if_it_is_longer_than_the_budget():
    assert step_shape(plan(tokens=1), 0, 0, GRID)[0] == 1


def test_steps_for_as_many_tokens():
    steps = steps_for_tokens(plan(longest=4), 1, GRID, 5000)
    reached = tokens_trained_on(plan(steps, longest=4), 1, GRID)
    assert reached >= 5000 > tokens_trained_on(plan(steps - 1, longest=4), 1, GRID)


def test_clips_shown_twice_are_half_as_long_and_cost_as_much(tmp_path, monkeypatch):
    dataset = make_dataset(tmp_path, 0, (32, 32), haystacks=1, shots=30, pages=4, pictures=3)
    model, drawn = build_reader(video_recipe("smoke").shapes), {}
    tokens = frame_cache(tmp_path, model, 4, (32, 32), "w", compute("fp32")).joined(dataset.files)
    for again in (False, True):
        monkeypatch.setattr(videos, "Training", lambda name, model, batches, *rest, **more: batches)
        monkeypatch.setattr(videos.StepBatches, "carry_out", lambda batches, *how: batches, raising=False)
        batches = train_retrieval(model, dataset, tokens, plan(9, twice=again), Options("smoke", 0, tmp_path))
        drawn[again] = [batches.draw(step) for step in range(9)]
    for once, twice in zip(drawn[False], drawn[True], strict=True):
        assert len(once) == len(twice)
        for first, second in zip(once, twice, strict=True):
            half = len(second.frames) // 2
            assert second.frames[:half] == second.frames[half:] and half == max(2, len(first.frames) // 2)


def test_only_projector_and_language_model_learn(tmp_path):
    torch.manual_seed(0)
    model = build_reader(video_recipe("smoke").shapes)
    set_positions(model, "half_1e6")
    dataset = make_dataset(tmp_path, 0, (32, 32), haystacks=1, shots=30, pages=4, pictures=3)
    tokens = frame_cache(tmp_path, model, 4, (32, 32), "w", compute("fp32")).joined(dataset.files)
    before = {name: value.clone() for name, value in model.named_parameters()}
    curve = train_retrieval(model, dataset, tokens, plan(), Options("smoke", 0, tmp_path))
    changed = {name.split(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert changed == {"projector", "language_model"} and curve[-1]["step"] == 4
