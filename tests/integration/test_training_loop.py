"""The benchmark of the training loop: both sides take the same steps, and its tables say what was found."""

import pytest
import torch

from benchmarks import training_loop
from benchmarks.training_loop import MIDDLE, Ready, Work, bare, table
from oryx.train.datasets import read_records
from oryx.train.device import compute
from oryx.train.loop import TrainPlan, answer_loss, train
from tests.records import write_records

pytestmark = pytest.mark.integration


def test_the_loop_and_the_bare_steps_do_the_same_work(tmp_path):
    """Without clipping, at a rate that stays, they end with the same weights."""
    torch.set_num_threads(1)
    work, records = Work("two", 2, 3), read_records(write_records(tmp_path))
    found = []
    for looped in (False, True):
        model = work.model()
        batches = Ready(work.batches(model, records))
        if looped:
            plan = TrainPlan(3, training_loop.RATE, warmup=1, final_fraction=1.0, clip=1e9)
            train(model, batches, answer_loss, plan, compute=compute("fp32"))
        else:
            bare(model, batches)
        found.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    torch.testing.assert_close(*found, atol=1e-6, rtol=1e-4)
    assert not torch.equal(found[0], torch.cat([p.detach().flatten() for p in work.model().parameters()]))


def test_it_runs_and_renews_its_block(tmp_path):
    docs = tmp_path / "docs.md"
    docs.write_text("before\n<!-- training-loop -->\nold\n<!-- end -->\nafter\n")
    narrow = {"text": MIDDLE["text"] | {"hidden_size": 36}, "vision": MIDDLE["vision"] | {"hidden_size": 36}}
    works = (Work("smoke", 2, 2), Work("narrow", 2, 1, **narrow))
    flags = ["--pairs", "2", "--pictures", "6", "--loader-steps", "3", "--docs", str(docs)]
    found = training_loop.main(flags, works)
    assert [len(one["ratios"]["cpu"]) for one in found["loop"]] == [2, 2]
    (loader,) = found["loader"]
    assert loader["first"] > 0 and 0 <= loader["share"] <= 1
    text = docs.read_text()
    assert "old" not in text and "| smoke, 2 pictures | 1.6M |" in text and "| narrow, 2 pictures |" in text


def test_verdicts_follow_the_numbers():
    seconds = {"bare": {"cpu": [8.0, 9.0]}, "loop": {"cpu": [10.0, 10.0]}}
    one = {"work": "toy", "parameters": 1e6, "batch": 1, "steps": 1, "tokens": 10, "seconds": seconds}
    found = {"threads": 1, "load": [0, 0]}
    for ratio, share, met in ((0.95, 0.01, "yes"), (0.85, 0.06, "no")):
        found["loop"] = [one | {"ratios": {"cpu": [ratio] * 2, "wall": [ratio] * 2}}]
        found["loader"] = [{"work": "toy", "steps": 2, "first": 1.0, "seconds": 2.0, "share": share}]
        assert table(found).count(f"| {met} |") == 2
