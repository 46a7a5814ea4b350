"""The encoder study's work on public weights: a folder in transformers' format is started from, continued and asked."""

import weakref

import pytest
import torch
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    Siglip2VisionConfig,
    Siglip2VisionModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from oryx.errors import CheckpointError, MissingResource, SettingsError
from oryx.evidence.rows import read_rows
from oryx.train import inputs
from oryx.train.checkpoints import module_sha256
from workbook.studies import picture_training
from workbook.studies.encoders.arms import ENCODERS
from workbook.studies.encoders.jobs import load_tower
from workbook.studies.encoders.study import OryxViTvsSigLIP

STUDY = OryxViTvsSigLIP()
SHAPE = {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
FEW = {"train_items": 8, "train_steps": 1, "batch": 2, "text_items": 1, "object_items": 1, "look_items": 8}
PAPER = {**FEW, "scale": "paper", "side": 64, "encoder_steps": 1, "encoder_batch": 2}


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    torch.manual_seed(0)
    siglip = SiglipVisionModel(SiglipVisionConfig(**SHAPE, image_size=32, patch_size=8, hidden_act="gelu_pytorch_tanh"))
    folder = tmp_path_factory.mktemp("public")
    siglip.save_pretrained(folder)
    return str(folder)


def test_public_weights_are_continued_and_asked(public, tmp_path):
    settings = STUDY.settings({"scale": "smoke", "siglip": public, **FEW})
    STUDY.check(settings)
    [first], [last] = STUDY.prepare(settings, 0), STUDY.further_jobs(settings)
    arms, silent = tmp_path / "arms", lambda what, done, total: None
    for job in (*first, last):
        (arms / job).mkdir(parents=True)
        STUDY.run_job(settings, job, 0, arms / job, silent)
    probes = (arms / last / "probes.json").read_text()
    assert "attention distance" in probes and "retrieval" not in probes, "public weights have another tokenizer"
    for arm in ("siglip_partition", "oryxvit_native"):
        (arms / arm).mkdir()
        STUDY.run_job(settings, arm, 0, arms / arm, silent)
    rows = read_rows([arms / arm / "rows.jsonl" for arm in ("siglip_partition", "oryxvit_native")])
    hashes = [module_sha256(load_tower(settings, name, 0, arms))[:8] for name in ENCODERS]
    assert set(rows["weights_hash"]) == {"+".join(hashes)}
    seen = rows[rows["condition"] == "visual"]
    assert rows["error"].isna().all() and rows["weights_hash"].nunique() == 1
    assert (seen[seen["arm"] == "siglip_partition"]["sizes"].map(len) == 2).all(), "thumbnail and joined tiles"
    assert (seen[seen["arm"] == "oryxvit_native"]["sizes"].map(len) == 1).all()


def test_streamed_no_set_of_features_or_pictures_is_held(public, tmp_path, monkeypatch):
    """Steps, batches and pictures are the settings', no feature is kept, and a step's pictures are gone after it."""
    many = {"train_items": 10**9, "train_steps": 6, "batch": 3, "features": "streamed"}
    settings = STUDY.settings({**PAPER, "scale": "smoke", "siglip": public, "side": 48, "patch": 8, **many})
    STUDY.check(settings)
    assert STUDY.settings({"scale": "paper"}).features == "streamed"
    drawn, alive = [], []

    def spy(*key):
        alive.append(sum(one() is not None for one in drawn))
        item = make(*key)
        drawn.append(weakref.ref(item))
        return item

    make = picture_training.training_item
    monkeypatch.setattr(picture_training, "training_item", spy)
    monkeypatch.setattr(inputs, "kept", lambda features: pytest.fail("a feature was kept"))
    arms, silent = tmp_path / "arms", lambda what, done, total: None
    assert STUDY.prepare(settings, 0) == [["encoder_control", "encoder_oryxvit"]]
    for job in ("encoder_control", "encoder_oryxvit", "oryxvit_partition"):
        (arms / job).mkdir(parents=True)
        STUDY.run_job(settings, job, 0, arms / job, silent)
    rows = read_rows([arms / "oryxvit_partition" / "rows.jsonl"])
    assert rows["error"].isna().all() and len(rows) == 14
    assert len(drawn) == 6 * 3 and max(alive) < 2 * 3, "at most the batch before and what is drawn of the next"


def test_streamed_batches_are_a_function_of_seed_and_step():
    settings = STUDY.settings({**PAPER, "batch": 4})
    own = STUDY.picture_arm(settings, "oryxvit_native")
    [first, again, other, later] = [
        [item.id for item in picture_training.drawn_items(settings, own, seed, step)]
        for seed, step in ((0, 5), (0, 5), (1, 5), (0, 6))
    ]
    assert own.streamed and first == again and len({*map(tuple, (first, other, later))}) == 3
    kept = STUDY.settings({**PAPER, "batch": 4, "features": "kept"})
    assert [f"train/0/{i}" for i in picture_training.chosen(kept, 0, 5)] == first, "the same pictures in both ways"


def test_a_plan_says_what_is_held(public):
    streamed, kept = (
        STUDY.plan(STUDY.settings({"scale": "paper", "siglip": public, "features": features}))
        for features in ("streamed", "kept")
    )
    assert "none held (kept they would be up to" in streamed["features of an arm"]
    assert kept["features of an arm"].startswith("up to 13.6 GB of features and ")
    assert "1,280,000 pictures drawn and encoded" in streamed["features of an arm"]
    assert streamed["steps of a continued encoder"] == "50000 of 32 pictures"
    assert "here, each holding as much" in streamed["arms at once"]


def test_other_encoders_are_refused_by_name_before_any_work(tmp_path):
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
            STUDY.check(STUDY.settings({**PAPER, "siglip": str(tmp_path / name)}))


def test_weights_that_are_not_whole_and_settings_that_do_not_fit_are_refused(public, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "siglip_vision_model"}')
    with pytest.raises(MissingResource, match=r"lacks \*\.safetensors"):
        STUDY.check(STUDY.settings({**PAPER, "siglip": str(tmp_path)}))
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="its weights cannot be read"):
        load_tower(STUDY.settings({**PAPER, "siglip": str(tmp_path)}), "siglip", 0, tmp_path)
    with pytest.raises(SettingsError, match="patch: expected at least the 8 pixels"):
        STUDY.check(STUDY.settings({**PAPER, "siglip": public, "patch": 4}))
    with pytest.raises(SettingsError, match="batch: expected at most train_items, 8, got 9"):
        STUDY.check(STUDY.settings({**PAPER, "siglip": public, "batch": 9}))
