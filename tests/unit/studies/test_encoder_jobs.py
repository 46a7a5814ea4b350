"""What the encoder study asks of public weights before any work."""

import pytest
from transformers import CLIPVisionConfig, CLIPVisionModel, Siglip2VisionConfig, Siglip2VisionModel

from oryx.errors import CheckpointError, MissingResource, SettingsError
from oryx.model.parts import check_parts
from tests.parts import write_language_model, write_siglip
from workbook.studies.encoders.jobs import load_tower
from workbook.studies.encoders.study import OryxViTvsSigLIP

STUDY = OryxViTvsSigLIP()
SHAPE = {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    text = write_language_model(tmp_path_factory.mktemp("parts") / "text")
    return {"scale": "paper", "side": 64, "language_model": text, "data": "copies"}


def test_at_scale_paper_the_arms_are_trained_from_larger_public_parts():
    small, paper = (STUDY.settings({"scale": scale}) for scale in ("small", "paper"))
    assert paper.siglip != small.siglip and paper.language_model != small.language_model
    assert (paper.arms, paper.pretrain, paper.sft) == (small.arms, small.pretrain, small.sft)
    assert STUDY.prepare(paper, 0) == [["encoder_control", "encoder_oryxvit"]]
    assert "US dollars" in STUDY.plan(paper)["cost"]


def test_other_encoders_are_refused_by_name_before_any_work(public, tmp_path):
    folders = {"naflex": Siglip2VisionModel(Siglip2VisionConfig(**SHAPE, num_patches=16, patch_size=8))}
    folders["clip"] = CLIPVisionModel(CLIPVisionConfig(**SHAPE, image_size=32, patch_size=8))
    for name, model in folders.items():
        model.save_pretrained(tmp_path / name)
    said = {
        "naflex": r"expected a SigLIP, .* one fixed size .* found model_type 'siglip2_vision_model' \(SigLIP 2 NaFlex",
        "clip": r"expected a SigLIP, .* found model_type 'clip_vision_model'$",
    }
    for name, message in said.items():
        with pytest.raises(CheckpointError, match=message):
            STUDY.check(STUDY.settings({**public, "siglip": str(tmp_path / name)}))


def test_weights_that_are_not_whole_and_patches_that_do_not_fit_are_refused(public, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "siglip_vision_model"}')
    with pytest.raises(MissingResource, match=r"lacks \*\.safetensors"):
        STUDY.check(STUDY.settings({**public, "siglip": str(tmp_path)}))
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="its weights cannot be read"):
        load_tower(STUDY.settings({**public, "siglip": str(tmp_path)}), "siglip", 0, tmp_path)
    with pytest.raises(SettingsError, match="patch: expected at least the 12 pixels"):
        check_parts(write_siglip(tmp_path / "siglip"), public["language_model"], 8)


def test_public_parts_are_refused_where_the_encoders_are_our_own():
    said = "language_model, siglip: expected at scale small and paper alone, got scale 'nano'"
    with pytest.raises(SettingsError, match=said):
        STUDY.check(STUDY.settings({"siglip": "a", "language_model": "b"}))
