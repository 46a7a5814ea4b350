"""The needle study on a checkpoint: a tiny random one with a byte tokenizer takes the place of released weights."""

import json
import re

import numpy as np
import pytest
import torch
from transformers import Qwen2Config

import oryx
from oryx import Video
from oryx.errors import CheckpointError, InputError, MissingResource, SettingsError
from oryx.evidence.rows import read_rows
from oryx.evidence.store import lay_failed_aside
from oryx.model import OryxConfig, OryxForConditionalGeneration
from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import OryxProcessor
from oryx.processing.tokenizers import byte_tokenizer
from oryx.processing.video import read_frames
from tests.unit.model.builders import tiny_model, write_released
from workbook import cli
from workbook.data.haystacks import draw_shot, haystack_shots, write_video
from workbook.data.needles import make_trial
from workbook.runs.seeds import seeds_of
from workbook.studies.needle import evaluation
from workbook.studies.needle.released import PHRASES
from workbook.studies.needle.study import NeedleInAHaystack

pytestmark = pytest.mark.integration

SMALL = {
    "scale": "paper",
    "frame_side": 64,
    "lengths": [16, 20],
    "depths": [0.0, 1.0],
    "trials": 1,
    "haystacks": 2,
    "haystack_frames": 24,
    "audit": 1,
    "beyond": [],
    "context": None,
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
    assert set(rows["variant"]) == {"number", "picture", "change", "near", "far"}
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


LONG = {
    "frame_rule": "as_drawn",
    "haystack_frames": 60,
    "lengths": [1600],
    "beyond": [3200, 6400],
    "depths": [0.5],
    "audit": 0,
    "context": 10_000,
}
"""Frames of 64x64 as they are: 3 tokens each at 16x, so that 3,200 fit and 6,400 do not."""


@pytest.fixture(scope="module")
def authors(tmp_path_factory):
    """A complete tiny checkpoint in the authors' format, of 2,048 positions and no stated limit."""
    text = {"vocab_size": 259, "max_position_embeddings": 2048}
    model = tiny_model(text=text, vision={"patch_size": 16})
    folder = write_released(tmp_path_factory.mktemp("authors"), model, tokenizer_model_max_length=None)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def drawn(authors, tmp_path_factory):
    """A results folder with the haystacks of the long videos, drawn in this process."""
    results = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workbook.studies.needle.released.write_in_parallel", lambda calls: [call() for call in calls])
        NeedleInAHaystack().run_job(settings_of(authors, results, LONG), "shared", 0, results, lambda *_: None)
    return results


@pytest.mark.parametrize("scaling", ["yarn", "dynamic"])
def test_1600_frames_and_more_are_read_by_a_model_of_fewer_positions(authors, drawn, tmp_path, scaling):
    study, settings = NeedleInAHaystack(), settings_of(authors, drawn, {**LONG, "rope_scaling": scaling})
    study.check(settings)
    stated = "10,000 tokens (asked for; max_position_embeddings 2,048, "
    assert study.describe(settings)["context"] == f"{stated}{scaling} scaling by {10_000 / 2048:g})"
    files = {path: path.stat().st_mtime_ns for path in settings.cache_folder.glob("haystacks/*.mp4")}
    assert len(files) == 2, "drawn before any arm"
    study.run_job(settings, "released", 0, tmp_path / "arm", lambda *_: None)
    assert files == {path: path.stat().st_mtime_ns for path in settings.cache_folder.glob("haystacks/*.mp4")}
    rows = read_rows([tmp_path / "arm" / "rows.jsonl"])
    assert rows["error"].isna().all()
    seen = rows[(rows["condition"] == "visual") & (rows["variant"] == "number")].set_index("length")
    assert seen["visual_tokens"].to_dict() == {16: 50, 1600: 4802, 3200: 9602}, "6,400 frames do not fit"
    assert seen["frames"][3200] == 3200 and seen["logprob"].nunique() == 3
    assert set(rows["context"]) == {10_000} and set(rows["rope_scaling"]) == {scaling}
    assert set(rows["rope_factor"]) == {10_000 / 2048}


def test_rows_do_not_rest_on_what_was_read_before_them(authors, drawn, tmp_path):
    """Dynamic scaling depends on the longest sequence so far: a run that goes on must not notice."""
    values = {**LONG, "rope_scaling": "dynamic", "lengths": [700], "beyond": [1200]}
    study, settings = NeedleInAHaystack(), settings_of(authors, drawn, values)
    path = tmp_path / "arm" / "rows.jsonl"
    study.run_job(settings, "released", 0, path.parent, lambda *_: None)
    whole = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in whole if '"length": 700,' in line and '"change"' not in line))
    study.run_job(settings, "released", 0, path.parent, lambda *_: None)
    first, again = ({json.loads(line)["item"] + json.loads(line)["condition"]: json.loads(line)["logprob"]
                     for line in lines} for lines in (whole, path.read_text().splitlines()))  # fmt: skip
    assert first == again


def test_what_ran_out_of_memory_is_asked_again_and_the_rest_is_not(authors, drawn, tmp_path, monkeypatch):
    study, settings = NeedleInAHaystack(), settings_of(authors, drawn, {**LONG, "lengths": [40], "beyond": []})
    read, calls = evaluation.read_videos, []

    def short(model, videos, prompts):
        calls.append(len(videos[0]))
        if len(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return read(model, videos, prompts)

    monkeypatch.setattr(evaluation, "read_videos", short)
    study.run_job(settings, "released", 0, tmp_path, lambda *_: None)
    rows, asked = read_rows([tmp_path / "rows.jsonl"]), len(calls)
    assert asked > 2 and set(rows.loc[rows["error"].notna(), "error"]) == {"OutOfMemoryError: CUDA out of memory"}
    assert rows["error"].notna().sum() == 3, "with the video, without it, and the other question"
    lay_failed_aside(tmp_path)
    study.run_job(settings, "released", 0, tmp_path, lambda *_: None)
    again = read_rows([tmp_path / "rows.jsonl"])
    assert len(calls) == asked + 1 and len(again) == len(rows) and again["error"].isna().all()


@pytest.mark.parametrize(
    ("limit", "values", "most"),
    [
        (32768, {}, None),
        (8192, {}, None),
        (32768, {"context": None}, 1554),
        (32768, {"context": None, "frame_rule": "as_drawn", "frame_side": 192}, None),
        (32768, {"context": None, "frame_rule": "as_drawn", "frame_side": 256}, 1554),
        (8192, {"context": None, "frame_rule": "as_drawn", "frame_side": 128}, 1151),
        (131_072, {"arms": ["released", "released_4x"]}, None),
        (32768, {"arms": ["released", "released_4x"]}, 475),
    ],
)
def test_the_grid_of_the_preset_is_refused_only_where_it_overflows(tmp_path, capsys, limit, values, most):
    """By ``config.json`` alone: a released 7B states 32,768 tokens and as many positions."""
    config = {"model_type": "oryx_qwen", "tokenizer_model_max_length": limit, "max_position_embeddings": limit}
    (tmp_path / "config.json").write_text(json.dumps(config))
    settings = NeedleInAHaystack().settings({"scale": "paper", "checkpoint": str(tmp_path), **values})
    assert settings.lengths[-1] == 1600
    if most is None:
        return NeedleInAHaystack().check(settings)
    words = [
        f"{name}={'null' if value is None else json.dumps(value).strip(chr(34))}" for name, value in values.items()
    ]
    flags = [word for pair in zip(["-p"] * len(words), words, strict=True) for word in pair]
    arguments = ["run", "needle_in_a_haystack", "--scale", "paper", "-p", f"checkpoint={tmp_path}", *flags]
    assert cli.main([*arguments, "--results", str(tmp_path / "results")]) == 2, "nothing was started"
    said = capsys.readouterr().err
    assert f"that is {most} frames. Ask for fewer frames" in said and "or a context of" in said
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("stated", [{}, {"tokenizer_model_max_length": None}])
def test_a_checkpoint_without_a_stated_limit_has_its_positions(tmp_path, stated):
    study, values = NeedleInAHaystack(), {"scale": "paper", "checkpoint": str(tmp_path), "context": None}
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 65536, **stated}))
    study.check(study.settings(values))
    assert study.describe(study.settings(values))["context"] == "65,536 tokens (max_position_embeddings)"
    (tmp_path / "config.json").write_text(json.dumps(stated))
    with pytest.raises(CheckpointError, match="expected tokenizer_model_max_length or max_position_embeddings"):
        study.check(study.settings(values))


def test_the_plan_of_a_released_run_speaks_of_asking_and_not_of_training(tmp_path, capsys, monkeypatch):
    """A 7B by its configuration alone; operations against two a weight and token, written out."""
    monkeypatch.setattr("workbook.studies.needle.reading.SAMPLE", 2)
    text = {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28}
    text |= {"num_key_value_heads": 4, "vocab_size": 152064, "max_position_embeddings": 32768}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "oryx_qwen", **text}))
    for name in ("model.safetensors", "tokenizer.json"):  # nothing reads them
        (tmp_path / name).touch()
    arguments = ["plan", "needle_in_a_haystack", "--scale", "paper", "--results", str(tmp_path)]
    assert cli.main([*arguments, "-p", f"checkpoint={tmp_path}"]) == 0
    said = capsys.readouterr().out
    assert "train" not in said and "CPU minutes" not in said and "cannot start" not in said
    lines = dict(line.strip().split(": ", 1) for line in said.splitlines()[1:])
    assert lines["context"].endswith("longest video has 1,600 frames") and lines["jobs"] == "2, of which 0 are done"
    videos, tokens = (int(word.replace(",", "")) for word in re.findall(r"[\d,]+\d", lines["videos read"]))
    cells = 3 * 20 + 6 * 5 * 20 + 4 * 3 * 3 * 20  # easy, numbers, four other kinds at three lengths and depths
    assert videos == cells + 27 and lines["questions"] == f"{3 * (3 + 30) * 20 + 2 * 36 * 20 + 27:,}"
    weights = 28 * (2 * 3584**2 + 2 * 3584 * 512 + 3 * 3584 * 18944)
    assert 1 < float(lines["forward operations"].split()[0]) / (2 * weights * tokens) < 1.5, "attention comes on top"
    assert lines["drawing before the arms"].startswith("16,000 frames, ")
    assert lines["drawing while an arm asks"].startswith("16,650 frames of complete files, ")
    assert 15 < float(lines["memory of a GPU"].split()[0]) < 40
    assert cli.main(arguments) == 0 and "cannot start: scale 'paper' needs released" in capsys.readouterr().out


def test_haystacks_are_drawn_by_several_processes_before_any_arm_begins(checkpoint, tmp_path, monkeypatch):
    study, settings = NeedleInAHaystack(), settings_of(checkpoint, tmp_path)
    [seed] = seeds_of(study, settings)
    assert [(job.arm, job.level, job.processes) for job in seed.all_jobs] == [("shared", 0, 1), ("released", 1, 1)]
    own = study.settings({**settings.to_dict(), "processes": 2})
    assert [job.processes for job in seeds_of(study, own)[0].all_jobs] == [1, 2], "one job starts the drawing"
    asked = []
    monkeypatch.setattr("workbook.studies.needle.released.write_in_parallel", asked.append)
    study.run_job(settings, "shared", 0, tmp_path / "shared", lambda *_: None)
    assert len(asked[0]) == settings.haystacks and not list(tmp_path.rglob("*.mp4")), "a call for each file"


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
        ({"scale": "nano", "frame_side": 32, "arms": ["retrieval"], "context": 9000}, InputError, "context: only rel"),
        ({"scale": "nano", "frame_side": 64}, InputError, "frame_side: the readers of frames know 32 pixels, got 64"),
    ],
)
def test_what_does_not_belong_together_is_refused(checkpoint, tmp_path, values, error, said):
    with pytest.raises(error, match=said):
        NeedleInAHaystack().check(settings_of(checkpoint, tmp_path, values))
