"""``oryx.load("nano")``: the shipped model, strict in bytes, and able to answer."""

import json
import shutil

import pytest
import torch

import oryx
from oryx import Images, Video, Views
from oryx.errors import CheckpointError, InputError
from oryx.model.checkpoint_files import from_8_bits
from oryx.model.loading import load_shipped
from oryx.train.stages import STAGES
from workbook.data.items import evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.data.stories import make_scene
from workbook.stages.one_model import QUESTIONS
from workbook.stages.shipped import WEIGHTS

FOLDER = WEIGHTS / "nano" / "one"


@pytest.fixture(scope="module")
def nano():
    return oryx.load("nano")


@pytest.fixture
def copied(tmp_path):
    shutil.copytree(FOLDER, tmp_path / "one")
    shutil.copy(FOLDER.parent / "oryxvit.safetensors", tmp_path)
    return tmp_path / "one"


def test_every_kind_of_visual_is_answered(nano):
    picture = evaluation_items("word", "dev", 1, PictureSizes())[0].picture
    views = list(make_scene("dev", 0).views)
    for visual in (picture, Images([picture, picture]), Views(views), Video(views)):
        for resolution in ("native", 48):
            for compression in (1, 4, 16, "auto"):
                answer = nano.ask(visual, "read", resolution=resolution, compression=compression, max_new_tokens=8)
                assert 0 <= answer.probability <= 1 and answer.visual_tokens > 0
    with pytest.raises(InputError, match="a bare list"):
        nano.ask([picture], "read")


def test_it_reads_what_it_was_taught(nano):
    """A handful of held-out numbers, far above the chance of one in thousands; scores are in scores.csv."""
    items = evaluation_items("number", "dev", 12, PictureSizes())
    right = sum(nano.ask(item.picture, "read", max_new_tokens=8).text == item.answer for item in items)
    assert right >= 3


def test_saved_and_loaded_again_it_answers_the_same(nano, tmp_path):
    picture = evaluation_items("icon", "dev", 1, PictureSizes())[0].picture
    nano.save_pretrained(tmp_path)
    nano.processor.save_pretrained(tmp_path)
    again = oryx.load(tmp_path)
    first, second = (model.ask(picture, "name", max_new_tokens=8) for model in (nano, again))
    assert first.text == second.text and first.probability == pytest.approx(second.probability, abs=1e-5)


def test_changed_bytes_are_refused(copied):
    manifest = json.loads((copied / "manifest.json").read_text())
    weights = copied / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="expected sha256"):
        load_shipped(copied)
    manifest["encoder"]["file"] = "../oryxvit.safetensors"
    shutil.copy(FOLDER / "model.safetensors", weights)
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="expected encoder"):
        load_shipped(copied)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "manifest.json", "processor_config.json"])
def test_a_missing_file_is_named(copied, name):
    (copied / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load_shipped(copied)


def test_8_bits_are_multiplied_out():
    whole = torch.tensor([[127, -127], [1, 0]], dtype=torch.int8)
    scale = torch.tensor([0.5, 2.0], dtype=torch.float16)
    found = from_8_bits({"a": whole, "a.scale": scale, "b": torch.ones(3)})
    assert found["a"].tolist() == [[63.5, -63.5], [2.0, 0.0]] and found["b"].tolist() == [1, 1, 1]
    with pytest.raises(CheckpointError, match="got nothing"):
        from_8_bits({"a.scale": scale})
    with pytest.raises(CheckpointError, match="expected a matrix"):
        from_8_bits({"a": torch.ones(3, 1), "a.scale": scale})


def test_a_question_that_was_never_trained_on_is_answered_with_a_warning(nano, caplog):
    picture = evaluation_items("word", "dev", 1, PictureSizes())[0].picture
    with caplog.at_level("WARNING"):
        for question in ("read", " Y ", "black"):
            nano.ask(picture, question)
        assert not caplog.records
        for _ in range(2):
            nano.ask(picture, "What is written on this card?")
    (record,) = caplog.records
    assert "'What is written on this card?' is none of the questions" in record.message
    assert "read, marked" in record.message


def test_a_training_on_other_questions_forgets_those_of_the_shipped_model():
    model = oryx.load("nano")
    assert model.config.questions == list(QUESTIONS)
    STAGES["sft"].prepare(model)
    assert model.config.questions is None
