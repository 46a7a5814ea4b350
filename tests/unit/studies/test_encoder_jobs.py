"""The encoder study's work on public weights: a folder in transformers' format is started from, continued and asked."""

import pytest
import torch
from transformers import SiglipVisionConfig, SiglipVisionModel

from oryx.evidence.rows import read_rows
from workbook.studies.encoders.jobs import look_at, run_arm, train
from workbook.studies.encoders.study import OryxViTvsSigLIP

STUDY = OryxViTvsSigLIP()


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    torch.manual_seed(0)
    shape = {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    siglip = SiglipVisionModel(SiglipVisionConfig(**shape, image_size=32, patch_size=8, hidden_act="gelu_pytorch_tanh"))
    folder = tmp_path_factory.mktemp("public")
    siglip.save_pretrained(folder)
    return str(folder)


def test_public_weights_are_continued_and_asked(public, tmp_path):
    few = {"train_items": 8, "train_steps": 1, "batch": 2, "text_items": 1, "object_items": 1, "look_items": 8}
    settings = STUDY.settings({"scale": "smoke", "siglip": public, **few})
    STUDY.check(settings)
    [first], [last] = STUDY.prepare(settings, 0), STUDY.further_jobs(settings)
    for job in first:
        (tmp_path / job).mkdir()
        train(settings, job.removeprefix("encoder_"), 0, tmp_path / job, lambda what, done, total: None)
    (tmp_path / last).mkdir()
    look_at(settings, 0, tmp_path / last, lambda what, done, total: None)
    looks = (tmp_path / last / "looks.json").read_text()
    assert "attention distance" in looks and "retrieval" not in looks, "public weights have another tokenizer"
    base = {"schema": 1, "study": STUDY.id, "seed": 0, "settings_hash": settings.settings_hash, "data_hash": "d"}
    for arm in ("siglip_partition", "oryxvit_native"):
        run_arm(settings, arm, 0, tmp_path / arm, {**base, "arm": arm}, lambda what, done, total: None)
    rows = read_rows([tmp_path / arm / "rows.jsonl" for arm in ("siglip_partition", "oryxvit_native")])
    seen = rows[rows["condition"] == "visual"]
    assert rows["error"].isna().all() and rows["weights_hash"].nunique() == 1
    assert (seen[seen["arm"] == "siglip_partition"]["sizes"].map(len) == 2).all(), "thumbnail and joined tiles"
    assert (seen[seen["arm"] == "oryxvit_native"]["sizes"].map(len) == 1).all()
