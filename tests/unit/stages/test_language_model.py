"""The language model that has read every form: it learns alone, from all forms, and is what arms start from."""

import torch

from oryx.processing.sizes import picture_forms
from oryx.train.checkpoints import load_weights, module_sha256
from workbook.stages.encoders import run_language_model
from workbook.stages.models import build_reader, load_shared, warm_reader
from workbook.stages.recipes import encoder_recipe, recipe
from workbook.stages.stage import Options


def test_training_moves_the_language_model_and_leaves_the_encoder(tmp_path):
    forms = len(picture_forms(48))
    trained = run_language_model(Options("nano", 0, tmp_path, changes={"items": 4, "steps": forms, "batch": 2}))
    before = load_shared("nano")
    assert module_sha256(trained.vision_tower) == module_sha256(before.vision_tower)
    assert module_sha256(trained.language_model) != module_sha256(before.language_model)
    kept = build_reader(recipe("nano"))
    load_weights(tmp_path / "language_model.safetensors", kept.language_model)
    ids = torch.arange(12)[None]
    own, read = (model.language_model(input_ids=ids).logits for model in (trained, kept))
    assert (own - read).norm() / own.norm() < 0.05, "kept in 8 bits"


def test_arms_start_from_one_language_model_and_one_projector():
    r = encoder_recipe("nano")
    vision = build_reader(r).config.vision_config
    first, again, other = (warm_reader(r, vision, seed, forms=True) for seed in (0, 0, 1))
    assert module_sha256(first) == module_sha256(again)
    assert module_sha256(first.language_model) == module_sha256(other.language_model)
    assert module_sha256(first.projector) != module_sha256(other.projector)
