"""One command from the authors' format to a folder for transformers' Auto classes: equal answers, all or nothing."""

import json

import pytest
import torch
from PIL import Image, ImageDraw
from transformers import AutoModelForImageTextToText, AutoProcessor, pipeline

import oryx
from oryx.errors import CheckpointError, SettingsError
from oryx.processing.tokenizers import byte_tokenizer
from workbook import cli

from .builders import tiny_model, write_released


def released(folder, kind: str = "qwen2", tokenizer: bool = True, **more):
    text = {
        "vocab_size": 259,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6 if kind == "qwen2" else 5e6},
    }
    model = tiny_model(kind, text=text)
    write_released(folder, model.to(torch.bfloat16), **more)
    if tokenizer:
        byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind, tower_in_shards", [("qwen2", True), ("llama", False)])
def test_the_authors_format_loads_by_the_auto_classes(tmp_path, capsys, kind, tower_in_shards):
    source, target = released(tmp_path / "theirs", kind, tower_in_shards=tower_in_shards), tmp_path / "deep" / "ours"
    assert cli.main(["convert", str(source), str(target)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(target)
    assert [path.name for path in target.parent.iterdir()] == ["ours"]  # nothing unfinished is left
    ours, theirs = AutoModelForImageTextToText.from_pretrained(target, dtype="auto").eval(), oryx.load(source)
    assert ours.dtype == torch.bfloat16
    for (name, one), (other, two) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert name == other and torch.equal(one, two)
    assert (
        ours.generation_config.eos_token_id
        == theirs.generation_config.eos_token_id
        == (7 if kind == "llama" else [2, 3])
    )
    processor = AutoProcessor.from_pretrained(target)
    assert torch.equal(processor("Hm?")["input_ids"], theirs.processor("Hm?")["input_ids"])
    again = oryx.load(target)
    assert again.processor.prompt == "qwen" and again.config.freeze_vision
    auto_map = json.loads((target / "config.json").read_text())["auto_map"]
    assert auto_map["AutoModelForImageTextToText"] == "oryx_workbook.OryxForConditionalGeneration"
    assert json.loads((target / "processor_config.json").read_text())["auto_map"] == auto_map


def test_what_exists_is_never_overwritten(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(SettingsError, match="there: expected the name of a new folder"):
        oryx.convert(tmp_path / "anything", tmp_path / "there")


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda folder: (folder / "model-00002-of-00003.safetensors").unlink(), "model-00002-of-00003.safetensors"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "its tokenizer cannot be loaded"),
        (lambda folder: [path.unlink() for path in folder.glob("token*")], "got no tokenizer"),
        (lambda folder: [path.unlink() for path in folder.glob("*.json")], "got an encoder alone"),
    ],
    ids=["shard", "damaged tokenizer", "no tokenizer", "encoder"],
)
def test_a_defect_is_named_and_nothing_is_written(tmp_path, capsys, spoil, message):
    source = released(tmp_path / "theirs", tower_in_shards=False)
    spoil(source)
    with pytest.raises(CheckpointError, match=message):
        oryx.convert(source, tmp_path / "ours")
    assert cli.main(["convert", str(source), str(tmp_path / "ours")]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transformers.PreTrainedModel.save_pretrained", full)
    with pytest.raises(oryx.errors.RunError, match=r"ours: cannot be written \(No space left on device\)"):
        oryx.convert(released(tmp_path / "theirs"), tmp_path / "ours")
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_the_shipped_model_answers_the_same_by_every_door(tmp_path):
    picture = Image.new("RGB", (96, 64), "white")
    ImageDraw.Draw(picture).text((10, 10), "7 4 2", fill="black")
    nano = oryx.load("nano")
    answer = nano.ask(picture, "read").text
    folder = oryx.convert("nano", tmp_path / "nano")
    assert answer == oryx.load(folder).ask(picture, "read").text == "742"
    content = [{"type": "image", "image": picture}, {"type": "text", "text": "read"}]
    chat = [{"role": "user", "content": content}]
    for given in ({"model": str(folder)}, {"model": nano, "processor": nano.processor}):
        said = pipeline("image-text-to-text", **given)(text=chat, max_new_tokens=8, return_full_text=False)
        assert said[0]["generated_text"] == answer
