"""The needle study on a checkpoint: a tiny random one with a byte tokenizer takes the place of released weights."""

import json

import numpy as np
import pytest
import torch
from transformers import Qwen2Config

import oryx
from oryx import Video
from oryx.errors import InputError, MissingResource, SettingsError
from oryx.evidence.rows import read_rows
from oryx.model import OryxConfig, OryxForConditionalGeneration
from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import OryxProcessor
from oryx.processing.tokenizers import byte_tokenizer
from oryx.processing.video import read_frames
from workbook.data.haystacks import draw_shot, haystack_shots, write_video
from workbook.data.needles import make_trial
from workbook.studies.needle.released import PHRASES
from workbook.studies.needle.study import NeedleInAHaystack

SMALL = {
    "scale": "paper",
    "frame_side": 64,
    "lengths": [16, 20],
    "depths": [0.0, 1.0],
    "trials": 1,
    "haystacks": 2,
    "haystack_frames": 24,
    "audit": 1,
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    vision = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
    text = Qwen2Config(
        vocab_size=259, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, bos_token_id=None, eos_token_id=256, pad_token_id=256, initializer_range=0.3,
    )  # fmt: skip
    config = OryxConfig(
        vision_config={**vision, "position_grid": 8},
        text_config=text,
        compressor_dim=16,
        tokenizer_model_max_length=2000,
    )
    folder = tmp_path_factory.mktemp("checkpoint")
    OryxForConditionalGeneration(config).save_pretrained(folder)
    OryxProcessor(byte_tokenizer(), PreprocessOptions()).save_pretrained(folder)
    return folder


def settings_of(checkpoint, tmp_path, values=()):
    return NeedleInAHaystack().settings(
        {**SMALL, "checkpoint": str(checkpoint), "results": str(tmp_path)} | dict(values)
    )


def test_released_weights_are_asked_the_grid_and_complete_files_agree_with_ask(checkpoint, tmp_path):
    study, settings = NeedleInAHaystack(), settings_of(checkpoint, tmp_path)
    study.check(settings)
    study.run_job(settings, "released", 0, tmp_path / "arm", lambda *_: None)
    rows = read_rows([tmp_path / "arm" / "rows.jsonl"])
    assert rows["error"].isna().all() and (rows["arm"] == "released").all() and (rows["longest_trained"] == 0).all()
    assert set(rows["condition"]) == {"visual", "no_visual", "other_question", "complete_file"}
    assert set(rows["variant"]) == {"number", "picture", "change", "several", "near", "far"}
    model = oryx.load(checkpoint)
    for row in rows[rows["condition"] == "complete_file"].itertuples():
        trial = make_trial("report", "number", row.length, row.depth, 0, (64, 64), 2)
        assert row.item == trial.id and row.question == PHRASES[trial.needle.question]
        file = trial.file(tmp_path).path
        shown, needle = read_frames(file, range(row.length)), np.asarray(trial.needle.frames[0].convert("RGB"))
        away = np.abs(shown.astype(int) - needle).mean(axis=(1, 2, 3))
        assert [int(away.argmin())] == row.needle_places and away.min() < 10, "the needle is where the row says"
        model.processor.options = PreprocessOptions(frames=row.length)
        asked = model.ask(Video(file), row.question, compression=16, max_new_tokens=12)
        assert (asked.text, asked.visual_tokens, asked.frames) == (row.answer, row.visual_tokens, row.frames)


@pytest.mark.parametrize("size", [(48, 112), (50, 64)])
def test_needles_are_hidden_in_ones_own_video_at_its_own_size(checkpoint, tmp_path, size):
    own = tmp_path / "own.mp4"
    write_video(own, [draw_shot(shot, "dev", size) for shot in haystack_shots("dev", 0, 30)], size)
    values = {"video": str(own), "decoder": "pyav"}
    study, settings = NeedleInAHaystack(), settings_of(checkpoint, tmp_path, values)
    study.check(settings)
    study.run_job(settings, "released", 0, tmp_path / "arm", lambda *_: None)
    rows = read_rows([tmp_path / "arm" / "rows.jsonl"])
    assert rows["error"].isna().all() and set(rows["inserted"]) == {"after sampling"}
    assert set(rows["cluster"]) == {"report-haystack-0"}, "one video, one cluster"
    assert set(rows[rows["frames"] > 0]["decoder"]) == {"pyav"} and rows[rows["frames"] == 0]["decoder"].isna().all()
    with pytest.raises(InputError, match="has 30 frames, lengths ask for 31"):
        study.check(settings_of(checkpoint, tmp_path, {"video": str(own), "lengths": [16, 31]}))


def test_a_length_that_does_not_fit_is_refused_with_the_number_that_does(checkpoint, tmp_path):
    config = json.loads((checkpoint / "config.json").read_text())
    study, settings = (
        NeedleInAHaystack(),
        settings_of(checkpoint, tmp_path, {"lengths": [16, 900], "haystack_frames": 900}),
    )
    assert config["tokenizer_model_max_length"] == 2000
    with pytest.raises(InputError, match=r"900 frames .* the context holds 2000, that is \d+ frames"):
        study.check(settings)


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"checkpoint": ""}, MissingResource, "checkpoint=FOLDER"),
        ({"seeds": [0, 1, 2]}, SettingsError, r"seeds: released weights are one model.*got \[0, 1, 2\]"),
        ({"arms": ["retrieval"]}, InputError, "scale 'paper' has released, released_4x; got retrieval"),
        ({"scale": "nano", "arms": ["released"], "frame_side": 32}, InputError, "got released"),
        ({"scale": "nano", "frame_side": 64}, InputError, "frame_side: the readers of frames know 32 pixels, got 64"),
    ],
)
def test_what_does_not_belong_together_is_refused(checkpoint, tmp_path, values, error, said):
    with pytest.raises(error, match=said):
        NeedleInAHaystack().check(settings_of(checkpoint, tmp_path, values))
