"""Pictures to tensors, the prompt, and rows of answers, on a tiny model."""

from itertools import pairwise
from operator import call

import numpy as np
import pytest
import torch

from oryx.errors import InputError
from oryx.processing.images import to_patches
from oryx.processing.sizes import Resolution
from oryx.train.inputs import END, PictureInputs, decode, encode_prompt, kept, text_batch
from tests.pixels import patchify
from workbook.data.items import evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.stages.models import build_reader, build_siglip, sincos_table
from workbook.stages.recipes import recipe
from workbook.studies.evaluate import Batch, evaluate, picture_batches

SIZES = PictureSizes()
NARROW = {"num_hidden_layers": 1, "hidden_size": 32, "intermediate_size": 64}
TINY = recipe("smoke", vision=NARROW, text=NARROW)


class Rows(list):
    """A writer that keeps its rows in memory; ``there``: items whose rows count as written before."""

    def __init__(self, there=()):
        super().__init__()
        self.there = set(there)

    def has(self, row: dict) -> bool:
        return row["item"] in self.there

    def write(self, rows) -> None:
        self.extend(rows)


@pytest.fixture(scope="module")
def reader():
    torch.manual_seed(0)
    return build_reader(TINY).eval()


@pytest.fixture(scope="module")
def items():
    return evaluation_items("word", "dev", 5, SIZES)


def test_patches_are_those_of_the_model(items):
    picture = items[0].picture
    pixels = torch.from_numpy(np.asarray(picture, dtype=np.float32).transpose(2, 0, 1) / 127.5 - 1)
    ours, grid = to_patches(picture, 8)
    theirs, their_grid = patchify(pixels, 8)
    assert grid == their_grid
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_only_the_answer_is_supervised():
    batch = text_batch(["read", "A"], ["cat", "17"])
    assert batch["input_ids"][0].tolist() == [*encode_prompt("read"), *b"cat", END]
    assert batch["labels"][0].tolist() == [-100] * 6 + [*b"cat", END]
    assert batch["attention_mask"].sum(1).tolist() == [10, 6]
    assert decode([*b"cat", END, 65]) == "cat"


def test_cached_features_give_the_logits_of_patches(reader, items):
    patches = PictureInputs(items, Resolution("area", 48), 8)
    cached = PictureInputs(items, Resolution("area", 48), 8, reader)
    with torch.no_grad():
        a = reader(**patches.batch(range(5), answers=True)).logits
        b = reader(**cached.batch(range(5), answers=True)).logits
    torch.testing.assert_close(a, b, atol=5e-3, rtol=5e-3)  # features are kept in half precision


def test_visual_tokens_are_what_the_projector_emits(reader, items):
    inputs = PictureInputs(items, Resolution("native"), 8)
    batch = inputs.batch([2], answers=False)
    expanded = reader.expand(**batch)
    text = batch["input_ids"].shape[1] - 1
    assert expanded.inputs_embeds.shape[1] - text == inputs.visual_tokens(2)


def test_sorted_items_have_equal_lengths_side_by_side_where_something_attends(reader):
    items = evaluation_items("word", "dev", 40, SIZES)

    def runs(lengths: list[int]) -> tuple[int, int]:
        return 1 + sum(a != b for a, b in pairwise(lengths)), len(set(lengths))

    patches = PictureInputs(items, Resolution("native"), 8)
    order = sorted(range(40), key=patches.sort_key)
    counts = [rows * columns for ((rows, columns),) in (patches.maps[i] for i in order)]
    assert len(set(counts)) < len(set(patches.maps)), "pictures of unequal grids share a call here"
    calls, fewest = runs(counts)
    assert calls == fewest  # the tower reads them
    cached = PictureInputs(items, Resolution("native"), 8, reader)
    calls, fewest = runs([cached.length(i) for i in sorted(range(40), key=cached.sort_key)])
    assert calls == fewest  # only the language model does


def test_rows_say_what_was_asked_answered_and_seen(reader, items):
    rows, inputs = Rows(), PictureInputs(items, Resolution("squash", 48), 8, reader)
    evaluate(picture_batches(reader, inputs, {"arm": "squash"}, True, size=2), call, rows)
    assert {row["item"] for row in rows} == {item.id for item in items}
    for row in rows:
        assert row["error"] is None and row["score"] in (0.0, 1.0) and row["logprob"] < 0
        assert row["sizes"] == [[48, 48]] and row["visual_tokens"] == 6 * 7 + 2 and row["frames"] == 1


def test_answers_do_not_depend_on_the_batch(reader, items):
    inputs = PictureInputs(items, Resolution("native"), 8, reader)
    alone, together = Rows(), Rows()
    evaluate(picture_batches(reader, inputs, {}, True, size=1), call, alone)
    evaluate(picture_batches(reader, inputs, {}, True, size=5), call, together)
    key = {row["item"]: row for row in together}
    for row in alone:
        assert row["answer"] == key[row["item"]]["answer"]
        assert row["logprob"] == pytest.approx(key[row["item"]]["logprob"], abs=1e-3)


def test_missing_rows_come_from_the_batches_of_an_undisturbed_run(reader, items):
    inputs, whole = PictureInputs(items, Resolution("native"), 8, reader), Rows()
    evaluate(picture_batches(reader, inputs, {}, True, size=2), call, whole)
    rest = Rows(row["item"] for row in whole[:3])
    evaluate(picture_batches(reader, inputs, {}, True, size=2), call, rest)
    assert [(row["item"], row["logprob"]) for row in rest] == [(row["item"], row["logprob"]) for row in whole[3:]]


def test_a_failing_batch_becomes_rows_with_an_error_and_no_score(reader, items):
    rows, inputs = Rows(), PictureInputs(items, Resolution("native"), 8, reader)
    inputs.parts[0] = inputs.parts[0][:, :-1]
    evaluate(picture_batches(reader, inputs, {}, True), call, rows)
    assert rows[0]["score"] is None and rows[0]["answer"] is None and "Error" in rows[0]["error"]


def test_a_lost_device_ends_the_evaluation_and_leaves_its_items_to_be_asked_again():
    def lost(_):
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    rows = Rows()
    with pytest.raises(torch.AcceleratorError):
        evaluate([Batch([{"item": "a"}], None)], lost, rows)
    assert not rows


def test_without_pictures_nothing_is_seen(reader, items):
    rows = Rows()
    evaluate(picture_batches(reader, PictureInputs(items, None, 8, reader), {}, False), call, rows)
    assert all(row["visual_tokens"] == 0 and row["sizes"] == [] and row["error"] is None for row in rows)


def test_features_that_half_precision_cannot_hold_are_refused():
    assert kept(torch.tensor([1.0, 60000.0])).dtype == torch.float16
    with pytest.raises(InputError, match="features reach 70000"):
        kept(torch.tensor([1.0, 70000.0]))


def test_siglip_starts_from_visible_positions():
    table = build_siglip(TINY).vision_model.embeddings.position_embedding.weight
    assert torch.equal(table, sincos_table(6, 32))
    distance = torch.cdist(table, table) + 10 * torch.eye(36)
    assert distance.min() > 0.05, "every place must have a position of its own"
