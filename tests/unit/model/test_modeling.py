import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import oryx
from oryx.errors import InputError, MissingResource
from oryx.layout import visual_token_count
from oryx.model import Layout, OryxForConditionalGeneration
from oryx.model.compressor import compress_maps

from .builders import MARK, pictures, tiny_model, visual_inputs

KINDS = ("qwen2", "llama")
ONE = st.tuples(st.just(Layout.ONE_VIEW), st.just(1), st.just(1))
TWO = st.tuples(st.just(Layout.TWO_VIEW), st.just(2), st.sampled_from([1, 2]))
VIDEO = st.tuples(st.just(Layout.VIDEO), st.integers(1, 3), st.sampled_from([1, 2, 3, 4]))


def example(seed: int = 0) -> tuple[torch.Tensor, dict]:
    """Two samples: two images in one prompt; a video."""
    images = pictures([(24, 16), (40, 32), (9, 30), (16, 16), (32, 24), (32, 24), (32, 24)], seed)
    visuals = [(Layout.TWO_VIEW, images[:2], 1), (Layout.TWO_VIEW, images[2:4], 1), (Layout.VIDEO, images[4:], 2)]
    ids = torch.tensor([[1, MARK, 2, MARK, 3, 4], [5, 6, MARK, 7, 8, 9]])
    return ids, visual_inputs(visuals)


def logits(model, ids, **inputs):
    with torch.no_grad():
        return model(input_ids=ids, **inputs).logits


@pytest.mark.parametrize("kind", KINDS)
def test_batch_equals_samples_one_by_one(kind):
    model = tiny_model(kind)
    ids, inputs = example()
    with torch.no_grad():
        both = model.expand(ids, **inputs)
    together = logits(model, ids, **inputs)
    images = pictures([(24, 16), (40, 32), (9, 30), (16, 16), (32, 24), (32, 24), (32, 24)])
    first = visual_inputs([(Layout.TWO_VIEW, images[:2], 1), (Layout.TWO_VIEW, images[2:4], 1)])
    second = visual_inputs([(Layout.VIDEO, images[4:], 2)])
    for sample, own in ((0, first), (1, second)):
        alone = logits(model, ids[sample : sample + 1], **own)
        real = both.attention_mask[sample].bool()
        torch.testing.assert_close(together[sample][real], alone[0], atol=1e-4, rtol=1e-4)


@settings(max_examples=15)
@given(st.lists(st.one_of(ONE, TWO, VIDEO), min_size=1, max_size=3), st.integers(0, 9))
def test_length_is_the_text_plus_the_visual_tokens(visuals, seed):
    model, maps = tiny_model(), iter(pictures([(8 * (1 + i % 5), 8 * (1 + i % 3)) for i in range(9)], seed))
    visuals = [(layout, [next(maps) for _ in range(count)], side) for layout, count, side in visuals]
    expected = 2
    for layout, own, side in visuals:
        grids = [(-(-image.shape[1] // 8 // side), -(-image.shape[2] // 8 // side)) for image in own]
        expected += visual_token_count(layout, grids)
    ids = torch.tensor([[1, *([MARK] * len(visuals)), 2]])
    with torch.no_grad():
        assert model.expand(ids, **visual_inputs(visuals)).inputs_embeds.shape[1] == expected


@pytest.mark.parametrize("changed", range(7))
def test_every_view_and_frame_of_every_visual_is_seen(changed):
    """Neither the second image of a turn nor the later frames of a video may be lost, as the public code loses them."""
    model = tiny_model()
    ids, before = example()
    images = pictures([(24, 16), (40, 32), (9, 30), (16, 16), (32, 24), (32, 24), (32, 24)])
    images[changed] = images[changed] + 1
    visuals = [(Layout.TWO_VIEW, images[:2], 1), (Layout.TWO_VIEW, images[2:4], 1), (Layout.VIDEO, images[4:], 2)]
    a, b = logits(model, ids, **before), logits(model, ids, **visual_inputs(visuals))
    differs = [(a[i, -1] - b[i, -1]).abs().max() > 1e-3 for i in range(2)]
    assert differs == [changed < 4, changed >= 4]


def test_loss_is_the_mean_over_supervised_next_tokens_of_the_batch():
    model = tiny_model()
    ids, inputs = example()
    labels = torch.where((ids == MARK) | (torch.arange(6) < 3), -100, ids)
    out = model(input_ids=ids, labels=labels, loss_only=True, **inputs)
    expanded = model.expand(ids, None, labels, **inputs)
    full = logits(model, ids, **inputs)[:, :-1]
    targets = expanded.labels[:, 1:]
    assert out.logits.shape == (5, 70)
    torch.testing.assert_close(out.logits, full[targets >= 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out.loss, F.cross_entropy(full[targets >= 0], targets[targets >= 0]))
    whole = model(input_ids=ids, labels=labels, **inputs)
    torch.testing.assert_close(whole.logits[:, :-1], full, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(whole.loss, out.loss)
    parts = model(input_ids=ids, labels=labels, num_items_in_batch=10, **inputs)
    torch.testing.assert_close(parts.loss, out.loss * 5 / 10)


def test_a_batch_without_supervised_tokens_has_loss_zero():
    model = tiny_model()
    ids, inputs = example()
    out = model(input_ids=ids, labels=torch.full_like(ids, -100), **inputs)
    out.loss.backward()
    assert out.loss == 0 and not model.projector.image_sep.grad.any()


def test_gradients_flow_into_the_tower_unless_frozen():
    model = tiny_model()
    ids, inputs = example()
    labels = torch.where(ids == MARK, -100, ids)
    model(input_ids=ids, labels=labels, **inputs).loss.backward()
    without = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert without <= {"compressor.vlm_key_projector.bias"}  # it cancels in the softmax: rounding noise around 0
    model.zero_grad()
    model.freeze_vision()
    model(input_ids=ids, labels=labels, **inputs).loss.backward()
    frozen = {name for name, p in model.named_parameters() if p.grad is None}
    assert frozen == {name for name, _ in model.named_parameters() if name.startswith("vision_tower.")}
    model.freeze_vision(False)
    model(input_ids=ids, labels=labels, **inputs).loss.backward()
    assert model.vision_tower.pos_embed.grad.any()


@pytest.mark.parametrize("frozen", [True, False])
def test_freezing_is_a_setting_of_the_configuration(tmp_path, frozen):
    model = tiny_model(freeze_vision=frozen)
    model.save_pretrained(tmp_path)
    for one in (model, OryxForConditionalGeneration.from_pretrained(tmp_path), oryx.load(tmp_path)):
        assert {p.requires_grad for p in one.vision_tower.parameters()} == {not frozen}
        assert all(p.requires_grad for p in one.projector.parameters())


def test_cached_features_stand_for_pixels():
    model = tiny_model()
    ids, inputs = example()
    expected = logits(model, ids, **inputs)
    with torch.no_grad():
        inputs["vision_features"] = model.vision_tower(inputs.pop("pixel_patches"), inputs["image_grids"]).tokens
    assert torch.equal(logits(model, ids, **inputs), expected)
    features, grids = inputs.pop("vision_features"), [tuple(grid) for grid in inputs["image_grids"].tolist()]
    sides = [side for _, maps, side in inputs["visual_spec"].tolist() for _ in range(maps)]
    with torch.no_grad():
        inputs["compressed_features"], grids = compress_maps(model.compressor, features, grids, sides)
    inputs["image_grids"] = torch.tensor(grids)
    assert torch.equal(logits(model, ids, **inputs), expected)
    inputs["compressed_features"] = inputs["compressed_features"][1:]
    with pytest.raises(InputError, match=r"compressed_features: .* tokens do not fit"):
        logits(model, ids, **inputs)


def test_a_text_samples_dummy_changes_nothing():
    model = tiny_model()
    (image, dummy) = pictures([(16, 24), (8, 8)])
    ids = torch.tensor([[1, 2, 3, 4], [1, MARK, 2, 3]])
    visual, skipped = (Layout.ONE_VIEW, [image], 1), (Layout.TEXT, [dummy, dummy], 1)
    expected = logits(model, ids, **visual_inputs([visual]))
    assert torch.allclose(logits(model, ids, **visual_inputs([skipped, visual])), expected, atol=1e-5)
    text = logits(model, ids[:1], **visual_inputs([skipped]))
    torch.testing.assert_close(text, logits(model, ids[:1]), atol=1e-5, rtol=1e-5)
    model(input_ids=ids[:1], labels=ids[:1], **visual_inputs([skipped])).loss.backward()
    assert model.projector.image_begin.grad is not None, "a dummy keeps the parameters in the graph"


def test_text_alone_is_the_language_model():
    model = tiny_model()
    ids, mask = torch.tensor([[9, 1, 2, 3], [4, 5, 6, 7]]), torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
    ours = logits(model, ids, attention_mask=mask)
    torch.testing.assert_close(ours[0, 1:], logits(model, ids[:1, 1:])[0], atol=1e-5, rtol=1e-5)
    no_visuals = {"visual_spec": torch.zeros(0, 3, dtype=torch.long), "image_grids": torch.zeros(0, 2)}
    assert torch.equal(logits(model, ids, attention_mask=mask, **no_visuals), ours)


@pytest.mark.parametrize("side", ["right", "left"])
def test_truncation_and_padding_side(side):
    model = tiny_model(tokenizer_padding_side=side)
    ids, inputs = example()
    with torch.no_grad():
        full = model.expand(ids, **inputs)
        model.config.tokenizer_model_max_length = 45
        cut = model.expand(ids, **inputs)
    for sample in range(2):
        a, b = (one.inputs_embeds[sample][one.attention_mask[sample].bool()] for one in (full, cut))
        assert torch.equal(a[:45], b) and len(b) == min(45, len(a))
        positions = full.position_ids[sample][full.attention_mask[sample].bool()]
        assert positions.tolist() == list(range(len(a)))
    short = int(full.attention_mask.sum(1).argmin())
    padding = ~full.attention_mask.bool()
    assert not full.position_ids[padding].any() and (full.labels[padding] == -100).all()
    pad = 0 if side == "left" else -1
    assert full.attention_mask[short, pad] == 0 and not full.inputs_embeds[short, pad].any()
    assert logits(model, torch.ones(1, 60, dtype=torch.long)).shape[1] == 45


@pytest.mark.parametrize("change", ["visuals", "grids", "patches", "features", "no_grids"])
def test_inputs_that_do_not_fit_are_refused(change):
    model = tiny_model()
    ids, inputs = example()
    if change == "visuals":
        ids = ids[:, 2:]
    elif change == "grids":
        inputs["visual_spec"][0, 0], inputs["visual_spec"][0, 1] = int(Layout.VIDEO), 3
    elif change == "patches":
        inputs["vision_features"] = torch.zeros(3, 144)
    elif change == "features":
        inputs |= {"pixel_patches": None, "vision_features": torch.zeros(3, 144)}
    else:
        del inputs["image_grids"]
    message = {
        "visuals": "hold 2 visual placeholder.*but 3 visual",
        "grids": "names 8 maps, image_grids has 7",
        "patches": "expected one of pixel_patches, vision_features, compressed_features .* got 2",
        "features": "vision_features: 3 tokens",
        "no_grids": "belong together",
    }[change]
    with pytest.raises(InputError, match=message):
        model(input_ids=ids, **inputs)


def test_a_mark_without_a_visual_is_refused():
    with pytest.raises(InputError, match="but 0 visual"):
        tiny_model()(input_ids=torch.tensor([[1, MARK, 2]]))


def test_asking_needs_a_processor():
    with pytest.raises(MissingResource, match="no processor"):
        tiny_model().ask(None, "What is this?")


@pytest.mark.parametrize("limit", [0, -5, "x", 1.5, True])
def test_a_limit_that_is_no_length_is_refused(limit):
    with pytest.raises(InputError, match="tokenizer_model_max_length: expected a positive number or null, got"):
        tiny_model(tokenizer_model_max_length=limit)
    assert tiny_model(tokenizer_model_max_length=None).config.tokenizer_model_max_length is None
