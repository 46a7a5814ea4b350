"""Outputs of the processor as one batch: padding on both sides, visuals in order, the model's answers unchanged."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from oryx import Images, Video
from oryx.errors import InputError
from oryx.processing.collate import Collator, collate
from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import OryxProcessor
from oryx.processing.tokenizers import byte_tokenizer

from ..model.builders import tiny_model


@pytest.fixture(scope="module")
def processor() -> OryxProcessor:
    return OryxProcessor(byte_tokenizer(), PreprocessOptions(low=None), "plain", patch=8)


def noise(seed: int, height: int, width: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def turns(question: str, answer: str) -> list[dict]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


@pytest.fixture(scope="module")
def items(processor) -> list:
    one, two = noise(0, 32, 64), noise(1, 64, 32)
    return [
        processor(turns("What?", "cat"), one),
        processor(turns("No picture here", "no")),
        processor(turns("A?", "b"), Images([two, one])),
    ]


@pytest.mark.parametrize("side", ["left", "right"])
def test_texts_are_padded_and_visuals_stand_in_order(items, side):
    batch = collate(items, 256, side)
    longest = max(item["input_ids"].shape[1] for item in items)
    padding = {"input_ids": 256, "attention_mask": 0, "labels": -100}
    for name, value in padding.items():
        assert batch[name].shape == (3, longest)
        for row, item in zip(batch[name].tolist(), items, strict=True):
            own = item[name][0].tolist()
            fill = [value] * (longest - len(own))
            assert row == (fill + own if side == "left" else own + fill)
    for name in ("pixel_patches", "image_grids", "visual_spec"):
        assert torch.equal(batch[name], torch.cat([item[name] for item in items if name in item]))


def test_a_batch_of_batches_and_lists_are_the_same(items):
    together = collate(items, 256)
    plain = [{name: value.tolist() for name, value in item.items()} for item in items]
    for row in plain:
        row["input_ids"], row["attention_mask"], row["labels"] = (
            row[name][0] for name in ("input_ids", "attention_mask", "labels")
        )
    for other in (collate([collate(items[:2], 256), items[2]], 256), collate(plain, 256)):
        assert set(other) == set(together)
        assert all(torch.equal(other[name].to(together[name].dtype), together[name]) for name in together)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_loss_of_a_batch_is_that_of_its_samples(processor, items, side):
    model = tiny_model(text={"vocab_size": 259}).eval()
    summed = [model(**item, num_items_in_batch=1).loss.item() for item in items]
    batch = pickle.loads(pickle.dumps(Collator(processor, side)))(items)
    assert model(**batch, num_items_in_batch=1).loss.item() == pytest.approx(sum(summed), rel=1e-5)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda items: [], "at least one item"),
        (lambda items: [*items, {**items[0], "id": 3}], "item 3: .* got also id"),
        (lambda items: [items[0], {"input_ids": torch.ones(1, 3)}], "item 1: .* labels in all items or in none"),
        (lambda items: [{**items[0], "labels": torch.ones(1, 3)}], "item 0: expected one shape .*labels"),
        (lambda items: [{"attention_mask": torch.ones(1, 3)}], "item 0: expected input_ids"),
    ],
)
def test_items_that_do_not_fit_are_named(items, spoil, message):
    with pytest.raises(InputError, match=message):
        collate(spoil(items), 256)


def test_a_side_is_left_or_right(items):
    with pytest.raises(InputError, match="side: expected 'left' or 'right', got 'top'"):
        collate(items, 256, "top")


def test_a_collator_reads_examples_of_messages(processor):
    one, two, film = noise(0, 32, 64), noise(1, 64, 32), np.zeros((3, 32, 32, 3), np.uint8)
    inside = [{"role": "user", "content": [{"type": "image", "image": one}, {"type": "text", "text": "What?"}]}]
    beside = [{"role": "user", "content": [{"type": "image"}, {"type": "video"}, {"type": "text", "text": "A?"}]}]
    unmarked = [{"role": "user", "content": "Which?"}]
    answer = [{"role": "assistant", "content": [{"type": "text", "text": "cat\ncat"}]}]
    examples = [
        {"messages": inside + answer},
        {"messages": beside + answer, "images": [two], "videos": [film]},
        {"messages": unmarked + answer, "images": [one], "videos": None},
        {"messages": unmarked + answer},
    ]
    both = [*processor.prepare(two), *processor.prepare(Video(film))]
    items = [
        processor(turns("What?", "cat\ncat"), one),
        processor.assemble(turns("<image>\n<image>\nA?", "cat\ncat"), both),
        processor(turns("Which?", "cat\ncat"), one),
        processor(turns("Which?", "cat\ncat")),
    ]
    read, expected = Collator(processor)(examples), Collator(processor)(items)
    assert set(read) == set(expected) and all(torch.equal(read[name], expected[name]) for name in read)
    assert Collator(processor, loss_only=True)(items)["loss_only"] is True


@pytest.mark.parametrize("side", ["left", "right"])
def test_logits_and_labels_stand_side_by_side(processor, items, side):
    model = tiny_model(text={"vocab_size": 259}, tokenizer_padding_side=side)
    batch = Collator(processor, side)(items)
    out, once = model(**batch), model(**collate(items, 256, side))
    assert out.logits.shape[:2] == batch["labels"].shape
    assert torch.equal(out.logits, once.logits)
    mean = torch.nn.functional.cross_entropy(out.logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten())
    assert out.loss.item() == pytest.approx(mean.item(), rel=1e-5)
    states = model(**{name: value for name, value in batch.items() if name != "labels"}, use_cache=False)
    assert torch.allclose(model.get_output_embeddings()(states.last_hidden_state), out.logits, atol=1e-5)
