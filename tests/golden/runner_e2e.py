"""End to end: embeddings, logits, greedy tokens, losses and gradients of whole models."""

from collections.abc import Iterator
from functools import lru_cache

import torch

from oryx.errors import OryxError
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.reference import authors_name, from_reference

from .golden_inputs import Batch, read_batch
from .harness import GoldenCase, GoldenFile, assert_close, assert_equal, assert_same
from .reference_forms import released_config

SECTIONS = ("cases",)
SETTINGS = ("tokenizer_model_max_length", "tokenizer_padding_side")


def accepts(document: dict) -> bool:
    return "vision" in document.get("model", {})


def cases(file: GoldenFile) -> Iterator[tuple[str, dict]]:
    for fields in file.document["cases"]:
        yield fields["name"], fields


@lru_cache(maxsize=2)
def model_of(file: GoldenFile) -> OryxForConditionalGeneration:
    model = from_reference(released_config(file.document["model"]), file.weights(), source=str(file.path))
    assert model.config.freeze_vision, "the reference never trains its tower: goldens need it frozen"
    return model


def run(case: GoldenCase):
    model = model_of(case.file)
    saved = {name: getattr(model.config, name) for name in SETTINGS}
    for name in SETTINGS:
        if name in case.fields:
            setattr(model.config, name, case.fields[name])
    try:
        check(case, model)
    finally:
        model.zero_grad()
        for name, value in saved.items():
            setattr(model.config, name, value)


def check(case: GoldenCase, model: OryxForConditionalGeneration):
    try:
        batch = read_batch(case)
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        inputs |= batch.visual_inputs(model.config.vision_config.patch_size)
        with torch.no_grad():
            expanded = model.expand(**inputs, labels=batch.labels)
    except OryxError as error:
        if not case.reference_error:
            raise
        assert str(error), "an error without a message"
        return
    check_lengths(case, model, batch, expanded.attention_mask)
    checked = check_expanded(case, expanded)
    checked += check_logits(case, model, inputs, expanded.attention_mask)
    checked += check_greedy(case, model, inputs)
    checked += check_training(case, model, inputs | {"labels": batch.labels})
    assert checked or case.reference_error, f"{case.id}: nothing to check"


def tolerance(case: GoldenCase, name: str) -> dict:
    stated = case.file.document["tolerance"]
    return case.file.tolerance(name if name in stated else None)


def check_lengths(case: GoldenCase, model, batch: Batch, mask: torch.Tensor):
    """The documented length, also where the reference fails; and the length the json states."""
    expected = batch.expanded_lengths(model)
    limit = model.config.tokenizer_model_max_length
    assert mask.sum(1).tolist() == [length if limit is None else min(length, limit) for length in expected]
    if "lengths_after_expansion" in case.fields:
        assert_same(expected, case.fields["lengths_after_expansion"], "lengths after expansion")
    if "sequence_length" in case.fields:
        assert_same(mask.shape[1], case.fields["sequence_length"], "sequence length")


def check_expanded(case: GoldenCase, expanded) -> int:
    checked = 0
    if case.has("inputs_embeds"):
        limits = tolerance(case, "inputs_embeds")
        assert_close(expanded.inputs_embeds, case.tensor("inputs_embeds"), "inputs_embeds", **limits)
        checked += 1
    for name, ours in (("labels", expanded.labels), ("attention_mask", expanded.attention_mask)):
        if case.has(f"expanded_{name}"):
            assert_equal(ours, case.tensor(f"expanded_{name}"), f"expanded {name}")
            checked += 1
    return checked


def check_logits(case: GoldenCase, model, inputs: dict, mask: torch.Tensor) -> int:
    """A case may store only the last positions; positions of padding mean nothing and are left out."""
    if not case.has("logits"):
        return 0
    expected = case.tensor("logits")
    with torch.no_grad():
        ours = model(**inputs).logits[:, -expected.shape[1] :]
    real = mask[:, -expected.shape[1] :].bool()
    assert_same(ours.shape, expected.shape, "shape of logits")
    assert_close(ours[real], expected[real], "logits", **tolerance(case, "logits"))
    return 1


def check_greedy(case: GoldenCase, model, inputs: dict) -> int:
    if not case.has("greedy_new_tokens"):
        return 0
    expected = case.tensor("greedy_new_tokens")
    steps = {"max_new_tokens": expected.shape[1], "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    for use_cache in (True, False):
        ours = model.generate(**inputs, use_cache=use_cache, **steps)
        assert_equal(ours[:, inputs["input_ids"].shape[1] :], expected, f"greedy tokens, cache {use_cache}")
    return 1


def check_training(case: GoldenCase, model, inputs: dict) -> int:
    gradients = any(name.startswith(f"{case.name}/grad/") for name in case.file.tensors)
    names = ("loss", "supervised_logits")
    if not gradients and not any(case.has(name) for name in names) and "gradient_norms" not in case.fields:
        return 0
    out = model(**inputs, loss_only=True)
    if case.has("loss"):
        assert_close(out.loss.detach().reshape(1), case.tensor("loss").reshape(1), "loss", **tolerance(case, "loss"))
    if case.has("supervised_logits"):
        limits = tolerance(case, "logits")
        assert_close(out.logits.detach(), case.tensor("supervised_logits"), "supervised logits", **limits)
    if gradients or "gradient_norms" in case.fields:
        out.loss.backward()
        check_gradients(case, model)
    return 1


def check_gradients(case: GoldenCase, model: OryxForConditionalGeneration):
    """Every stored gradient, every stated norm; the parameters without gradient are exactly the stated ones.

    No gradient at all counts as a gradient of zeros: an unused projection has none here, and zeros in the reference.
    """
    limits = tolerance(case, "gradients")
    parameters = {authors_name(name): parameter for name, parameter in model.named_parameters()}
    found = {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in parameters.items()}
    prefix = f"{case.name}/grad/"
    for key, expected in case.file.tensors.items():
        if key.startswith(prefix):
            assert_close(found[key[len(prefix) :]], expected, f"gradient of {key[len(prefix) :]}", **limits)
    norms = case.fields.get("gradient_norms", {})
    for name, expected in norms.items():
        assert_close(found[name].norm(), torch.tensor(expected), f"gradient norm of {name}", **limits)
    without = case.fields.get("parameters_without_gradient", [])
    for name in without:
        assert_same(bool(found[name].any()), False, f"{name} has a gradient")
    if norms and without:
        assert set(norms) | set(without) == set(parameters), "parameters are missing or too many"
