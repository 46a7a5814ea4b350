"""The encoder study's work on public weights: a folder in transformers' format is started from, continued and asked."""

import pytest
import torch
from transformers import SiglipVisionConfig, SiglipVisionModel

from oryx.evidence.rows import read_rows
from oryx.train.checkpoints import module_sha256
from workbook.studies.encoders.arms import ENCODERS
from workbook.studies.encoders.jobs import load_tower
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
