"""A batch read without its padding gives what transformers' forward gives on the padded batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from oryx.errors import InputError
from oryx.layout import Layout
from oryx.model.config import IGNORED_LABEL
from oryx.model.packed_lm import can_pack, packed_outputs

from .builders import MARK, pictures, tiny_model, visual_inputs

KINDS = ("qwen2", "llama")
CLOSE = {"atol": 2e-5, "rtol": 2e-5}


def text(samples, seed=0, marks=0):
    """ids, mask and labels of (prompt, answer, more) tokens, padded on the right; ``marks`` in front of each."""
    longest = marks + max(map(sum, samples))
    ids = torch.randint(1, 70, (len(samples), longest), generator=torch.Generator().manual_seed(seed))
    labels, mask = torch.full_like(ids, IGNORED_LABEL), torch.zeros_like(ids)
    ids[:, :marks] = MARK
    for row, (prompt, answer, more) in enumerate(samples):
        begin = marks + prompt
        labels[row, begin : begin + answer] = ids[row, begin : begin + answer]
        mask[row, : begin + answer + more] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def assert_same(model, batch, **options):
    """Loss, logits and gradients, with and without padding; a gradient that only one way leaves out must be zero."""
    parameters, found = list(model.parameters()), []
    for use_cache in (False, True):  # with a cache the batch is read as it is, by transformers
        out = model(**batch, use_cache=use_cache, **options)
        assert (out.past_key_values is not None) == use_cache
        gradients = torch.autograd.grad(out.loss, parameters, allow_unused=True)
        gradients = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients, strict=True)]
        found.append((out.loss, out.logits, gradients))
    packed, padded = found
    torch.testing.assert_close(packed[0], padded[0], **CLOSE)
    torch.testing.assert_close(packed[1], padded[1], **CLOSE)
    for own, expected in zip(packed[2], padded[2], strict=True):
        torch.testing.assert_close(own, expected, atol=2e-5 * max(1.0, float(expected.abs().max())), rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=5),
    st.integers(0, 9),
)
def test_text(kind, samples, seed):
    model, batch = tiny_model(kind, seed), text(samples, seed)
    logits = model.language_model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    targets = batch["labels"][:, 1:].flatten()
    whole = F.cross_entropy(logits[:, :-1].flatten(0, 1), targets, ignore_index=IGNORED_LABEL, reduction="sum")
    loss = model(**batch, num_items_in_batch=7).loss
    torch.testing.assert_close(loss, whole / 7, **CLOSE)
    assert_same(model, batch)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_any_size(kind):
    """Gradients reach tower, compressor and projector; two samples have one length, one has nothing to predict."""
    model = tiny_model(kind)
    shown = pictures([(16, 24), (40, 8), (16, 24), (8, 8)])
    visual = visual_inputs([(Layout.ONE_VIEW, [picture], 1 + i % 2) for i, picture in enumerate(shown)])
    assert_same(model, text([(3, 2, 0), (1, 4, 0), (3, 2, 0), (5, 0, 0)], marks=1) | visual)


@pytest.mark.parametrize("padding", ["right", "left"])
def test_several_turns_and_either_side_of_padding(padding):
    model, batch = tiny_model(tokenizer_padding_side=padding), text([(2, 3, 0), (4, 5, 0)])
    batch["labels"][1, 5:7] = IGNORED_LABEL  # two answers in one sample
    assert_same(model, batch)


def test_nothing_to_predict_is_a_loss_of_zero():
    out = tiny_model()(**text([(3, 0, 1), (2, 0, 0)]))
    assert out.loss.item() == 0
    assert out.logits.shape == (0, 70)


def test_hidden_states_are_whole_when_asked_for():
    out = tiny_model()(**text([(3, 2, 0), (1, 1, 0)]), output_hidden_states=True)
    assert {tuple(hidden.shape[:2]) for hidden in out.hidden_states} == {(2, 5)}


@pytest.mark.parametrize("reason", ["eager attention", "dropout", "gradient checkpointing"])
def test_what_it_does_not_know_is_padded(reason):
    plain, other, batch = tiny_model(), tiny_model(), text([(3, 2, 0), (1, 1, 0)])
    if reason == "dropout":
        other.language_model.model.layers[0].self_attn.attention_dropout = 0.1  # evaluation: it does nothing
    elif reason == "eager attention":
        other.language_model.set_attn_implementation("eager")
    else:
        other.train().language_model.gradient_checkpointing_enable()
    assert can_pack(plain.language_model)
    assert not can_pack(other.language_model)
    losses = [model(**batch, use_cache=None if model is plain else False).loss for model in (plain, other)]
    torch.testing.assert_close(*losses, **CLOSE)
    gradients = [
        torch.autograd.grad(loss, list(model.language_model.parameters()))
        for loss, model in zip(losses, (plain, other), strict=True)
    ]
    for own, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-4)


def test_hooks_of_layers_run_and_layers_are_themselves_afterwards():
    model, seen = tiny_model(), []
    layers = model.language_model.model.layers
    layers[0].register_forward_hook(lambda *_: seen.append(1))
    model(**text([(3, 2, 0)]))
    assert seen == [1]
    layers[1].mlp.forward = None  # breaks on the way
    with pytest.raises(TypeError):
        model(**text([(3, 2, 0)]))
    assert not any("forward" in vars(layer) for layer in layers)


@pytest.mark.parametrize(
    ("lengths", "tails", "message"),
    [([3, 3], [1, 1], "expected 7 tokens in total"), ([3, 4], [1, 5], "at least as long")],
)
def test_lengths_and_tails_must_fit(lengths, tails, message):
    model = tiny_model()
    with pytest.raises(InputError, match=message):
        packed_outputs(model.language_model, torch.randn(7, 32), lengths, tails)
