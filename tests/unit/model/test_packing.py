"""A batch read without its padding gives what transformers' forward gives on the padded batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from transformers import AttentionInterface

from oryx.layout import IGNORED_LABEL, Layout
from oryx.model import OryxForConditionalGeneration, attention
from oryx.model.attention import PACKED, can_pack

from .builders import MARK, pictures, tiny_model, visual_inputs

KINDS = ("qwen2", "llama", "qwen3")
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


def gradients(loss, parameters):
    """A gradient that only one way leaves out must be zero."""
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


def assert_same(model, batch, parameters=None, **options):
    """Loss, logits of supervised tokens and gradients: packed, padded, and of all logits."""
    parameters, found = parameters or list(model.parameters()), []
    assert can_pack(model.language_model)
    # with a cache the batch is read as it is, by transformers; without loss_only too
    for more in ({"loss_only": True}, {"loss_only": True, "use_cache": True}, {}):
        out = model(**batch, **more, **options)
        assert (out.past_key_values is not None) == ("use_cache" in more)
        logits = out.logits
        if not more:
            visual = {name: batch[name] for name in ("pixel_patches", "image_grids", "visual_spec") if name in batch}
            labels = batch["labels"]  # text alone stays as it is
            if visual:
                labels = model.expand(batch["input_ids"], batch["attention_mask"], labels, **visual).labels
            assert logits.shape[:2] == labels.shape
            logits = logits[:, :-1][labels[:, 1:] >= 0]
        found.append((out.loss, logits, gradients(out.loss, parameters)))
    for other in found[1:]:
        torch.testing.assert_close(found[0][0], other[0], **CLOSE)
        torch.testing.assert_close(found[0][1], other[1], **CLOSE)
        for own, expected in zip(found[0][2], other[2], strict=True):
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
    loss = model(**batch, num_items_in_batch=7, loss_only=True).loss
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


def test_a_sample_without_tokens_has_no_place():
    model, batch = tiny_model(), text([(2, 3, 0), (4, 5, 0)])
    batch["attention_mask"][0], batch["labels"][0] = 0, IGNORED_LABEL
    other = {name: values[1:] for name, values in batch.items()}
    torch.testing.assert_close(model(**batch, loss_only=True).loss, model(**other, loss_only=True).loss, **CLOSE)


def test_nothing_to_predict_is_a_loss_of_zero():
    out = tiny_model()(**text([(3, 0, 1), (2, 0, 0)]), loss_only=True)
    assert out.loss.item() == 0
    assert out.logits.shape == (0, 70)


def test_hidden_states_are_whole_when_asked_for():
    out = tiny_model()(**text([(3, 2, 0), (1, 1, 0)]), output_hidden_states=True, loss_only=True)
    assert {tuple(hidden.shape[:2]) for hidden in out.hidden_states} == {(2, 5)}


@pytest.mark.parametrize("reason", ["eager attention", "dropout", "a sliding window"])
def test_what_cannot_be_packed_is_padded(reason):
    plain, other, batch = tiny_model(), tiny_model(), text([(3, 2, 0), (1, 1, 0)])
    if reason == "dropout":
        other.train().language_model.config.attention_dropout = 0.1  # of no effect: its layers have read it already
    elif reason == "eager attention":
        other.language_model.set_attn_implementation("eager")
    else:
        window = {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 0}  # longer than the samples
        other = tiny_model(text=window)
    assert can_pack(plain.language_model) and not can_pack(other.language_model)
    losses = [model(**batch, loss_only=True).loss for model in (plain, other)]
    torch.testing.assert_close(*losses, **CLOSE)
    found = [
        gradients(loss, list(model.language_model.parameters()))
        for loss, model in zip(losses, (plain, other), strict=True)
    ]
    for own, expected in zip(*found, strict=True):
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_changes_nothing(kind, reentrant):
    batch, found = text([(3, 2, 0), (1, 4, 0), (3, 2, 1)]), []
    for checkpointing in (False, True):
        model = tiny_model(kind).train()
        calls = []
        model.language_model.model.layers[0].self_attn.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        assert can_pack(model.language_model)
        model(**batch, loss_only=True).loss.backward()
        found.append([parameter.grad for parameter in model.language_model.parameters()])
        assert len(calls) == 1 + checkpointing
    for own, expected in zip(*found, strict=True):
        torch.testing.assert_close(own, expected, **CLOSE)


class LowRank(nn.Module):
    """A linear layer with a learned change of low rank, as PEFT puts in its place."""

    def __init__(self, layer: nn.Linear):
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(2, layer.in_features) / 4)
        self.up = nn.Parameter(torch.randn(layer.out_features, 2) / 4)

    def forward(self, x):
        return self.layer(x) + x @ self.down.T @ self.up.T


class Wrapped(nn.Module):
    """A language model inside another module that hands on what it does not have itself, as PEFT's do."""

    def __init__(self, base_model: nn.Module):
        super().__init__()
        self.base_model = base_model

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.base_model, name)

    def forward(self, *args, **kwargs):
        return self.base_model(*args, **kwargs)


@pytest.mark.parametrize("kind", KINDS)
def test_wrapped_modules_are_used(kind):
    model = tiny_model(kind)
    for layer in model.language_model.model.layers:
        for name in ("q_proj", "v_proj"):
            setattr(layer.self_attn, name, LowRank(getattr(layer.self_attn, name)))
    model.language_model = Wrapped(model.language_model)
    learned = [p for name, p in model.named_parameters() if name.endswith((".down", ".up"))]
    batch = text([(3, 2, 0), (1, 4, 0)])
    assert_same(model, batch, learned)
    assert all(g.any() for g in gradients(model(**batch, loss_only=True).loss, learned))


def test_hooks_of_layers_run_once():
    model, seen = tiny_model(), []
    model.language_model.model.layers[0].register_forward_hook(lambda *_: seen.append(1))
    model(**text([(3, 2, 0)]), loss_only=True)
    assert seen == [1]


def test_no_mask_is_built_for_a_packed_batch(monkeypatch):
    model, made = tiny_model(), []
    real = attention.packed_sdpa
    monkeypatch.setitem(
        AttentionInterface._global_mapping, PACKED, lambda *a, **k: made.append(a[4].shape) or real(*a, **k)
    )
    nothing = {"output_attentions": None, "output_hidden_states": None, "return_dict": None}  # as PEFT passes them
    for more in ({}, nothing):
        model(**text([(3, 2, 0), (2, 2, 0), (4, 2, 0)]), loss_only=True, **more)
    assert set(made) == {(1, 1, 1, 1)}


def test_what_is_saved_loads_anywhere(tmp_path):
    model = tiny_model()
    model.save_pretrained(tmp_path / "whole")
    model.language_model.save_pretrained(tmp_path / "language_model")
    for path in tmp_path.rglob("*.json"):
        assert PACKED not in path.read_text()
    assert can_pack(OryxForConditionalGeneration.from_pretrained(tmp_path / "whole").language_model)
    eager = OryxForConditionalGeneration.from_pretrained(tmp_path / "whole", attn_implementation="eager")
    assert not can_pack(eager.language_model)
    batch = text([(3, 2, 0), (1, 4, 0)])
    torch.testing.assert_close(eager(**batch).loss, model(**batch, loss_only=True).loss, **CLOSE)
